//! Helper: the servers that some samples need.

use mediary_tests::{RabbitMq, SampleServers, Vhost, free_port, mediary};
use std::path::Path;
use tempfile::TempDir;

/// The sample that brings file servers along.
const FILES: &str = "order-files";

/// What a sample needs, as long as this value lives.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// What leads the sample there, for `--set` behind the free ports.
    pub(super) sets: Vec<String>,
    _vhost: Option<Vhost>,
    _files: Option<SampleServers>,
    /// Stands last: the servers end before their folder goes.
    _copy: Option<TempDir>,
}

impl Servers {
    /// Starts what the sample needs; most need nothing.
    pub(super) fn start(name: &str) -> Self {
        if name != FILES {
            return Self::start_in(name, Path::new("."));
        }
        let copy = TempDir::with_prefix("mediary-sample-").unwrap();
        mediary(&["samples", "copy", name, copy.path().to_str().unwrap()]).expect_success();
        let servers = Self::start_in(name, copy.path());
        Self {
            _copy: Some(copy),
            ..servers
        }
    }

    /// The same for a copy of the sample, where those of the sample's own servers find their files.
    pub(super) fn start_in(name: &str, copy: &Path) -> Self {
        let mut servers = Self::default();
        if [FILES, "queue-bridge"].contains(&name) {
            let vhost = RabbitMq::shared().vhost();
            servers
                .sets
                .push(format!("connections.rabbit.amqp={}", vhost.amqp_url()));
            servers._vhost = Some(vhost);
        }
        if name == FILES {
            let files = SampleServers::start(copy);
            servers.sets.extend(files.sets());
            servers._files = Some(files);
            let backend = free_port();
            servers.sets.extend([
                format!("settings.listeners.backend.port={backend}"),
                format!("endpoints.customers.http=http://localhost:{backend}/customers"),
            ]);
        }
        servers
    }
}

#[test]
fn a_sample_without_its_servers_says_which_it_needs_and_how_to_start_them() {
    let nowhere = "connections.rabbit.amqp=amqp://guest:guest@127.0.0.1:1";
    let cases = [
        (
            "queue-bridge",
            "Needs RabbitMQ",
            "docker run --rm -p 5672:5672 rabbitmq:3",
        ),
        ("order-files", "an SFTP and an FTPS server", "sh servers.sh"),
    ];
    for (name, what, how) in cases {
        let end = mediary(&["samples", "run", name, "--set", nowhere]);
        assert_eq!(end.code, Some(1), "{}", end.output());
        assert!(
            end.stderr.contains("nothing answers at 127.0.0.1:1"),
            "{}",
            end.stderr
        );
        let line = end.stderr.lines().find(|line| line.starts_with("Needs "));
        let line = line.unwrap_or_else(|| panic!("{name} does not say what it needs: {}", end.stderr));
        assert!(line.contains(what) && line.contains(how), "{line}");
        assert!(!end.stderr.contains("guest:guest"), "{}", end.stderr);
    }
}

#[test]
fn the_tests_of_a_sample_with_its_servers_are_live() {
    let servers = Servers::start("queue-bridge");
    let folder = super::folder("queue-bridge");
    let mut arguments = vec!["test", folder.to_str().unwrap(), "--live"];
    for set in &servers.sets {
        arguments.extend(["--set", set]);
    }
    let end = mediary(&arguments).expect_success();
    assert!(!end.stdout.contains("left out"), "{}", end.stdout);
}
