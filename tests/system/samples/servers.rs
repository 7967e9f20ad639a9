//! Helper: the servers that some samples need.

use mediary_tests::{RabbitMq, SampleServers, Vhost, mediary};
use std::path::Path;
use tempfile::TempDir;

/// What a sample needs, as long as this value lives.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// What leads the sample's connections there, for `--set`.
    pub(super) sets: Vec<String>,
    _vhost: Option<Vhost>,
    _files: Option<SampleServers>,
    /// A copy of the sample, for those whose commands work with files. It stands last: the servers end before their folder goes.
    copy: Option<TempDir>,
}

impl Servers {
    /// Starts what the sample needs; most need nothing.
    pub(super) fn start(name: &str) -> Self {
        match name {
            "queue-bridge" => Self::default().with_rabbit(),
            "order-files" => Self::default().with_rabbit().with_files(name),
            _ => Self::default(),
        }
    }

    /// Where the commands of the sample's README run.
    pub(super) fn folder(&self) -> &Path {
        self.copy.as_ref().map_or(Path::new("/"), TempDir::path)
    }

    fn with_rabbit(mut self) -> Self {
        let vhost = RabbitMq::shared().vhost();
        self.sets
            .push(format!("connections.rabbit.amqp={}", vhost.amqp_url()));
        self._vhost = Some(vhost);
        self
    }

    fn with_files(mut self, name: &str) -> Self {
        let copy = TempDir::with_prefix("mediary-sample-").unwrap();
        mediary(&["samples", "copy", name, copy.path().to_str().unwrap()]).expect_success();
        let files = SampleServers::start(copy.path());
        self.sets.extend(files.sets());
        self._files = Some(files);
        self.copy = Some(copy);
        self
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
