//! Through YAML, a gateway and folders.
