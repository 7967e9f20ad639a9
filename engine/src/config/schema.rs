//! JSON Schemas of configuration types: one for editors and for checking. Generated once per type.

use parking_lot::RwLock;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

static SCHEMAS: LazyLock<RwLock<HashMap<TypeId, Arc<Schema>>>> = LazyLock::new(RwLock::default);

/// The schema of a type (draft 2020-12). Steps appear as references to `#/$defs/steps` and `#/$defs/step`, which
/// whoever knows the registry fills in.
pub fn schema_of<T: JsonSchema + 'static>() -> Arc<Schema> {
    if let Some(schema) = SCHEMAS.read().get(&TypeId::of::<T>()) {
        return Arc::clone(schema);
    }
    let schema = Arc::new(schema_generator().into_root_schema_for::<T>());
    SCHEMAS.write().insert(TypeId::of::<T>(), Arc::clone(&schema));
    schema
}

/// The generator behind [`schema_of`], for a schema that spans many types.
pub fn schema_generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}
