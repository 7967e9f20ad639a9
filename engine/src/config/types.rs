//! Field types of configuration structs: quantities with units, texts and steps that are compiled later, and
//! wrappers that keep the place of a value.

mod duration;
mod named;
mod one_or_many;
mod rate;
mod raw;
mod secret_text;
mod size;
mod spanned;
mod steps;
mod text;

pub use duration::Duration;
pub use named::Named;
pub use one_or_many::OneOrMany;
pub use rate::Rate;
pub use raw::RawNode;
pub use secret_text::SecretText;
pub use size::Size;
pub use spanned::Spanned;
pub use steps::{Step, Steps};
pub use text::Text;
