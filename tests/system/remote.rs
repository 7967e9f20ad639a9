//! Files on FTP and SFTP servers: picked up from real servers with foreign clients at the other end, and written so that they appear whole.

use mediary_tests::{Backend, FileClient, Gateway, PyFtpd, Reply, Sshd, Vsftpd, certificates, post};
use serde_json::json;
use std::path::Path;

/// A proxy from `in` to the backend and one from HTTP to `out`, over this connection.
fn project(kind: &str, connection: &str, backend: &Backend) -> String {
    format!(
        "settings: {{ listeners: {{ http: {{ port: 0 }} }}, management: {{ port: 0 }} }}\nconnections:\n  partner: {{ {kind}: {{ host: 127.0.0.1, {connection}, timeout: 5s }} }}\nendpoints:\n  backend: {{ http: \"{}\" }}\n  out: {{ {kind}: {{ connection: partner, folder: out, name: \"a/${{query.name}}\" }} }}\nproxies:\n  pickup:\n    from: {{ {kind}: {{ connection: partner, folder: in, pattern: \"*.csv\", every: 100ms }} }}\n    steps: [ {{ set: {{ headers.x-file: \"${{source.name}}\" }} }}, {{ call: backend }} ]\n  put: {{ from: {{ http: /put }}, steps: [ {{ call: out }}, respond ] }}\n",
        backend.url()
    )
}

/// A file is picked up once it has its name, and archived; what is sent is there whole.
async fn works_both_ways(project: &str, backend: &Backend, client: &FileClient, root: &Path) {
    client.make_folder("in");
    let gateway = Gateway::start(project, &[]);
    let content = "id,amount\n1,2.5\n".repeat(5_000);
    client.put("in/orders.part", &content);
    client.rename("in/orders.part", "in/orders.csv");
    let request = &backend.wait_for_requests(1)[0];
    assert!(request.text() == content, "{} bytes", request.text().len());
    assert_eq!(request.header("x-file"), "orders.csv");

    let url = format!("{}/put?name=b.txt", gateway.url("http"));
    post(&url, "text/csv", content.clone()).await.expect_status(200);
    assert!(client.get("out/a/b.txt") == content.as_bytes());
    assert_eq!(client.list("out/a"), ["b.txt"], "no temporary file is left");
    drop(gateway);
    assert_eq!(
        std::fs::read_to_string(root.join("in/.done/orders.csv")).unwrap(),
        content
    );
    assert_eq!(backend.requests().len(), 1);
}

fn backend() -> Backend {
    Backend::replying(Reply::json(&json!({"ok": true})))
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_with_a_key_both_ways() {
    let (server, backend) = (Sshd::start_new(), backend());
    let connection = format!(
        "port: {}, user: {}, key: \"{}\", host_key: \"{}\"",
        server.port(),
        server.user(),
        server.client_key().display(),
        server.host_key()
    );
    let project = project("sftp", &connection, &backend);
    works_both_ways(&project, &backend, &server.client(), &server.root()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ftp_both_ways() {
    let (server, backend) = (Vsftpd::plain(), backend());
    let connection = format!(
        "port: {}, user: {}, password: {}",
        server.port(),
        server.user(),
        server.password()
    );
    let project = project("ftp", &connection, &backend);
    works_both_ways(&project, &backend, &server.client(), &server.root()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ftps_with_a_checked_certificate_both_ways() {
    let certificates = certificates();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, &certificates.authority).unwrap();
    let (server, backend) = (Vsftpd::explicit_tls(&certificates), backend());
    let connection = format!(
        "port: {}, user: {}, password: {}, tls: explicit, ca: \"{}\"",
        server.port(),
        server.user(),
        server.password(),
        authority.display()
    );
    let project = project("ftp", &connection, &backend);
    works_both_ways(&project, &backend, &server.client(), &server.root()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_at_the_start_is_waited_for() {
    let (server, backend) = (PyFtpd::plain(), backend());
    server.kill();
    let connection = format!(
        "port: {}, user: {}, password: {}",
        server.port(),
        server.user(),
        server.password()
    );
    let project = project("ftp", &connection, &backend);
    let mut gateway = Gateway::start(project.as_str(), &[]);
    gateway.wait_for_log("the listener is down");
    server.start();
    let client = server.client();
    std::fs::create_dir_all(server.root().join("in")).unwrap();
    client.put("in/late.part", "1");
    client.rename("in/late.part", "in/late.csv");
    assert_eq!(backend.wait_for_requests(1)[0].text(), "1");
    gateway.wait_for_log("the listener is up");
}
