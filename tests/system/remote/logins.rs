//! The ways to log in, and whom a password or a key is never shown to.

use super::{Site, backend, eventually, health, trusting, works_both_ways};
use mediary_tests::{FtpTls, Gateway, PyFtpd, PySftpd, Sshd, Vsftpd, certificates, post, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn sftp_with_a_key() {
    let server = Sshd::start_new();
    works_both_ways(&Site::sshd(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_with_a_key_that_has_a_passphrase() {
    let server = Sshd::start_new();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::copy(server.client_key(), &key).unwrap();
    let mut keygen = std::process::Command::new("ssh-keygen");
    let changed = keygen
        .args(["-q", "-p", "-P", "", "-N", "open sesame", "-f"])
        .arg(&key)
        .output();
    assert!(changed.unwrap().status.success());
    let site = |more: &str| Site {
        connection: format!(
            "port: {}, user: {}, key: \"{}\", host_key: \"{}\"{more}",
            server.port(),
            server.user(),
            key.display(),
            server.host_key()
        ),
        ..Site::sshd(&server)
    };
    works_both_ways(&site(", passphrase: open sesame")).await;
    let end = Gateway::try_start(site(", passphrase: wrong").project(&backend()), &[]);
    assert!(end.expect_err("it must not start").stderr.contains("passphrase"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_with_a_file_of_known_hosts() {
    let server = Sshd::start_new();
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("known_hosts");
    std::fs::write(&known, server.known_hosts_line() + "\n").unwrap();
    works_both_ways(&Site::sshd_with(
        &server,
        &format!("known_hosts: \"{}\"", known.display()),
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_with_a_password() {
    let server = PySftpd::with_password();
    works_both_ways(&Site::py_sftpd(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_with_a_password_in_a_dialogue() {
    let server = PySftpd::with_dialogue();
    works_both_ways(&Site::py_sftpd(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ftp() {
    let server = Vsftpd::plain();
    works_both_ways(&Site::vsftpd(&server, "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ftp_with_listings_for_machines() {
    let server = PyFtpd::plain();
    works_both_ways(&Site::py_ftpd(&server, "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ftps_explicit_and_implicit() {
    let certificates = certificates();
    let (_folder, ca) = trusting(&certificates);
    let server = Vsftpd::explicit_tls(&certificates);
    works_both_ways(&Site::vsftpd(&server, &format!(", tls: explicit{ca}"))).await;
    let server = Vsftpd::implicit_tls(&certificates);
    works_both_ways(&Site::vsftpd(&server, &format!(", tls: implicit{ca}"))).await;
    let server = PyFtpd::with(FtpTls::Implicit(&certificates));
    works_both_ways(&Site::py_ftpd(&server, &format!(", tls: implicit{ca}"))).await;
}

/// The listener is down for this reason, and so is the sender.
async fn is_refused(site: &Site, reason: &str) {
    let backend = backend();
    site.drop_file("a.csv", "1");
    let gateway = Gateway::start(site.project(&backend), &[]);
    // Once it has failed it is no longer "starting".
    let mut problem = String::new();
    eventually("the first login", || {
        problem = wait_for(health(&gateway, "down"))["problem"].to_string();
        problem != "\"starting\""
    });
    assert!(problem.contains(reason), "{problem}");
    let url = format!("{}/put?name=b.txt", gateway.url("http"));
    let answer = post(&url, "text/csv", "1").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.json()["code"], "backend.connect", "{}", answer.text());
    assert_eq!(site.names("in"), ["a.csv"]);
    std::fs::remove_file(site.root.join("in/a.csv")).unwrap();
    assert_eq!(site.names("out"), [""; 0]);
    assert!(backend.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_verified_unless_told_otherwise() {
    let certificates_of_another = certificates();
    let (_folder, other) = trusting(&certificates_of_another);
    let certificates = certificates();
    let (_own, ca) = trusting(&certificates);
    for (tls, mode) in [
        (FtpTls::Explicit(&certificates), "explicit"),
        (FtpTls::Implicit(&certificates), "implicit"),
    ] {
        let server = PyFtpd::with(tls);
        let site = |more: &str| Site::py_ftpd(&server, &format!(", tls: {mode}{more}"));
        is_refused(&site(""), "certificate").await;
        is_refused(&site(&other), "certificate").await;
        is_refused(
            &site(&format!("{ca}, server_name: partner.example")),
            "certificate",
        )
        .await;
        let commands = server.commands_until(|commands| !commands.is_empty());
        assert!(
            !commands.iter().any(|(_, command)| command.starts_with("USER")),
            "no login is tried: {commands:?}"
        );
        works_both_ways(&site(", insecure_skip_verify: true")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_key_is_verified() {
    let (server, other) = (Sshd::start_new(), Sshd::start_new());
    let wrong = format!("host_key: \"{}\"", other.host_key());
    is_refused(&Site::sshd_with(&server, &wrong), "host key differs").await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("known_hosts");
    let line = format!("[127.0.0.1]:{} {}\n", server.port(), other.host_key());
    std::fs::write(&known, line).unwrap();
    let wrong = format!("known_hosts: \"{}\"", known.display());
    is_refused(&Site::sshd_with(&server, &wrong), "host key differs").await;
    assert!(!server.log().contains("Accepted"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_host_key_is_a_mistake() {
    let server = Sshd::start_new();
    let site = Site::sshd_with(&server, "timeout: 5s");
    let project = site
        .project(&backend())
        .replace(", timeout: 5s, timeout: 5s", ", timeout: 5s");
    let end = Gateway::try_start(project, &[]).expect_err("it must not start");
    assert_eq!(end.code, Some(1), "{}", end.output());
    assert!(
        end.stderr
            .contains("one of `host_key` and `known_hosts` is required"),
        "{}",
        end.output()
    );
}

/// A password that was wrong is put right by a reload, in the listener and in the sender.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_with_another_password_logs_in_anew() {
    for kind in ["ftp", "sftp"] {
        let (ftp, sftp) = (PyFtpd::plain(), PySftpd::with_password());
        let (site, password) = match kind {
            "ftp" => (Site::py_ftpd(&ftp, ""), ftp.password()),
            _ => (Site::py_sftpd(&sftp), sftp.password()),
        };
        let backend = backend();
        let right = site.project(&backend);
        let setting = |password: &str| format!("password: {password},");
        let wrong = right.replace(&setting(password), &setting("mistaken"));
        assert_ne!(wrong, right);
        site.drop_file("a.csv", "1");
        let gateway = Gateway::start(wrong, &[]);
        let put = async || {
            let url = format!("{}/put?name=b.txt", gateway.url("http"));
            post(&url, "text/csv", "1").await
        };
        health(&gateway, "down").await;
        assert_eq!(put().await.status, 502);
        gateway.project().write("mediary.yaml", right);
        gateway.reload();
        assert_eq!(backend.wait_for_requests(1)[0].header("x-file"), "a.csv");
        health(&gateway, "up").await;
        put().await.expect_status(200);
        assert_eq!(site.names("out/a"), ["b.txt"]);
    }
}
