//! The samples travel inside the binary; a new or changed one has to lead to a new binary.

fn main() {
    println!("cargo:rerun-if-changed=../samples");
}
