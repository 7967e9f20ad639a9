//! The command line: what `mediary --help` shows.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Green.on_default());

const EXAMPLES: &str = "\
Examples:
  mediary new shop             a small project that works
  mediary check shop           every problem of it, with file, line and column
  mediary test shop            its tests
  mediary run shop --watch     serve it, and follow every change
  mediary help split           what a step, transport or format does

A project is one YAML file or a folder of them.
Exit codes: 0 fine, 1 problems found, 2 wrong usage.";

/// A mediation engine and API gateway: projects in YAML, one binary.
#[derive(Debug, Parser)]
#[command(name = "mediary", version, styles = STYLES, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a project
    Run(RunOptions),
    /// Show every problem of a project, without running it
    Check(CheckOptions),
    /// Show what each route does with the body: pass it through, or read it, and where
    Explain(ExplainOptions),
    /// Run a project's tests (*.test.yaml)
    Test(TestOptions),
    /// Look at the samples inside this binary, run or copy one
    Samples(SamplesOptions),
    /// Make a small project that works
    New(NewOptions),
    /// List, show, deliver again or remove the messages of a store
    Store(StoreOptions),
    /// Explain a step, transport, format or top-level key
    Help(HelpOptions),
    /// Print the JSON Schema of the language, for editors
    Schema(SchemaOptions),
    /// Write the reference pages
    #[command(hide = true)]
    Docs(DocsOptions),
}

/// A project and what is laid over it.
#[derive(Clone, Debug, Default, Args)]
pub struct ProjectOptions {
    /// A YAML file, or a folder of them
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// Lay a value over the project, such as settings.listeners.http.port=8080; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `mediary run`.
#[derive(Debug, Default, Args)]
pub struct RunOptions {
    /// The project.
    #[command(flatten)]
    pub project: ProjectOptions,
    /// Reload when a file of the project changes
    #[arg(long)]
    pub watch: bool,
    /// Print every exchange as a timeline of its steps
    #[arg(long)]
    pub trace: bool,
    /// What to log: error, warn, info, debug, or a filter such as info,mediary_engine=debug
    #[arg(long, value_name = "LEVEL", env = "MEDIARY_LOG", default_value = "info")]
    pub log: String,
}

/// `mediary check`.
#[derive(Debug, Default, Args)]
pub struct CheckOptions {
    /// The project.
    #[command(flatten)]
    pub project: ProjectOptions,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How `check` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For editors and pipelines
    Json,
}

/// `mediary explain`.
#[derive(Debug, Default, Args)]
pub struct ExplainOptions {
    /// The project.
    #[command(flatten)]
    pub project: ProjectOptions,
}

/// `mediary test`.
#[derive(Debug, Default, Args)]
pub struct TestOptions {
    /// The project.
    #[command(flatten)]
    pub project: ProjectOptions,
    /// Write the results as JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Also run the tests that are `live`, against the servers of the project's connections
    #[arg(long)]
    pub live: bool,
    /// Run only the tests whose name contains this text
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
}

/// `mediary samples`.
#[derive(Debug, Default, Args)]
pub struct SamplesOptions {
    /// What to do; without anything, list them
    #[command(subcommand)]
    pub action: Option<SamplesAction>,
}

/// What to do with samples.
#[derive(Debug, Subcommand)]
pub enum SamplesAction {
    /// List them
    List,
    /// Start one, send its requests and show the replies, then go on serving
    Run {
        /// The sample
        name: String,
        /// End after the requests; the exit code is 1 where a reply was not the expected one
        #[arg(long)]
        once: bool,
        /// Lay a value over the sample; may be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Copy one into a folder
    Copy {
        /// The sample
        name: String,
        /// A folder that does not exist yet, or is empty
        folder: PathBuf,
    },
}

/// `mediary store`.
#[derive(Debug, Args)]
pub struct StoreOptions {
    /// What to do
    #[command(subcommand)]
    pub action: StoreAction,
    /// The management port of the running gateway
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:9164"
    )]
    pub url: String,
    /// The project of a gateway that is not running: its durable stores are opened directly
    #[arg(long, global = true, value_name = "PATH")]
    pub project: Option<PathBuf>,
}

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub enum StoreAction {
    /// List the stores, or the messages of one
    List {
        /// The store
        store: Option<String>,
    },
    /// Show a message: headers, body, and for a dead letter the fault and the steps that ran
    Show {
        /// The store
        store: String,
        /// The message
        id: String,
    },
    /// Deliver dead letters again to what they failed in; they leave the store when that succeeds
    Replay {
        /// The store
        store: String,
        /// One message; default all
        id: Option<String>,
    },
    /// Remove messages for good
    Purge {
        /// The store
        store: String,
        /// One message; default all
        id: Option<String>,
    },
}

/// `mediary new`.
#[derive(Debug, Default, Args)]
pub struct NewOptions {
    /// A folder that does not exist yet, or is empty
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// `mediary help`.
#[derive(Debug, Default, Args)]
pub struct HelpOptions {
    /// A step, transport, format, top-level key or command; without one, all of them
    pub component: Option<String>,
}

/// `mediary schema`.
#[derive(Debug, Default, Args)]
pub struct SchemaOptions {
    /// The schema of *.test.yaml files instead
    #[arg(long)]
    pub tests: bool,
}

/// `mediary docs`.
#[derive(Debug, Default, Args)]
pub struct DocsOptions {
    /// Where the pages go
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
