//! Servers that are away, credentials that are valid only later, and a gateway that dies: the listener recovers, and nothing is lost.

use super::{Site, backend, eventually, health};
use mediary_tests::{Backend, Gateway, PyFtpd, PySftpd, Recorded, Reply, Sshd, Vsftpd, post};
use std::collections::HashMap;
use std::time::Duration;

/// A server that does not let us in at first, goes away, and comes back.
async fn recovers(site: &Site, admit: impl Fn(bool), kill: impl Fn(), start: impl Fn()) {
    let backend = backend();
    admit(false);
    site.drop_file("early.csv", "early");
    let mut gateway = Gateway::start(site.project(&backend), &[]);
    gateway.wait_for_log("The file server refused the login");
    gateway.wait_for_log("the listener is down");
    let problem = health(&gateway, "down").await["problem"].to_string();
    assert!(problem.contains("refused the login"), "{problem}");
    assert!(backend.requests().is_empty());
    let url = format!("{}/put?name=x.txt", gateway.url("http"));
    assert_eq!(post(&url, "text/plain", "x").await.status, 502);

    admit(true);
    assert_eq!(backend.wait_for_requests(1)[0].text(), "early");
    gateway.wait_for_log("the listener is up");
    health(&gateway, "up").await;
    post(&url, "text/plain", "first").await.expect_status(200);
    assert_eq!(site.file("out/a/x.txt"), b"first");

    kill();
    health(&gateway, "down").await;
    assert_eq!(post(&url, "text/plain", "x").await.status, 502);
    site.drop_file("late.csv", "late");
    start();
    assert_eq!(backend.wait_for_requests(2)[1].text(), "late");
    health(&gateway, "up").await;
    post(&url, "text/plain", "second").await.expect_status(200);
    assert_eq!(site.file("out/a/x.txt"), b"second");
    eventually("the archive", || {
        site.names("in/.done") == ["early.csv", "late.csv"]
    });
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_at_vsftpd_that_is_valid_only_later() {
    let server = Vsftpd::plain();
    let site = Site::vsftpd(&server, "");
    let admit = |admit| server.set_password(if admit { server.password() } else { "another" });
    recovers(&site, admit, || server.kill(), || server.start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_at_pyftpdlib_that_is_valid_only_later() {
    let server = PyFtpd::plain();
    let admit = |admit: bool| server.refuse_logins(!admit);
    recovers(
        &Site::py_ftpd(&server, ""),
        admit,
        || server.kill(),
        || server.start(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_at_sshd_that_is_valid_only_later() {
    let server = Sshd::start_new();
    let admit = |admit| server.accept_client_key(admit);
    recovers(&Site::sshd(&server), admit, || server.kill(), || server.start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_a_dialogue_that_is_valid_only_later() {
    let server = PySftpd::with_dialogue();
    let admit = |admit: bool| server.refuse_logins(!admit);
    recovers(
        &Site::py_sftpd(&server),
        admit,
        || server.kill(),
        || server.start(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_at_the_start_is_waited_for() {
    let (server, backend) = (Sshd::start_new(), backend());
    let site = Site::sshd(&server);
    server.kill();
    let mut gateway = Gateway::start(site.project(&backend), &[]);
    gateway.wait_for_log("the listener is down");
    site.drop_file("late.csv", "1");
    server.start();
    assert_eq!(backend.wait_for_requests(1)[0].text(), "1");
    gateway.wait_for_log("the listener is up");
}

/// How often each file arrived; each with its own content. What broke off in the middle did not arrive.
pub(super) fn arrivals(requests: &[Recorded]) -> HashMap<String, usize> {
    let mut arrivals = HashMap::new();
    for request in requests.iter().filter(|request| request.complete) {
        let name = request.header("x-file").to_owned();
        assert_eq!(request.text(), content(&name));
        *arrivals.entry(name).or_insert(0) += 1;
    }
    arrivals
}

fn content(name: &str) -> String {
    format!("this is {name}")
}

/// That many files, each with content of its own.
pub(super) fn drop_files(site: &Site, count: usize) {
    for number in 0..count {
        let name = format!("f{number:04}.csv");
        site.drop_file(&name, content(&name));
    }
}

/// A backend that takes this long for each.
pub(super) fn slow_backend(delay: Duration) -> Backend {
    Backend::replying(Reply::status(200).delay(delay))
}

/// A gateway that is killed in the middle loses none; the next one takes over what it had.
fn survives_a_kill(site: &Site) {
    const FILES: usize = 150;
    let backend = slow_backend(Duration::from_millis(5));
    drop_files(site, FILES);
    let listener = "every: 100ms, concurrency: 4, lease: 1s";
    let project = site.project_with(&backend.url(), listener, "existing: replace");
    let gateway = Gateway::start(project, &[]);
    backend.wait_for_requests(FILES / 3);
    let project = gateway.kill();
    let before = backend.requests().len();
    assert!(before < FILES, "it was killed in the middle");
    let _gateway = Gateway::start(project, &[]);
    eventually("the archive of all", || site.names("in/.done").len() == FILES);
    let arrivals = arrivals(&backend.requests());
    assert_eq!(arrivals.len(), FILES, "none is lost");
    let twice = arrivals.values().map(|count| count - 1).sum::<usize>();
    // Four are delivered at once, as many wait to be settled, and as many are being settled.
    assert!(twice <= 12, "{}: {twice} of {FILES} came twice", site.kind);
    assert_eq!(
        site.names("in")
            .iter()
            .filter(|name| !name.starts_with('.'))
            .count(),
        0
    );
}

#[test]
fn a_kill_in_the_middle_of_a_pickup_by_sftp_loses_nothing() {
    let server = Sshd::start_new();
    survives_a_kill(&Site::sshd(&server));
}

#[test]
fn a_kill_in_the_middle_of_a_pickup_by_ftp_loses_nothing() {
    let server = Vsftpd::plain();
    survives_a_kill(&Site::vsftpd(&server, ""));
}
