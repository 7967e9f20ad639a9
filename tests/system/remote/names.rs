//! Names: what a server may call its files, and what a message may call one.

use super::{Site, backend, eventually, health};
use mediary_tests::{Gateway, PyFtpd, Sshd, Vsftpd, get, post};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Names that every protocol can say, and how they look percent-encoded.
fn names() -> BTreeMap<String, String> {
    let long = format!("{}.csv", "x".repeat(251));
    let mut names: BTreeMap<_, _> = [
        ("a b  c.csv", "a%20b%20%20c.csv"),
        ("äöü €.csv", "%C3%A4%C3%B6%C3%BC%20%E2%82%AC.csv"),
        (
            "100%;'\"$(x)*?[a].csv",
            "100%25%3B%27%22%24%28x%29%2A%3F%5Ba%5D.csv",
        ),
        ("-rf.csv", "-rf.csv"),
        ("zero.csv", "zero.csv"),
    ]
    .map(|(name, encoded)| (name.to_owned(), encoded.to_owned()))
    .into();
    names.insert(long.clone(), long);
    names
}

fn content(name: &str) -> String {
    if name == "zero.csv" {
        String::new()
    } else {
        format!("this is {name}")
    }
}

/// Each file arrives once, is archived under its name, and can be written under it. What cannot be told stays where it is.
async fn carries(site: &Site, names: &BTreeMap<String, String>) {
    let backend = backend();
    let unnameable = OsStr::from_bytes(b"n\xff\xfe.csv");
    std::fs::create_dir_all(site.root.join("in")).unwrap();
    std::fs::write(site.root.join("in").join(unnameable), "1").unwrap();
    for name in names.keys() {
        site.drop_file(name, content(name));
    }
    let gateway = Gateway::start(site.project(&backend), &[]);
    let requests = backend.wait_for_requests(names.len());
    for (name, encoded) in names {
        let mut of_name = requests
            .iter()
            .filter(|request| request.header("x-file") == encoded);
        let request = of_name
            .next()
            .unwrap_or_else(|| panic!("{name:?} did not arrive"));
        assert_eq!(request.text(), content(name), "{name:?}");
    }
    eventually("the archive", || {
        site.names("in/.done") == names.keys().cloned().collect::<Vec<_>>()
    });
    assert!(site.root.join("in").join(unnameable).exists(), "it is left alone");
    health(&gateway, "up").await;
    assert_eq!(backend.requests().len(), names.len());

    for (name, encoded) in names {
        let url = format!("{}/put?name={encoded}", gateway.url("http"));
        let answer = post(&url, "text/csv", content(name)).await;
        assert_eq!(answer.status, 200, "{name:?}: {}", answer.text());
        assert_eq!(answer.json()["name"], *name);
        assert_eq!(
            site.file(&format!("out/a/{name}")),
            content(name).as_bytes(),
            "{name:?}"
        );
    }
    let told = gateway.log().matches("a file stays on the server").count();
    assert!(told <= 1, "told {told} times:\n{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_kinds_by_sftp() {
    let server = Sshd::start_new();
    let mut names = names();
    for (name, encoded) in [
        ("line\nbreak.csv", "line%0Abreak.csv"),
        (" lead.csv", "%20lead.csv"),
    ] {
        names.insert(name.to_owned(), encoded.to_owned());
    }
    carries(&Site::sshd(&server), &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_kinds_by_ftp() {
    let server = Vsftpd::plain();
    carries(&Site::vsftpd(&server, ""), &names()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_kinds_by_ftp_with_listings_for_machines() {
    let server = PyFtpd::plain();
    carries(&Site::py_ftpd(&server, ""), &names()).await;
}

/// Names that lead elsewhere are refused before anything is said to the server.
async fn refuses(site: &Site, names: &[&str]) {
    let backend = backend();
    let gateway = Gateway::start(site.project(&backend), &[]);
    for name in names {
        let url = format!("{}/put?name={name}", gateway.url("http"));
        let answer = post(&url, "text/csv", "evil").await.expect_status(400);
        assert_eq!(answer.json()["code"], "client.bad_request", "{name}");
    }
    assert_eq!(
        get(&format!("{}/put?name=ok", gateway.url("http"))).await.status,
        200
    );
    assert_eq!(site.names("out/a"), ["ok"]);
    assert_eq!(site.names("out"), ["a"]);
}

const LEADING_OUT: [&str; 7] = [
    "../x",
    "../../x",
    "b/../../../x",
    "%2e%2e/x",
    "b//x",
    "..%5C..%5Cx",
    "x%00y",
];

#[tokio::test(flavor = "multi_thread")]
async fn that_lead_out_of_the_folder_are_refused() {
    let server = Sshd::start_new();
    refuses(&Site::sshd(&server), &LEADING_OUT).await;
    let server = PyFtpd::plain();
    let mut names = LEADING_OUT.to_vec();
    names.push("x%0d%0aDELE%20precious");
    std::fs::write(server.root().join("precious"), "1").unwrap();
    refuses(&Site::py_ftpd(&server, ""), &names).await;
    assert!(server.root().join("precious").exists());
    let written =
        |commands: &[(u64, String)]| commands.iter().any(|(_, command)| command == "RNTO /out/a/ok");
    let commands = server.commands_until(written);
    assert!(written(&commands), "{commands:?}");
    assert!(!format!("{commands:?}").contains(".."), "{commands:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_server_lies_about_are_not_followed() {
    let (server, backend) = (PyFtpd::plain(), backend());
    let site = Site::py_ftpd(&server, "");
    std::fs::write(server.root().join("secret.csv"), "secret").unwrap();
    server.add_to_listings(
        "type=file;size=6; ../secret.csv\r\ntype=file;size=6; /secret.csv\r\ntype=dir; ..\r\ntype=dir; ../out\r\n\
         type=file;size=6; ..\\secret.csv\r\ntype=file; ..\r\ntype=OS.unix=slink:/; link.csv\r\nnonsense\r\n",
    );
    site.drop_file("good.csv", "good");
    let listener = "every: 50ms, recursive: true";
    let gateway = Gateway::start(
        site.project_with(&backend.url(), listener, "existing: replace"),
        &[],
    );
    assert_eq!(backend.wait_for_requests(1)[0].text(), "good");
    eventually("the archive", || site.names("in/.done") == ["good.csv"]);
    let listings = |commands: &[(u64, String)]| {
        let listings = commands.iter().filter(|(_, command)| command == "MLSD /in");
        listings.count() >= 5
    };
    let commands = server.commands_until(listings);
    assert!(listings(&commands), "it goes on looking: {commands:?}");
    assert!(!format!("{commands:?}").contains(".."), "{commands:?}");
    assert!(!format!("{commands:?}").contains("secret"), "{commands:?}");
    assert_eq!(backend.requests().len(), 1);
    health(&gateway, "up").await;
    assert_eq!(
        gateway.log().matches("../secret.csv").count(),
        1,
        "{}",
        gateway.log()
    );
}

/// SFTP servers tell where a link leads; one that leads out of the folder is not followed.
#[tokio::test(flavor = "multi_thread")]
async fn of_links_that_lead_out_are_not_followed() {
    let (server, backend) = (Sshd::start_new(), backend());
    let site = Site::sshd(&server);
    std::fs::write(site.root.join("secret"), "secret").unwrap();
    std::fs::create_dir(site.root.join("out")).unwrap();
    site.drop_file("good.csv", "good");
    std::os::unix::fs::symlink("../secret", site.root.join("in/link.csv")).unwrap();
    std::os::unix::fs::symlink("..", site.root.join("out/a")).unwrap();
    let gateway = Gateway::start(site.project(&backend), &[]);
    assert_eq!(backend.wait_for_requests(1)[0].text(), "good");
    eventually("the archive", || site.names("in/.done") == ["good.csv"]);
    let url = format!("{}/put?name=secret", gateway.url("http"));
    let answer = post(&url, "text/csv", "evil").await.expect_status(400);
    assert_eq!(answer.json()["code"], "client.bad_request");
    assert_eq!(site.file("secret"), b"secret");
    assert_eq!(backend.requests().len(), 1);
}
