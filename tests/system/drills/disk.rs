//! The disk is full for the file sender and for the durable store, and has room again later. The disk is a small file system in memory
//! (tmpfs), which only root may mount; vsftpd needs root too.

use super::ledger::Ledger;
use super::load::Load;
use super::servers::{put, temporary_files, written};
use super::sources::files;
use super::stored::Stored;
use super::{Drill, LIMIT};
use mediary_tests::{Backend, Gateway, Reply};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// How many messages have to be refused before there is room again.
const REFUSED: usize = 50;
/// A file takes this many bytes at least.
const PAGE: usize = 4096;
/// What a store may take beyond its messages.
const STORE_OVERHEAD: usize = 4;

pub(super) static FOLDER: Drill = Drill {
    name: "Disk full, HTTP to files",
    messages: (500, 10_000),
    bytes: PAGE,
    duplicates: "None: a message is a file with a name of its own.",
    run: |round| {
        let room = round.middle() * PAGE;
        let disk = SmallDisk::new(room, 2 * round.messages * PAGE);
        let folder = disk.path().join("out");
        let endpoint = format!(
            "{{ file: {{ folder: \"{}\", name: \"${{query.name}}.txt\" }} }}",
            folder.display()
        );
        let gateway = Gateway::start(put("", &endpoint), &[]);
        let mut load = Load::start(format!("{}/in", gateway.url("http")), round.messages, round.bytes);
        refused_clearly(&load, &gateway);
        let (accepted, ledger) = (load.numbers(), Ledger::new(round.bytes));
        for path in files(&folder) {
            ledger.enter(&std::fs::read(path).unwrap());
        }
        assert_eq!(ledger.missing(&accepted), [0; 0], "lost while the disk is full");
        disk.make_room();
        load.ends(LIMIT);
        assert_eq!(temporary_files(&folder), 0, "temporary files are left");
        written(&load, &folder, round, &gateway)
    },
};

pub(super) static STORE: Drill = Drill {
    name: "Disk full, durable store",
    messages: (500, 2_000),
    bytes: 8_000,
    duplicates: "None: the backend is away until there is room again.",
    run: |round| {
        let room = round.middle() * round.bytes;
        let disk = SmallDisk::new(room, STORE_OVERHEAD * round.messages * round.bytes);
        let open = Arc::new(AtomicBool::new(false));
        let ledger = Ledger::new(round.bytes);
        let backend = gated(&ledger, &open);
        let stored = Stored::with(round, disk.path(), ledger, backend);
        refused_clearly(&stored.load, &stored.gateway);
        disk.make_room();
        let wanted = round.messages;
        assert!(
            stored.load.reaches(LIMIT, |load| load.accepted() >= wanted),
            "{}",
            stored.gateway.log()
        );
        open.store(true, Ordering::SeqCst);
        stored.finish(0)
    },
};

/// Waits until enough messages were refused: with a status of the server, and a code that says why.
fn refused_clearly(load: &Load, gateway: &Gateway) {
    let enough = load.reaches(LIMIT, |load| load.refused() >= REFUSED);
    assert!(
        enough,
        "the disk never got full: {:?}\n{}",
        load.refusals(),
        gateway.log()
    );
    for refusal in load.refusals().keys() {
        let clear = refusal.starts_with('5') && !refusal.contains("without a code");
        assert!(clear, "{:?}\n{}", load.refusals(), gateway.log());
    }
}

/// A backend that is away until it opens.
fn gated(ledger: &Ledger, open: &Arc<AtomicBool>) -> Backend {
    let (ledger, open) = (ledger.clone(), Arc::clone(open));
    Backend::start(move |request| {
        if !open.load(Ordering::SeqCst) {
            return Reply::status(503);
        }
        if request.complete {
            ledger.enter(&request.body);
        }
        Reply::status(200)
    })
}

/// A file system that has little room until a file is deleted; unmounted when dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// With room for so many bytes now, and for so many more later.
    fn new(room: usize, more: usize) -> Self {
        let folder = TempDir::with_prefix("mediary-disk-").unwrap();
        let size = format!("size={}", (room + more).next_multiple_of(PAGE));
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path());
        let output = mount.output().unwrap();
        assert!(output.status.success(), "only root may mount: {output:?}");
        let disk = Self { folder };
        std::fs::write(disk.path().join("filler"), vec![0; more]).unwrap();
        disk
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a gateway that is still there keeps its files until it ends.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_for_the_file_sender() {
    super::run(&FOLDER);
}

#[test]
fn a_full_disk_for_the_store() {
    super::run(&STORE);
}
