//! The `mediary` command. One file per subcommand; `main.rs` only calls [`run`].
//!
//! What all of them share: [`console`] writes for people, [`project`] loads and builds, [`gateway`] runs a
//! deployment, [`reference`] describes the language from the registered schemas.

pub mod arguments;
pub mod check;
pub mod client;
pub mod console;
pub mod docs;
pub mod explain;
pub mod gateway;
pub mod help;
pub mod new;
pub mod project;
pub mod reference;
pub mod run;
pub mod samples;
pub mod schema;
mod servers;
pub mod store;
pub mod test;

#[cfg(test)]
mod testing;

use arguments::{Arguments, Command};
use console::{Console, End};
use engine::registry::Registry;

/// Everything that configurations can name.
#[must_use]
pub fn registry() -> Registry {
    Registry {
        mediators: mediators::ALL,
        transports: transports::ALL,
        formats: builders_formatters::ALL,
    }
}

/// Runs a command to its end.
pub fn run(arguments: Arguments, console: &mut Console) -> End {
    match arguments.command {
        Command::Run(options) => run::run(&options, console),
        Command::Check(options) => check::run(&options, console),
        Command::Explain(options) => explain::run(&options, console),
        Command::Test(options) => test::run(&options, console),
        Command::Samples(options) => samples::run(&options, console),
        Command::New(options) => new::run(&options, console),
        Command::Store(options) => store::run(&options, console),
        Command::Help(options) => help::run(&options, console),
        Command::Schema(options) => schema::run(&options, console),
        Command::Docs(options) => docs::run(&options, console),
    }
}
