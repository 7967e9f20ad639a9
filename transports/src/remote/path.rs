//! Names of files on a server, beside what [`crate::files::path`] knows of paths: names of unfinished uploads, and what a server may
//! take for something else than a name.

use crate::files::path::{self, join, parent};
use engine::fault::{Fault, FaultCode};

/// How many numbers [`engine::files::Existing::Number`] tries.
pub(crate) const NUMBER_MAX: u32 = 10_000;
/// What the names of unfinished uploads start and end with; they are not listed.
const UNFINISHED: (&str, &str) = (".mediary-", ".part");

/// Checks a path that has to stay below its folder, on servers for which a backslash stands between names too.
///
/// # Errors
/// `client.bad_request`.
pub(crate) fn check(path: &str) -> Result<(), Fault> {
    path::check(path)?;
    if path.contains('\\') {
        return Err(bad("has a backslash in it", path));
    }
    Ok(())
}

/// Checks a path that is said in a line: a line break in it would begin a second command.
///
/// # Errors
/// `client.bad_request`.
pub(crate) fn check_line(path: &str) -> Result<(), Fault> {
    check(path)?;
    if path.chars().any(char::is_control) {
        return Err(bad("has a control character in it", path));
    }
    Ok(())
}

fn bad(problem: &str, path: &str) -> Fault {
    let message = format!("The file's name {problem}.");
    Fault::new(FaultCode::BadRequest, message).with_detail(format!("{path:?}"))
}

/// A name next to this path that nobody else has.
pub(crate) fn unfinished(path: &str) -> String {
    let id = uuid::Uuid::new_v4().simple();
    let (start, end) = UNFINISHED;
    join(parent(path), &format!("{start}{id}{end}"))
}

/// Whether a name is one of [`unfinished`].
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED.0) && name.ends_with(UNFINISHED.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_name_everywhere_passes() {
        for good in ["a", "a/b.csv", "a b/ü", ".hidden", "..a"] {
            assert!(check_line(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "..", "a/../b", "a\\b", "a\0"] {
            assert_eq!(check(bad).expect_err(bad).code(), FaultCode::BadRequest);
        }
        assert!(check("a\nb").is_ok());
        assert!(check_line("a\r\nDELE b").is_err());
    }

    #[test]
    fn unfinished_uploads_lie_beside() {
        let name = unfinished("out/orders.csv");
        assert_eq!(parent(&name), "out");
        assert!(is_unfinished(path::name(&name)));
        assert!(!is_unfinished("orders.csv"));
    }
}
