//! Files in parts: lines, rows, elements or items become messages, while the file is read.
//!
//! ```text
//!  chunks ▶ window ▶ scanner: where does the part end? ▶ document ▶ deliver, some at a time ▶ checkpoint
//! ```
//! What is in memory is one window and the parts in flight, whatever the size of the file.

mod checkpoint;
mod config;
mod elements;
mod items;
mod lines;
mod parts;
mod progress;
mod rows;
mod run;
mod scan;
mod tag;
#[cfg(test)]
mod tests;

pub(super) use checkpoint::path as checkpoint_path;
pub(super) use config::Split;
pub(crate) use config::SplitSetting;
pub(super) use run::PartWork;
