//! Fixtures of the system tests: the gateway as a child process, programmable backends, HTTP clients that
//! are exact or deliberately crude, foreign servers (RabbitMQ, FTP, SFTP) and clients, certificates.
//!
//! The tests drive the `mediary` binary through its documented door only: command line, YAML, sockets,
//! signals. Everything listens on port 0 of loopback, every wait has a limit, and every child ends with the
//! value that owns it. A fixture that fails panics with what the child processes said.

mod amqp_client;
mod backend;
mod certificates;
mod client;
mod file_client;
mod ftp;
mod gateway;
mod process;
mod project;
mod rabbitmq;
mod raw;
mod sample_servers;
mod server;
mod service;
mod ssh;
mod waiting;

use std::path::{Path, PathBuf};

pub use amqp_client::{AmqpClient, AmqpMessage, AmqpReceived, Published};
pub use backend::{Backend, Recorded, Reply, refused_url};
pub use certificates::{Certificates, Identity, certificates, install_crypto};
pub use client::{Answer, Client, ClientError, Connection, get, post};
pub use file_client::FileClient;
pub use ftp::{FtpTls, PyFtpd, Vsftpd};
pub use gateway::{Gateway, Memory, mediary, mediary_command};
pub use process::{Finished, Running};
pub use project::Project;
pub use rabbitmq::{RabbitMq, Vhost};
pub use raw::{RawClient, RawReply};
pub use sample_servers::SampleServers;
pub use server::{TestServer, free_port, node, python};
pub use ssh::{PySftpd, Sshd};
pub use waiting::{eventually_within, wait_for};

/// The folder `tests/` of the workspace.
pub fn tests_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The root of the workspace.
pub fn workspace_folder() -> PathBuf {
    let parent = tests_folder().parent();
    parent.expect("tests/ lies in the workspace").to_owned()
}
