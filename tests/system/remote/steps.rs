//! The steps on files do the same in a local folder and on servers: list, read, look for, delete.

use super::{Site, backend};
use http_body_util::Empty;
use mediary_tests::{Answer, Client, Gateway, PyFtpd, Sshd, Vsftpd};
use serde_json::json;
use std::path::Path;

const ROUTES: &str = r#"apis:
  files:
    context: /files
    routes:
      GET /:
        - list_files: { endpoint: box, pattern: "*.csv", into: files }
        - respond: { payload: { names: "${vars.files | map(attribute='name') | sort}", sizes: "${vars.files | map(attribute='size') | list}" } }
      GET /{name}:
        - read_file: { endpoint: box, name: "${params.name}" }
        - respond
      GET /{name}/there:
        - file_exists: { endpoint: box, name: "${params.name}", into: there }
        - respond: { payload: { there: "${vars.there}" } }
      DELETE /{name}:
        - delete_file: { endpoint: box, name: "${params.name}" }
        - respond: { status: 204 }
"#;

async fn ask(gateway: &Gateway, method: &str, path: &str) -> Answer {
    let request = hyper::Request::builder()
        .method(method)
        .uri(format!("{}/files{path}", gateway.url("http")))
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    Client::new().send(request).await.unwrap()
}

/// `folder` is what the endpoint `box` stands for.
async fn steps_work(project: String, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, content) in [("a.csv", "id\n1\n"), ("b.csv", "id\n2\n"), ("c.txt", "text")] {
        std::fs::write(folder.join(name), content).unwrap();
    }
    std::fs::write(folder.parent().unwrap().join("precious"), "p").unwrap();
    let gateway = Gateway::start(project + ROUTES, &[]);
    let listed = ask(&gateway, "GET", "").await.expect_status(200).json();
    assert_eq!(listed, json!({ "names": ["a.csv", "b.csv"], "sizes": [5, 5] }));
    assert_eq!(
        ask(&gateway, "GET", "/b.csv").await.expect_status(200).text(),
        "id\n2\n"
    );
    ask(&gateway, "GET", "/none.csv").await.expect_status(404);
    let there = async |name: &str| {
        let answer = ask(&gateway, "GET", &format!("/{name}/there")).await;
        answer.expect_status(200).json()["there"] == true
    };
    assert!(there("a.csv").await && !there("none.csv").await);
    ask(&gateway, "DELETE", "/a.csv").await.expect_status(204);
    assert!(!there("a.csv").await && !folder.join("a.csv").exists());
    ask(&gateway, "DELETE", "/..%5Cprecious").await.expect_status(400);
    assert!(folder.join("b.csv").exists() && folder.parent().unwrap().join("precious").exists());
}

fn on_server(site: &Site) -> String {
    let connections = site.project(&backend());
    let connection = connections
        .lines()
        .find(|line| line.contains("partner:"))
        .unwrap()
        .to_owned();
    let kind = site.kind;
    format!(
        "connections:\n{connection}\nendpoints:\n  box: {{ {kind}: {{ connection: partner, folder: box }} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_local_folder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("box");
    let project = format!(
        "endpoints:\n  box: {{ file: {{ folder: \"{}\" }} }}\n",
        folder.display()
    );
    steps_work(project, &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_servers() {
    let server = Sshd::start_new();
    let site = Site::sshd(&server);
    steps_work(on_server(&site), &site.root.join("box")).await;
    let server = Vsftpd::plain();
    let site = Site::vsftpd(&server, "");
    steps_work(on_server(&site), &site.root.join("box")).await;
    let server = PyFtpd::plain();
    let site = Site::py_ftpd(&server, "");
    steps_work(on_server(&site), &site.root.join("box")).await;
}
