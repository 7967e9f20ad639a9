//! The store itself: what is written, and that nothing leads out.

use crate::file::local::LocalFolder;
use bytes::Bytes;
use engine::files::{Existing, FileStore};
use engine::payload::full;
use std::fs;

fn body(text: &'static str) -> engine::payload::Body {
    full(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn existing_files_are_treated_as_told() {
    let root = tempfile::tempdir().unwrap();
    let store = LocalFolder::new(root.path().join("out"));
    let write = async |path, text, existing| store.write(path, body(text), existing).await;
    assert_eq!(write("a/b.csv", "1", Existing::Refuse).await.unwrap(), "a/b.csv");
    assert_eq!(
        write("a/b.csv", "2", Existing::Refuse).await.unwrap_err().name(),
        "client.conflict"
    );
    assert_eq!(
        write("a/b.csv", "3", Existing::Number).await.unwrap(),
        "a/b-1.csv"
    );
    assert_eq!(write("a/b.csv", "4", Existing::Append).await.unwrap(), "a/b.csv");
    assert_eq!(fs::read_to_string(root.path().join("out/a/b.csv")).unwrap(), "14");
    write("a/b.csv", "5", Existing::Replace).await.unwrap();
    assert_eq!(fs::read_to_string(root.path().join("out/a/b.csv")).unwrap(), "5");
    let long = "n".repeat(255);
    assert_eq!(write(&*long, "6", Existing::Refuse).await.unwrap(), long);
    assert_eq!(super::names(&root.path().join("out/a")), ["b-1.csv", "b.csv"]);
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_leads_out_of_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    fs::create_dir_all(&out).unwrap();
    fs::write(root.path().join("secret"), "s").unwrap();
    std::os::unix::fs::symlink(root.path(), out.join("up")).unwrap();
    std::os::unix::fs::symlink(root.path().join("secret"), out.join("link")).unwrap();
    let store = LocalFolder::new(out);
    for path in [
        "../secret",
        "/etc/passwd",
        "a/../../secret",
        "up/secret",
        "link",
        "a\0b",
        "",
        "up/new/x",
    ] {
        let bad = "client.bad_request";
        for existing in [
            Existing::Replace,
            Existing::Append,
            Existing::Number,
            Existing::Refuse,
        ] {
            assert_eq!(
                store.write(path, body("x"), existing).await.unwrap_err().name(),
                bad,
                "{path:?}"
            );
        }
        assert_eq!(store.read(path, 0).await.err().unwrap().name(), bad, "{path:?}");
        assert_eq!(store.delete(path).await.unwrap_err().name(), bad, "{path:?}");
        assert_eq!(store.info(path).await.unwrap_err().name(), bad, "{path:?}");
        assert_eq!(
            store.rename(path, "x", true).await.unwrap_err().name(),
            bad,
            "{path:?}"
        );
    }
    assert_eq!(fs::read_to_string(root.path().join("secret")).unwrap(), "s");
    assert_eq!(super::names(root.path()), ["out", "secret"]);
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_is_not_read() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("folder")).unwrap();
    let pipe = root.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let store = LocalFolder::new(root.path().to_owned());
    for name in ["folder", "pipe", "none"] {
        let read = tokio::time::timeout(std::time::Duration::from_secs(10), store.read(name, 0));
        let Err(fault) = read.await.expect("nobody waits for the writer of a pipe") else {
            panic!("{name} was read");
        };
        assert_eq!(fault.name(), "client.not_found", "{name}");
    }
}
