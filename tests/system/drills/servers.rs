//! sshd and vsftpd are killed and started again in the middle of transfers, in both directions.

use super::ledger::{Ledger, number};
use super::load::Load;
use super::pickup::Stage;
use super::sources::{Folder, entries, files, ftp_connection, is_hidden, sftp_connection};
use super::{Drill, LIMIT, Outcome, Round, note};
use mediary_tests::{Gateway, Sshd, Vsftpd};
use std::path::Path;
use std::time::Duration;

/// How often in one round.
const RESTARTS: usize = 2;
/// How long a server is away, at most, in milliseconds.
const AWAY_MAX: usize = 1_000;
/// Large enough to be cut in two.
const BYTES: usize = 64 << 10;
/// Files in work, and those whose new place was not written yet, each time.
const PICKUP_MAX: usize = RESTARTS * (16 + 64 + 256);

/// A server that is killed and comes back.
trait Server {
    fn kill(&self);
    fn start(&self);
}

impl Server for Sshd {
    fn kill(&self) {
        self.kill();
    }

    fn start(&self) {
        self.start();
    }
}

impl Server for Vsftpd {
    fn kill(&self) {
        self.kill();
    }

    fn start(&self) {
        self.start();
    }
}

pub(super) static SSHD_PICKUP: Drill = Drill {
    name: "sshd killed twice, SFTP to HTTP",
    messages: (300, 2_000),
    bytes: BYTES,
    duplicates: "None: what was delivered is moved when the server is back. A file whose transfer was cut is read again before it is delivered.",
    run: |round| {
        let server = Sshd::start_new();
        picked_up(round, &server, &Folder::sftp(&server))
    },
};

pub(super) static VSFTPD_PICKUP: Drill = Drill {
    name: "vsftpd killed twice, FTP to HTTP",
    messages: (300, 2_000),
    bytes: BYTES,
    duplicates: "As with sshd.",
    run: |round| {
        let server = Vsftpd::plain();
        picked_up(round, &server, &Folder::ftp(&server))
    },
};

pub(super) static SSHD_UPLOAD: Drill = Drill {
    name: "sshd killed twice, HTTP to SFTP",
    messages: (300, 2_000),
    bytes: BYTES,
    duplicates: "None: a message is a file with a name of its own, and a second attempt replaces it.",
    run: |round| {
        let server = Sshd::start_new();
        let (connection, root) = (sftp_connection(&server), server.root());
        uploaded(round, &server, &connection, "sftp", &root)
    },
};

pub(super) static VSFTPD_UPLOAD: Drill = Drill {
    name: "vsftpd killed twice, HTTP to FTP",
    messages: (300, 2_000),
    bytes: BYTES,
    duplicates: "As with sshd.",
    run: |round| {
        let server = Vsftpd::plain();
        let (connection, root) = (ftp_connection(&server), server.root());
        uploaded(round, &server, &connection, "ftp", &root)
    },
};

fn picked_up(round: &mut Round, server: &dyn Server, folder: &Folder<'_>) -> Outcome {
    let points = round.middles(RESTARTS);
    let stage = Stage::start(round, folder);
    for point in points {
        stage.wait_for(point);
        restart(stage.round, server);
    }
    stage.finish(PICKUP_MAX)
}

fn restart(round: &mut Round, server: &dyn Server) {
    server.kill();
    std::thread::sleep(Duration::from_millis(round.random(0..AWAY_MAX) as u64));
    server.start();
}

fn uploaded(round: &mut Round, server: &dyn Server, connection: &str, kind: &str, root: &Path) -> Outcome {
    let endpoint =
        format!("{{ {kind}: {{ connection: partner, folder: out, name: \"${{query.name}}.txt\" }} }}");
    let gateway = Gateway::start(put(connection, &endpoint), &[]);
    let mut load = Load::start(format!("{}/in", gateway.url("http")), round.messages, round.bytes);
    for point in round.middles(RESTARTS) {
        assert!(
            load.reaches(LIMIT, |load| load.accepted() >= point),
            "{}",
            gateway.log()
        );
        restart(round, server);
    }
    load.ends(LIMIT);
    written(&load, &root.join("out"), round, &gateway)
}

/// A project that writes what is posted to `/in` to the endpoint `out`.
pub(super) fn put(connections: &str, endpoint: &str) -> String {
    format!(
        "{connections}endpoints:\n  out: {endpoint}\nproxies:\n  put:\n    from: {{ http: /in }}\n    to: out\n"
    )
}

/// Compares what was accepted with the files of a folder.
pub(super) fn written(load: &Load, folder: &Path, round: &Round, gateway: &Gateway) -> Outcome {
    let (ledger, accepted) = (Ledger::new(round.bytes), load.numbers());
    for path in files(folder) {
        let content = std::fs::read(&path).unwrap();
        if number(&content, round.bytes).is_none() {
            note(&format!("damaged: {}, {} bytes", path.display(), content.len()));
        }
        ledger.enter(&content);
    }
    let outcome = Outcome {
        refused: load.refused(),
        ..Outcome::of(&accepted, &ledger)
    };
    if !outcome.is_good(round.messages) {
        let missing = ledger.missing(&accepted);
        note(&format!(
            "missing: {missing:?}, refused: {:?}\n{}",
            load.refusals(),
            gateway.log()
        ));
    }
    outcome
}

/// How many temporary files a folder has.
pub(super) fn temporary_files(folder: &Path) -> usize {
    entries(folder).iter().filter(|path| is_hidden(path)).count()
}

#[test]
fn sshd_restarted_in_the_middle_of_a_pickup() {
    super::run(&SSHD_PICKUP);
}

#[test]
fn vsftpd_restarted_in_the_middle_of_a_pickup() {
    super::run(&VSFTPD_PICKUP);
}

#[test]
fn sshd_restarted_in_the_middle_of_an_upload() {
    super::run(&SSHD_UPLOAD);
}

#[test]
fn vsftpd_restarted_in_the_middle_of_an_upload() {
    super::run(&VSFTPD_UPLOAD);
}
