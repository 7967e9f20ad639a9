//! The servers that the sample `order-files` brings along, started by its own script.

use crate::server::python_path;
use crate::service::{Ready, Service, service_port};
use std::path::{Path, PathBuf};

/// `servers.sh` in a copy of the sample: an SFTP and an FTPS server, whose files are in `data` of that folder.
#[derive(Debug)]
pub struct SampleServers {
    sftp_port: u16,
    ftps_port: u16,
    _service: Service,
}

impl SampleServers {
    /// Starts them and waits until they answer.
    #[track_caller]
    pub fn start(folder: &Path) -> Self {
        let (sftp_port, ftps_port) = (service_port(), service_port());
        let ready = Ready::Answers(sftp_port, b"", b"SSH-2.0", vec![ftps_port]);
        let python = PathBuf::from(python_path());
        let programs = python.parent().expect("Python lies in a folder").display();
        let path = std::env::var("PATH").unwrap_or_default();
        let service = Service::new(folder, &["sh", "servers.sh"], ready).environment(vec![
            ("PATH", format!("{programs}:{path}")),
            ("SFTP_PORT", sftp_port.to_string()),
            ("FTPS_PORT", ftps_port.to_string()),
        ]);
        service.start();
        Self {
            sftp_port,
            ftps_port,
            _service: service,
        }
    }

    /// What leads a project's connections `shop` and `office` here, for `--set`.
    pub fn sets(&self) -> [String; 2] {
        [
            format!("connections.shop.sftp.port={}", self.sftp_port),
            format!("connections.office.ftp.port={}", self.ftps_port),
        ]
    }
}
