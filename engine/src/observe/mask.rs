//! Which values are secrets by their names. Where operators look, in logs and at stored messages, `***` stands instead.

/// What is shown instead of a value.
pub const MASK: &str = "***";

/// Names in lower case, of headers and of fields.
const MASKED: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "password",
    "secret",
    "api_key",
    "x-api-key",
];

/// Whether the value of a header or a field of this name is shown as [`MASK`].
#[must_use]
pub fn is_masked(name: &str) -> bool {
    MASKED.iter().any(|masked| name.eq_ignore_ascii_case(masked))
}
