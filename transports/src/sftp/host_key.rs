//! Who the server is: its key has to be the configured one, or one of a `known_hosts` file. There is no trust on first use.

use parking_lot::Mutex;
use russh::keys::{
    Algorithm, Error, HashAlg, PublicKey, PublicKeyOrCertificate, check_known_hosts_path, known_hosts,
};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the expected key comes from.
#[derive(Clone)]
pub(super) enum Expected {
    /// It is this one.
    Key(PublicKey),
    /// One of the file's, which is read at each login.
    KnownHosts(PathBuf),
}

impl Expected {
    /// The kinds of keys to ask the server for, so that it shows the one that we know.
    pub(super) fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let keys = match self {
            Self::Key(key) => vec![key.clone()],
            Self::KnownHosts(file) => known_hosts::known_host_keys_path(host, port, file)
                .unwrap_or_default()
                .into_iter()
                .map(|(_, key)| key)
                .collect(),
        };
        let mut algorithms = Vec::new();
        for key in keys {
            if key.algorithm().is_rsa() {
                for hash in [HashAlg::Sha512, HashAlg::Sha256] {
                    algorithms.push(Algorithm::Rsa { hash: Some(hash) });
                }
            } else {
                algorithms.push(key.algorithm());
            }
        }
        algorithms
    }
}

/// Looks at the key that the server shows.
pub(super) struct Guard {
    pub(super) expected: Expected,
    pub(super) host: String,
    pub(super) port: u16,
    /// Why the server was refused, for the log.
    pub(super) refusal: Arc<Mutex<Option<String>>>,
}

impl Guard {
    fn check(&self, shown: &PublicKey) -> Result<(), String> {
        let fingerprint = shown.fingerprint(HashAlg::Sha256);
        match &self.expected {
            Expected::Key(key) if key.key_data() == shown.key_data() => Ok(()),
            Expected::Key(key) => Err(format!(
                "it shows {fingerprint}, expected is {}",
                key.fingerprint(HashAlg::Sha256)
            )),
            Expected::KnownHosts(file) => match check_known_hosts_path(&self.host, self.port, shown, file) {
                Ok(true) => Ok(()),
                Ok(false) => Err(format!(
                    "it shows {fingerprint}, which is not in the file of known hosts"
                )),
                Err(Error::KeyChanged { line }) => Err(format!(
                    "it shows {fingerprint}, line {line} of the file of known hosts has another one"
                )),
                Err(error) => Err(format!("it shows {fingerprint}: {error}")),
            },
        }
    }
}

impl russh::client::Handler for Guard {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let checked = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.check(key),
            PublicKeyOrCertificate::Certificate(_) => Err("it shows a certificate".to_owned()),
        };
        let accepted = checked.is_ok();
        *self.refusal.lock() = checked.err();
        Ok(accepted)
    }
}
