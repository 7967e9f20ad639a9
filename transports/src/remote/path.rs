//! Names of files on a server. They come from messages, so they are checked before a command is made of them: a line break in an
//! FTP command is a second command.

use engine::fault::{Fault, FaultCode};

/// Longest path, in bytes; as most systems have it.
const PATH_BYTES_MAX: usize = 4096;
/// Longest name between two `/`, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// How many numbers [`engine::files::Existing::Number`] tries.
pub(crate) const NUMBER_MAX: u32 = 10_000;
/// What the names of unfinished uploads start and end with; they are not listed.
const UNFINISHED: (&str, &str) = (".mediary-", ".part");

/// Checks a path that has to stay below its folder.
///
/// # Errors
/// `client.bad_request` for absolute paths, `..`, `.`, empty names, control characters and names that are too long.
pub(crate) fn check(path: &str) -> Result<(), Fault> {
    let problem = if path.is_empty() {
        "is empty"
    } else if path.starts_with('/') {
        "is absolute"
    } else if path.len() > PATH_BYTES_MAX || path.split('/').any(|name| name.len() > NAME_BYTES_MAX) {
        "is too long"
    } else if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        "has an empty name, `.` or `..` in it"
    } else if path
        .chars()
        .any(|character| character.is_control() || character == '\\')
    {
        "has a control character or a backslash in it"
    } else {
        return Ok(());
    };
    Err(Fault::new(
        FaultCode::BadRequest,
        format!("The path of the file {problem}."),
    ))
}

/// Checks a folder, for which an empty path stands for the root.
pub(crate) fn check_folder(folder: &str) -> Result<(), Fault> {
    if folder.is_empty() { Ok(()) } else { check(folder) }
}

/// A path below a folder; either may be empty.
pub(crate) fn join(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{}/{path}", folder.trim_end_matches('/')),
    }
}

/// The folder that a path lies in.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// `orders-1.csv` for `orders.csv`; zero stands for the name itself.
pub(crate) fn numbered(path: &str, number: u32) -> String {
    if number == 0 {
        return path.to_owned();
    }
    let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name_at..].rfind('.') {
        Some(dot) if dot > 0 => {
            let (stem, extension) = path.split_at(name_at + dot);
            format!("{stem}-{number}{extension}")
        }
        _ => format!("{path}-{number}"),
    }
}

/// A name next to this path that nobody else has.
pub(crate) fn unfinished(path: &str) -> String {
    let name = format!(
        "{}{}{}",
        UNFINISHED.0,
        uuid::Uuid::new_v4().simple(),
        UNFINISHED.1
    );
    join(parent(path), &name)
}

/// Whether a name in a listing is one that we can tell and use.
pub(crate) fn listed(name: &str) -> bool {
    let unfinished = name.starts_with(UNFINISHED.0) && name.ends_with(UNFINISHED.1);
    let usable = !name.contains(['/', char::REPLACEMENT_CHARACTER]) && check(name).is_ok();
    if !usable && !matches!(name, "" | "." | "..") {
        tracing::warn!(
            name = name.escape_debug().to_string(),
            "A file is left out: its name is no text that can be used."
        );
    }
    usable && !unfinished
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_folder_pass() {
        for good in ["a", "a/b.csv", "a b/ü", ".hidden", "..a"] {
            assert!(check(good).is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in [
            "",
            "/a",
            "..",
            "a/../b",
            "a//b",
            "./a",
            "a\r\nDELE b",
            "a\0",
            "a/",
            "a\\b",
            &long,
        ] {
            let fault = check(bad).expect_err(bad);
            assert_eq!(fault.code(), FaultCode::BadRequest);
        }
    }

    #[test]
    fn numbers_stand_before_the_extension() {
        assert_eq!(numbered("in.d/orders.csv", 2), "in.d/orders-2.csv");
        assert_eq!(numbered("in.d/orders", 1), "in.d/orders-1");
        assert_eq!(numbered(".profile", 1), ".profile-1");
        assert_eq!(numbered("a.b", 0), "a.b");
    }

    #[test]
    fn unfinished_uploads_lie_beside_and_are_not_listed() {
        let name = unfinished("out/orders.csv");
        assert_eq!(parent(&name), "out");
        assert!(!listed(name.rsplit('/').next().unwrap_or_default()));
        assert!(!listed("bad\u{fffd}name"));
        assert!(listed("orders.csv"));
    }
}
