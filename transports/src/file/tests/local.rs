//! The store itself: what is written, and that nothing leads out.

use crate::file::alive;
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

#[cfg(target_os = "linux")]
#[test]
fn marks_are_abandoned_with_their_process() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("owner/alive");
    assert!(!alive::is_abandoned(&path), "nobody knows");
    let held = alive::mark(&path).unwrap();
    assert!(held.is_some() && !alive::is_abandoned(&path));
    drop(held);
    assert!(alive::is_abandoned(&path));
    fs::write(&path, "another machine").unwrap();
    assert!(!alive::is_abandoned(&path), "its locks may not be seen here");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn unfinished_files_of_writers_that_are_gone_are_removed() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let (gone, alive_still) = (alive::unfinished(), alive::unfinished());
    let elsewhere = ".mediary-00000000-0.part";
    for name in [&gone, &alive_still, elsewhere, ".mediary-x", "a.part"] {
        fs::write(at(name), "x").unwrap();
    }
    let writer = fs::File::open(at(&alive_still)).unwrap();
    writer.lock().unwrap();
    let store = LocalFolder::new(root.path().to_owned());
    store.write("b", body("1"), Existing::Replace).await.unwrap();
    let mut left = [".mediary-x", elsewhere, &alive_still, "a.part", "b"];
    left.sort_unstable();
    assert_eq!(super::names(root.path()), left);
    let old = fs::File::options().write(true).open(at(elsewhere)).unwrap();
    old.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(90_000))
        .unwrap();
    drop((old, writer));
    LocalFolder::listened_to(root.path().to_owned())
        .list("", false, 10)
        .await
        .unwrap();
    assert_eq!(super::names(root.path()), [".mediary-x", "a.part", "b"]);
}
