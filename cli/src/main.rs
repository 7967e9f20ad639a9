//! The `mediary` binary.

use clap::Parser;
use mediary::arguments::Arguments;
use mediary::console::Console;
use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: without a default, the first TLS connection would panic. An error says that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments = Arguments::parse();
    mediary::run(arguments, &mut Console::of_process()).into()
}
