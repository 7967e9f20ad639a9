//! Transfers that break in the middle: they go on where they were, and nobody sees half a file.

use super::{Site, backend, eventually, trusting};
use mediary_tests::{FtpTls, Gateway, PyFtpd, RawClient, Sshd, Vsftpd, certificates, post};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// More than all buffers on the way hold, and no part of it like another.
fn payload() -> Vec<u8> {
    (0..6_000_001_u32).flat_map(u32::to_le_bytes).collect()
}

/// A backend that reads the beginning of a request's body, and the rest when it is told to.
struct Gate {
    url: String,
    reached: Receiver<()>,
    open: Sender<()>,
    body: JoinHandle<Vec<u8>>,
}

impl Gate {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ((reach, reached), (open, opened)) = (channel(), channel());
        let body = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            serve(stream, &reach, &opened)
        });
        Self {
            url,
            reached,
            open,
            body,
        }
    }

    #[track_caller]
    fn wait(&self) {
        self.reached
            .recv_timeout(super::WAIT)
            .expect("a request with a body");
    }
}

fn serve(mut stream: TcpStream, reach: &Sender<()>, opened: &Receiver<()>) -> Vec<u8> {
    stream.set_read_timeout(Some(super::WAIT)).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("the length of the file is known").parse().unwrap();
    let mut body = vec![0; length];
    let (beginning, rest) = body.split_at_mut(1 << 20);
    stream.read_exact(beginning).unwrap();
    reach.send(()).unwrap();
    opened.recv_timeout(super::WAIT).unwrap();
    stream.read_exact(rest).unwrap();
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    body
}

/// The server is killed and started again while a listener downloads a file.
fn a_download_outlives_a_restart(site: &Site, restart: impl Fn()) {
    let gate = Gate::new();
    let content = payload();
    site.drop_file("big.csv", &content);
    let project = site.project_with(&gate.url, "every: 100ms", "existing: replace");
    let _gateway = Gateway::start(project, &[]);
    gate.wait();
    restart();
    gate.open.send(()).unwrap();
    assert!(gate.body.join().unwrap() == content, "the same bytes");
    eventually("the archive", || site.names("in/.done") == ["big.csv"]);
    assert!(site.file("in/.done/big.csv") == content);
}

/// The server is killed and started again while a sender uploads a file.
fn an_upload_outlives_a_restart(site: &Site, kill: impl Fn(), start: impl Fn()) {
    let backend = backend();
    let gateway = Gateway::start(site.project(&backend), &[]);
    let content = payload();
    let watch = Watch::start(site.root.join("out/a/big.bin"), content.len() as u64);
    let mut client = RawClient::connect(gateway.url("http"));
    let head = format!(
        "POST /put?name=big.bin HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    client.send(head).unwrap();
    let (beginning, rest) = content.split_at(content.len() / 3 * 2);
    client.send(beginning).unwrap();
    eventually("the beginning of the upload", || {
        unfinished(site).iter().any(|(_, size)| *size > 1 << 20)
    });
    kill();
    lose_the_end(site);
    start();
    client.send(rest).unwrap();
    let reply = client.read_reply().expect("a reply");
    assert_eq!(reply.status, 200, "{}\n{}", reply.text(), gateway.log());
    assert!(watch.end(), "nobody saw half of it");
    let written = site.file("out/a/big.bin");
    let differs = written.iter().zip(&content).position(|(a, b)| a != b);
    assert_eq!((differs, written.len()), (None, content.len()));
    assert_eq!(site.names("out/a"), ["big.bin"]);
}

/// The files that are being uploaded, and how much of each is there.
fn unfinished(site: &Site) -> Vec<(PathBuf, u64)> {
    let names = site.names("out/a").into_iter();
    let paths = names
        .filter(|name| name.starts_with('.'))
        .map(|name| site.root.join("out/a").join(name));
    paths
        .filter_map(|path| Some((path.clone(), path.metadata().ok()?.len())))
        .collect()
}

/// What a machine that crashes has not written to its disk, although the client was told so.
fn lose_the_end(site: &Site) {
    let (path, size) = &unfinished(site)[0];
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(size - (300 << 10)).unwrap();
}

/// Looks all the time whether a file is there and whole.
struct Watch {
    stop: Arc<AtomicBool>,
    whole: JoinHandle<bool>,
}

impl Watch {
    fn start(path: PathBuf, length: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let whole = std::thread::spawn(move || {
            let mut whole = true;
            while !stopped.load(Ordering::SeqCst) {
                whole &= std::fs::metadata(&path).map_or(true, |file| file.len() == length);
                std::thread::sleep(Duration::from_millis(1));
            }
            whole
        });
        Self { stop, whole }
    }

    fn end(self) -> bool {
        self.stop.store(true, Ordering::SeqCst);
        self.whole.join().unwrap()
    }
}

/// How long a server is away.
const OUTAGE: Duration = Duration::from_millis(500);

/// In both directions, one after the other.
fn both_outlive_a_restart(site: &Site, kill: impl Fn(), start: impl Fn()) {
    let start = || {
        std::thread::sleep(OUTAGE);
        start();
    };
    a_download_outlives_a_restart(site, || {
        kill();
        start();
    });
    an_upload_outlives_a_restart(site, kill, start);
}

#[test]
fn a_restart_of_sshd_in_the_middle() {
    let server = Sshd::start_new();
    both_outlive_a_restart(&Site::sshd(&server), || server.kill(), || server.start());
}

#[test]
fn a_restart_of_vsftpd_in_the_middle() {
    let server = Vsftpd::plain();
    both_outlive_a_restart(&Site::vsftpd(&server, ""), || server.kill(), || server.start());
}

#[test]
fn a_restart_of_vsftpd_with_tls_in_the_middle() {
    let certificates = certificates();
    let (_folder, ca) = trusting(&certificates);
    let server = Vsftpd::explicit_tls(&certificates);
    let site = Site::vsftpd(&server, &format!(", tls: explicit{ca}"));
    both_outlive_a_restart(&site, || server.kill(), || server.start());
}

/// Whether a command was given again after the server was told to begin at an offset. Several connections speak at the same time.
fn resumed(commands: &[(u64, String)], command: &str) -> bool {
    let again = commands.iter().enumerate().any(|(at, (connection, text))| {
        let offset = text.strip_prefix("REST ").and_then(|offset| offset.parse().ok());
        let mut behind = commands[at + 1..].iter();
        let next = behind.find(|(other, _)| other == connection);
        offset.is_some_and(|offset: u64| offset >= 1 << 15)
            && next.is_some_and(|(_, text)| text.starts_with(command))
    });
    let times = commands.iter().filter(|(_, text)| text.starts_with(command));
    again && times.count() >= 2
}

/// The data connection breaks once, in each direction: the second one carries only the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_transfer_is_resumed() {
    let certificates = certificates();
    let (_folder, ca) = trusting(&certificates);
    for (tls, more) in [
        (FtpTls::None, String::new()),
        (FtpTls::Explicit(&certificates), format!(", tls: explicit{ca}")),
    ] {
        let (server, backend) = (PyFtpd::with(tls), backend());
        let site = Site::py_ftpd(&server, &more);
        let content = payload()[..3 << 20].to_vec();
        server.break_next_transfer_after(1 << 20);
        site.drop_file("big.csv", &content);
        let gateway = Gateway::start(site.project(&backend), &[]);
        assert!(backend.wait_for_requests(1)[0].body == content);
        let commands = server.commands_until(|commands| resumed(commands, "RETR"));
        assert!(resumed(&commands, "RETR"), "{commands:?}");

        server.break_next_transfer_after(1 << 20);
        let url = format!("{}/put?name=big.bin", gateway.url("http"));
        post(&url, "application/octet-stream", content.clone())
            .await
            .expect_status(200);
        assert!(site.file("out/a/big.bin") == content);
        let commands = server.commands_until(|commands| resumed(commands, "STOR"));
        assert!(resumed(&commands, "STOR"), "{commands:?}");
        eventually("the archive", || site.names("in/.done") == ["big.csv"]);
        assert_eq!(backend.requests().len(), 1);
    }
}

/// A session may live on at the server when its connection broke, and empty its file while another one writes it again.
#[test]
fn an_upload_is_whole_though_the_session_before_outlived_its_connection() {
    let (server, backend) = (PyFtpd::plain(), backend());
    let site = Site::py_ftpd(&server, "");
    let gateway = Gateway::start(
        site.project_with(&backend.url(), "every: 1h", "existing: replace"),
        &[],
    );
    let content = payload()[..3 << 20].to_vec();
    let mut client = RawClient::connect(gateway.url("http"));
    let head = |name: &str| {
        let length = content.len();
        format!("POST /put?name={name} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
    };
    client.send(head("first.bin")).unwrap();
    client.send(&content).unwrap();
    assert_eq!(client.read_reply().expect("a reply").status, 200);

    server.hold_next_store();
    client.send(head("big.bin")).unwrap();
    let (beginning, rest) = content.split_at(content.len() / 3 * 2);
    client.send(beginning).unwrap();
    eventually("the beginning of the second try", || {
        let parts = unfinished(&site);
        parts.iter().any(|(_, size)| *size > 1 << 20)
    });
    server.carry_out_held_store();
    let late = |commands: &[(u64, String)]| commands.iter().any(|(_, text)| text == "late STOR");
    assert!(late(&server.commands_until(late)), "{}", gateway.log());
    client.send(rest).unwrap();
    let reply = client.read_reply().expect("a reply");
    assert_eq!(reply.status, 200, "{}\n{}", reply.text(), gateway.log());
    assert!(site.file("out/a/big.bin") == content, "the same bytes");
    assert_eq!(site.names("out/a"), ["big.bin", "first.bin"]);
}

/// What a dead gateway left unfinished is deleted a day later; what may still be worked on stays, and so does all that is not ours.
async fn sweeps(site: &Site) {
    const OLD: &str = ".mediary-00000000000000000000000000000001.part";
    const BUSY: &str = ".mediary-00000000000000000000000000000002.part";
    let folder = site.root.join("out/a");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, hours) in [(OLD, 49), (BUSY, 1), ("old.csv", 49), (".old.part", 49)] {
        let file = std::fs::File::create(folder.join(name)).unwrap();
        let modified = SystemTime::now() - Duration::from_secs(hours * 3600);
        file.set_modified(modified).unwrap();
    }
    let backend = backend();
    let gateway = Gateway::start(site.project(&backend), &[]);
    let url = format!("{}/put?name=new.csv", gateway.url("http"));
    post(&url, "text/csv", "1").await.expect_status(200);
    assert_eq!(
        site.names("out/a"),
        [BUSY, ".old.part", "new.csv", "old.csv"],
        "{}",
        gateway.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_uploads_of_the_dead_are_swept() {
    let server = Sshd::start_new();
    sweeps(&Site::sshd(&server)).await;
    let server = Vsftpd::plain();
    sweeps(&Site::vsftpd(&server, "")).await;
    let server = PyFtpd::plain();
    sweeps(&Site::py_ftpd(&server, "")).await;
}
