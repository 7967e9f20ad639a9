//! RabbitMQ: one node per test process for most tests, each with a virtual host of its own, and private nodes
//! for the tests that kill them.

use crate::amqp_client::AmqpClient;
use crate::certificates::{Certificates, certificates};
use crate::raw::{RawClient, RawReply};
use crate::service::{Ready, Service, service_port};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Debian's own name for the script behind the wrapper in sbin, which would change the user.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// The protocol header of AMQP 0-9-1 (section 4.2.2) and the first octet of Connection.Start: a method frame.
const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
const METHOD_FRAME: &[u8] = &[1];
/// The name of each node.
const NODE: &str = "mediary@localhost";
/// For the names of new quorum queues to get to the disk.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// `guest:guest`, the account of a fresh node, for HTTP's basic scheme.
const GUEST: &str = "Z3Vlc3Q6Z3Vlc3Q=";

/// A RabbitMQ node on loopback: AMQP 0-9-1 with and without TLS, and the management HTTP API. The account is
/// `guest` with the password `guest`. Ready in 3 to 20 s, about 150 MB.
#[derive(Debug)]
pub struct RabbitMq {
    service: Service,
    ports: Ports,
    certificates: Certificates,
    folder: PathBuf,
    /// Stands after the service, so that the node ends before its folder goes.
    _temporary: Option<TempDir>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    amqp: u16,
    amqps: u16,
    management: u16,
    distribution: u16,
    epmd: u16,
}

impl RabbitMq {
    /// The node of this test process, started by the first call and waited for by all. It ends with the
    /// process. Nobody stops it: tests share it, each with its own [`Vhost`].
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<RabbitMq> = LazyLock::new(|| {
            let folder = TempDir::with_prefix("mediary-rabbitmq-").expect("a temporary folder");
            RabbitMq::start_in(folder.keep(), None)
        });
        &SHARED
    }

    /// A node for one test, which may kill it.
    #[track_caller]
    pub fn own() -> Self {
        let folder = TempDir::with_prefix("mediary-rabbitmq-").expect("a temporary folder");
        Self::start_in(folder.path().to_owned(), Some(folder))
    }

    #[track_caller]
    fn start_in(folder: PathBuf, temporary: Option<TempDir>) -> Self {
        let ports = Ports::free();
        let certificates = certificates();
        certificates.write_to(&folder);
        std::fs::write(folder.join("enabled_plugins"), "[rabbitmq_management].\n")
            .expect("a file of the test");
        std::fs::write(folder.join("rabbitmq.conf"), configuration(&folder, ports))
            .expect("a file of the test");
        let ready = Ready::Answers(
            ports.amqp,
            PROTOCOL_HEADER,
            METHOD_FRAME,
            vec![ports.amqps, ports.management],
        );
        let service = Service::new(&folder, &[SERVER], ready).environment(environment(&folder, ports));
        let service = if temporary.is_none() {
            service.removing_folder()
        } else {
            service
        };
        service.start();
        Self {
            service,
            ports,
            certificates,
            folder,
            _temporary: temporary,
        }
    }

    /// Makes an empty virtual host, which is deleted with its queues when the value goes.
    #[track_caller]
    pub fn vhost(&self) -> Vhost {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let vhost = Vhost {
            name: format!("test-{}", MADE.fetch_add(1, Ordering::Relaxed)),
            ports: self.ports,
            authority: self.authority_path(),
        };
        vhost.manage("PUT", &format!("/api/vhosts/{}", vhost.name), "");
        vhost.permit("guest");
        vhost
    }

    /// The port of AMQP without TLS.
    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// The authority behind the node's certificate, with a client certificate that the node accepts and does
    /// not demand.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The authority of [`RabbitMq::certificates`] as a PEM file.
    pub fn authority_path(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Waits until the node has the names of its quorum queues on disk. It writes them half a second after they were
    /// declared; a node that is killed before has lost them, with every message that it had confirmed.
    #[track_caller]
    pub fn wait_for_quorum_queues(&self) {
        let folder = self.folder.join("mnesia").join(NODE).join("quorum").join(NODE);
        let deadline = Instant::now() + SETTLE_LIMIT;
        while !names_are_written(&folder) {
            assert!(Instant::now() < deadline, "no names in {}", folder.display());
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// SIGKILL to the node, as a power cut of the process would.
    #[track_caller]
    pub fn kill(&self) {
        self.service.kill();
    }

    /// An orderly end, which takes a few seconds.
    #[track_caller]
    pub fn stop(&self) {
        self.service.stop();
    }

    /// Starts the node again on the same ports and data.
    #[track_caller]
    pub fn start(&self) {
        self.service.start();
    }

    /// Whether the node runs.
    pub fn is_running(&self) -> bool {
        self.service.is_running()
    }

    /// What the node logged since it was last started.
    pub fn log(&self) -> String {
        self.service.log()
    }
}

/// A virtual host of a node, for one test. Deleted when dropped, if the node is there then.
#[derive(Debug)]
pub struct Vhost {
    name: String,
    ports: Ports,
    authority: PathBuf,
}

impl Vhost {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `amqp://guest:guest@127.0.0.1:PORT/NAME`.
    pub fn amqp_url(&self) -> String {
        self.url_for("guest", "guest")
    }

    /// The same for another account.
    pub fn url_for(&self, user: &str, password: &str) -> String {
        format!(
            "amqp://{user}:{password}@127.0.0.1:{}/{}",
            self.ports.amqp, self.name
        )
    }

    /// `amqps://guest:guest@localhost:PORT/NAME`; the authority to trust is in [`Vhost::authority_path`].
    pub fn amqps_url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}/{}", self.ports.amqps, self.name)
    }

    /// The authority that signed the node's certificate, as a PEM file.
    pub fn authority_path(&self) -> &Path {
        &self.authority
    }

    /// A foreign client of this virtual host.
    pub fn client(&self) -> AmqpClient {
        AmqpClient::new(&self.amqp_url(), None)
    }

    /// A foreign client over TLS.
    pub fn tls_client(&self) -> AmqpClient {
        AmqpClient::new(&self.amqps_url(), Some(&self.authority))
    }

    /// Makes an account for this virtual host, or gives it another password. The name counts for the whole
    /// node, so it should be derived from [`Vhost::name`].
    #[track_caller]
    pub fn set_account(&self, user: &str, password: &str) {
        let account = serde_json::json!({ "password": password, "tags": "" });
        self.manage("PUT", &format!("/api/users/{user}"), &account.to_string());
        self.permit(user);
    }

    #[track_caller]
    fn permit(&self, user: &str) {
        let all = r#"{"configure":".*","write":".*","read":".*"}"#;
        self.manage("PUT", &format!("/api/permissions/{}/{user}", self.name), all);
    }

    /// Sends a request to the management HTTP API and panics unless it succeeds.
    #[track_caller]
    pub fn manage(&self, method: &str, path: &str, body: &str) -> String {
        let reply = exchange(self.ports.management, &request(method, path, body));
        let Some(reply) = reply else {
            panic!("{method} {path}: no reply");
        };
        assert!((200..300).contains(&reply.status), "{method} {path}: {reply:?}");
        reply.text()
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        // The node may be dead by order of the test.
        let path = format!("/api/vhosts/{}", self.name);
        let _ = exchange(self.ports.management, &request("DELETE", &path, ""));
    }
}

impl Ports {
    fn free() -> Self {
        Self {
            amqp: service_port(),
            amqps: service_port(),
            management: service_port(),
            distribution: service_port(),
            epmd: service_port(),
        }
    }
}

/// Each quorum queue has a folder with a name of its own, which the file of names has to hold.
fn names_are_written(folder: &Path) -> bool {
    let names = std::fs::read(folder.join("names.dets")).unwrap_or_default();
    let entries = std::fs::read_dir(folder).expect("a node with a quorum queue has this folder");
    let queues = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir());
    let mut queues = queues
        .map(|entry| entry.file_name().into_encoded_bytes())
        .peekable();
    queues.peek().is_some()
        && queues.all(|queue| {
            names
                .windows(queue.len())
                .any(|window| window == queue.as_slice())
        })
}

/// One request to the management HTTP API; `None` when no reply comes.
fn exchange(port: u16, request: &str) -> Option<RawReply> {
    let mut client = RawClient::over(TcpStream::connect(("127.0.0.1", port)).ok()?);
    client.send(request).ok()?;
    client.read_reply()
}

fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {GUEST}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// `rabbitmq.conf` (rabbitmq.com/configure.html). The limits only have to be out of the way of a busy machine.
fn configuration(folder: &Path, ports: Ports) -> String {
    let folder = folder.display();
    let Ports {
        amqp,
        amqps,
        management,
        ..
    } = ports;
    format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp}\nlisteners.ssl.1 = 127.0.0.1:{amqps}\n\
         ssl_options.cacertfile = {folder}/authority.pem\nssl_options.certfile = {folder}/server.pem\n\
         ssl_options.keyfile = {folder}/server.key\nssl_options.verify = verify_peer\n\
         ssl_options.fail_if_no_peer_cert = false\n\
         management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\nmanagement.rates_mode = none\n\
         vm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\n\
         log.console = true\nlog.console.level = warning\nlog.file = false\n"
    )
}

/// Everything of the node lies in its folder, nothing is found by a name of the machine, and one scheduler is
/// enough.
fn environment(folder: &Path, ports: Ports) -> Vec<(&'static str, String)> {
    let inside = |name: &str| folder.join(name).display().to_string();
    vec![
        ("HOME", inside("")),
        ("RABBITMQ_NODENAME", NODE.to_owned()),
        ("RABBITMQ_MNESIA_BASE", inside("mnesia")),
        ("RABBITMQ_LOG_BASE", inside("log")),
        ("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", inside("enabled_plugins")),
        ("RABBITMQ_PID_FILE", inside("pid")),
        ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
        ("RABBITMQ_DIST_PORT", ports.distribution.to_string()),
        ("ERL_EPMD_PORT", ports.epmd.to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
        ),
    ]
}
