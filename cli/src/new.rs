//! `mediary new`: a small project that works, with a test, to start from.

use crate::arguments::NewOptions;
use crate::console::{CODE, Console, End, paint};
use std::io;
use std::path::Path;

/// The files of a new project.
const FILES: [(&str, &str); 3] = [
    ("mediary.yaml", include_str!("new/mediary.yaml")),
    ("hello.test.yaml", include_str!("new/hello.test.yaml")),
    ("README.md", include_str!("new/README.md")),
];

/// Runs the command.
pub fn run(options: &NewOptions, console: &mut Console) -> End {
    let folder = &options.folder;
    if let Err(problem) = prepare_folder(folder) {
        console.error(problem);
        return End::Problems;
    }
    for (name, text) in FILES {
        if let Err(error) = std::fs::write(folder.join(name), text) {
            console.error(format_args!("{}: {error}", folder.join(name).display()));
            return End::Problems;
        }
        console.say(format_args!("wrote {}", folder.join(name).display()));
    }
    console.say("\nWhat to do next:");
    let folder = folder.display();
    for command in ["check", "test", "run"] {
        console.say(format_args!(
            "  {}",
            paint(CODE, format_args!("mediary {command} {folder}"))
        ));
    }
    End::Fine
}

/// Makes a folder, or sees to it that the one there is empty.
///
/// # Errors
/// Why files cannot be put there, as a sentence.
pub fn prepare_folder(folder: &Path) -> Result<(), String> {
    let problem = |error: io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(problem)?;
    let mut entries = std::fs::read_dir(folder).map_err(problem)?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(format!(
            "`{}` is not empty; nothing was written",
            folder.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::console::End;
    use crate::testing::{folder, mediary};

    #[test]
    fn a_new_project_passes_its_checks_and_tests() {
        let folder = folder(&[]);
        let path = folder.path().join("shop");
        let path = path.to_str().unwrap();
        assert_eq!(mediary(&["new", path]).end, End::Fine);
        let checked = mediary(&["check", path]);
        assert_eq!(checked.end, End::Fine, "{}", checked.err);
        let tested = mediary(&["test", path]);
        assert_eq!(tested.end, End::Fine, "{}{}", tested.out, tested.err);
        assert!(
            tested.out.contains("steps reached: 3 of 3 (100 %)"),
            "{}",
            tested.out
        );
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = folder(&[("mine.txt", "x")]);
        let ran = mediary(&["new", folder.path().to_str().unwrap()]);
        assert_eq!(ran.end, End::Problems);
        assert!(ran.err.contains("is not empty"), "{}", ran.err);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
