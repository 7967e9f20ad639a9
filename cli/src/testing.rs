//! What the tests of the commands share: arguments as typed, output as seen in a pipe.

use crate::arguments::Arguments;
use crate::console::{Console, End};
use clap::Parser;
use parking_lot::Mutex;
use std::io::Write;
use std::sync::Arc;

/// How a command ended and what it wrote, without colours.
pub(crate) struct Ran {
    pub(crate) end: End,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `mediary` with these arguments in this process.
pub(crate) fn mediary(arguments: &[&str]) -> Ran {
    let arguments = std::iter::once("mediary").chain(arguments.iter().copied());
    let arguments = Arguments::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}"));
    let (out, err) = (Buffer::default(), Buffer::default());
    let end = crate::run(arguments, &mut Console::new(out.clone(), err.clone()));
    Ran {
        end,
        out: out.text(),
        err: err.text(),
    }
}

/// A temporary project folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        let bytes = self.0.lock();
        anstream::adapter::strip_str(&String::from_utf8_lossy(&bytes)).to_string()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
