//! Where commands write: for people, in colour on a terminal and plain elsewhere. Commands always write colours;
//! the streams below take them out again where nobody would see them.

use anstyle::{AnsiColor, Style};
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Done, and nothing was wrong.
    Fine,
    /// It found problems: exit code 1.
    Problems,
    /// It was called wrongly: exit code 2.
    Usage,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Fine => Self::SUCCESS,
            End::Problems => Self::from(1),
            End::Usage => Self::from(2),
        }
    }
}

/// The output of a command.
pub struct Console {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
}

impl Console {
    /// Standard output and standard error.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(anstream::stdout(), anstream::stderr())
    }

    /// Other streams; they are given ANSI colours.
    pub fn new(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self {
            out: Box::new(out),
            err: Box::new(err),
        }
    }

    /// Writes a line to standard output, at once. Whoever closed it does not want it: that is no error.
    pub fn say(&mut self, text: impl Display) {
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }

    /// Writes a line to standard error.
    pub fn complain(&mut self, text: impl Display) {
        let _ = writeln!(self.err, "{text}").and_then(|()| self.err.flush());
    }

    /// Writes an error of the command itself to standard error.
    pub fn error(&mut self, text: impl Display) {
        self.complain(format_args!("{}: {text}", paint(BAD, "error")));
    }
}

/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What went wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What deserves a look.
pub const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Headings and names.
pub const STRONG: Style = Style::new().bold();
/// What is there for completeness.
pub const FAINT: Style = Style::new().dimmed();
/// What can be typed.
pub const CODE: Style = AnsiColor::Cyan.on_default();

/// The text in a style.
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// `1 file`, `2 files`.
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Every line that is not empty behind an indentation.
#[must_use]
pub fn indented(text: &str, indent: &str) -> String {
    let indent_line = |line: &str| {
        if line.is_empty() {
            String::new()
        } else {
            format!("{indent}{line}")
        }
    };
    text.trim_end()
        .lines()
        .map(indent_line)
        .collect::<Vec<_>>()
        .join("\n")
}
