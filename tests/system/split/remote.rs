//! Files on servers in parts: the download streams, is no larger in memory, and goes on where it broke.

use super::counting::Counting;
use super::{HEADER, MEMORY_MAX, PATIENCE, eventually, project, row, write_rows};
use mediary_tests::{FileClient, Gateway, Project, Sshd, Vsftpd, eventually_within};
use std::time::Duration;

/// Each of 1 KiB.
const ROWS: u64 = 40 << 10;
/// How long a server is away.
const OUTAGE: Duration = Duration::from_millis(300);

/// A project that takes the rows of the files in the folder `in` of a server.
fn rows_from(kind: &str, settings: &str, backend: &Counting) -> Project {
    let project = project(
        &backend.url(),
        "split: { into: rows, group: 100 }, after: delete",
        &format!("connections: {{ partner: {{ {kind}: {{ host: 127.0.0.1, {settings} }} }} }}"),
    );
    let yaml = std::fs::read_to_string(project.folder().join("mediary.yaml")).unwrap();
    let folder = format!("{kind}: {{ connection: partner, folder: in");
    project.write("mediary.yaml", yaml.replace("file: { folder: data/in", &folder));
    project
}

/// Every row arrives once, in order, byte for byte, although the server is killed and started again on the way.
fn a_large_csv(client: &FileClient, kind: &str, settings: &str, kill: impl FnOnce(), start: impl FnOnce()) {
    let backend = Counting::start(HEADER, row);
    let local = tempfile::tempdir().unwrap();
    let file = local.path().join("big.csv");
    write_rows(&file, ROWS);
    client.make_folder("in");
    client.put_path(&file, "in/.big.csv");
    client.rename("in/.big.csv", "in/big.csv");
    let gateway = Gateway::start(rows_from(kind, settings, &backend), &[]);
    let arrived = |rows| {
        eventually_within(PATIENCE * 2, "the arrival of the rows", || {
            assert_eq!(backend.problem(), None, "{}", gateway.log());
            backend.rows() >= rows
        });
    };
    arrived(ROWS / 4);
    kill();
    std::thread::sleep(OUTAGE);
    start();
    arrived(ROWS);
    let peak = gateway.memory().peak_bytes;
    assert!(peak < MEMORY_MAX, "{} MiB by {kind}", peak >> 20);
    eventually("the deletion", || {
        client.list("in").iter().all(|name| name.starts_with('.'))
    });
    assert_eq!((backend.rows(), backend.problem()), (ROWS, None));
}

#[test]
fn a_large_csv_from_an_sftp_server_that_restarts() {
    let server = Sshd::start_new();
    let settings = format!(
        "port: {}, user: {}, key: \"{}\", host_key: \"{}\"",
        server.port(),
        server.user(),
        server.client_key().display(),
        server.host_key()
    );
    let client = server.client();
    a_large_csv(&client, "sftp", &settings, || server.kill(), || server.start());
}

#[test]
fn a_large_csv_from_an_ftp_server_that_restarts() {
    let server = Vsftpd::plain();
    let settings = format!(
        "port: {}, user: {}, password: {}",
        server.port(),
        server.user(),
        server.password()
    );
    let client = server.client();
    a_large_csv(&client, "ftp", &settings, || server.kill(), || server.start());
}
