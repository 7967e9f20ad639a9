//! Paths below a folder: what is one, and how names are varied.

use engine::fault::{Fault, FaultCode};

/// Most bytes of one name, as nearly all file systems have it.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// Most bytes of a path.
const PATH_BYTES_MAX: usize = 4000;

/// Checks that a path names something below a folder: relative, no `.` or `..`, no empty names, no NUL.
///
/// # Errors
/// `client.bad_request`.
pub(crate) fn check(path: &str) -> Result<(), Fault> {
    let bad = |what: &str| {
        Err(
            Fault::new(FaultCode::BadRequest, format!("The file's name {what}."))
                .with_detail(format!("{path:?}")),
        )
    };
    if path.is_empty() {
        return bad("is empty");
    }
    if path.starts_with('/') || path.starts_with('\\') {
        return bad("is absolute");
    }
    if path.contains('\0') {
        return bad("has a NUL");
    }
    if path.len() > PATH_BYTES_MAX || path.split('/').any(|name| name.len() > NAME_BYTES_MAX) {
        return bad("is too long");
    }
    if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return bad("leads out of the folder or is incomplete");
    }
    Ok(())
}

/// The last name of a path.
pub(crate) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The folders before the last name; empty where there are none.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// A path below a folder; either may be empty.
pub(crate) fn join(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{}/{path}", folder.trim_end_matches('/')),
    }
}

/// The path of another file in the same folder as `path`.
///
/// # Errors
/// `client.bad_request` where `name` is no name but a path.
pub(crate) fn beside(path: &str, name: &str) -> Result<String, Fault> {
    if name.contains('/') {
        let fault = Fault::new(
            FaultCode::BadRequest,
            "The file's new name leads to another folder.",
        );
        return Err(fault.with_detail(format!("{name:?}")));
    }
    check(name)?;
    Ok(join(parent(path), name))
}

/// A path with something before its extension: `orders-1.csv`. The name is cut where it would get too long.
pub(crate) fn numbered(path: &str, mark: &str) -> String {
    let name = name(path);
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    let room = NAME_BYTES_MAX.saturating_sub(extension.len() + mark.len() + 1);
    let stem = cut(stem, room);
    join(parent(path), &format!("{stem}-{mark}{extension}"))
}

/// The longest beginning of at most so many bytes.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether a name on the way is hidden.
pub(crate) fn hidden(path: &str) -> bool {
    path.split('/').any(|name| name.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_folder() {
        for good in ["a", "a/b.csv", "a b\nc", "..a", "ü"] {
            assert!(check(good).is_ok(), "{good:?}");
        }
        let long = "x".repeat(256);
        for bad in [
            "",
            "/a",
            "..",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\0b",
            "\\\\host\\a",
            &long,
        ] {
            assert_eq!(check(bad).unwrap_err().name(), "client.bad_request", "{bad:?}");
        }
    }

    #[test]
    fn folders_and_paths_join() {
        assert_eq!(join("", "a"), "a");
        assert_eq!(join("a", ""), "a");
        assert_eq!(join("a/", "b/c"), "a/b/c");
        assert_eq!(join("/", "a"), "/a");
    }

    #[test]
    fn numbers_stand_before_the_extension() {
        assert_eq!(numbered("a/b.csv", "1"), "a/b-1.csv");
        assert_eq!(numbered("b", "2"), "b-2");
        assert_eq!(numbered(".b", "2"), ".b-2");
        let long = format!("{}.csv", "ü".repeat(125));
        assert!(numbered(&long, "12").len() <= NAME_BYTES_MAX);
    }
}
