//! One logged-in SSH connection with its SFTP channel. Requests carry numbers, so that several operations can use it at once.

use super::host_key::Guard;
use super::settings::Settings;
use crate::files::path::{join, name, parent};
use crate::remote::failure::{Failure, timeout, unreachable};
use crate::remote::protocol::At;
use crate::remote::sessions::Open;
use engine::fault::{Fault, FaultCode};
use engine::mediator::BoxFuture;
use parking_lot::Mutex;
use russh::client::{Config, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::PrivateKeyWithHashAlg;
use russh::{MethodKind, Preferred};
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error;
use russh_sftp::protocol::{FileAttributes, Packet, StatusCode};
use russh_sftp::ser;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often an idle connection is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Most questions in a dialogue for a password.
const PROMPTS_MAX: usize = 8;

/// An SFTP channel after login.
pub(super) struct Session {
    pub(super) raw: RawSftpSession,
    posix_rename: bool,
    fsync: bool,
    /// The folder that the server starts a login in.
    home: String,
    /// Real paths of folders that were asked for: as many as the configuration has.
    roots: Mutex<HashMap<String, String>>,
    /// The connection lives as long as this.
    _ssh: Handle<Guard>,
}

/// Opens SSH connections.
pub(super) struct Opener(pub(super) Settings);

impl Open for Opener {
    type Session = Arc<Session>;

    fn open(&self) -> BoxFuture<'_, Result<Arc<Session>, Fault>> {
        Box::pin(async {
            let mut ssh = connect(&self.0).await?;
            login(&mut ssh, &self.0).await?;
            start(ssh, self.0.timeout).await.map(Arc::new)
        })
    }
}

async fn connect(settings: &Settings) -> Result<Handle<Guard>, Fault> {
    let mut preferred = Preferred::default();
    let known = settings.expected.algorithms(&settings.host, settings.port);
    if !known.is_empty() {
        preferred.key = Cow::Owned(known);
    }
    let config = Arc::new(Config {
        preferred,
        keepalive_interval: Some(KEEPALIVE),
        nodelay: true,
        ..Config::default()
    });
    let refusal = Arc::new(Mutex::new(None));
    let guard = Guard {
        expected: settings.expected.clone(),
        host: settings.host.clone(),
        port: settings.port,
        refusal: Arc::clone(&refusal),
    };
    let address = (&*settings.host, settings.port);
    let connected = russh::client::connect(config, address, guard).await;
    connected.map_err(|error| match (refusal.lock().take(), &error) {
        (Some(why), _) => wrong_host(why),
        (None, russh::Error::NoCommonAlgo { .. }) => wrong_host(format!("it has no such key: {error}")),
        (None, error) => unreachable("The file server cannot be reached.", error.to_string()),
    })
}

fn wrong_host(why: String) -> Fault {
    unreachable(
        "The file server is not the expected one: its host key differs.",
        why,
    )
}

async fn login(ssh: &mut Handle<Guard>, settings: &Settings) -> Result<(), Fault> {
    let broken = |error: russh::Error| unreachable("The file server cannot be reached.", error.to_string());
    let user = settings.user.as_str();
    if let Some(key) = &settings.key {
        let hash = if key.algorithm().is_rsa() {
            ssh.best_supported_rsa_hash().await.map_err(broken)?.flatten()
        } else {
            None
        };
        let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
        if ssh
            .authenticate_publickey(user, key)
            .await
            .map_err(broken)?
            .success()
        {
            return Ok(());
        }
    }
    if let Some(password) = &settings.password {
        let outcome = ssh.authenticate_password(user, password.expose()).await;
        match outcome.map_err(broken)? {
            russh::client::AuthResult::Success => return Ok(()),
            russh::client::AuthResult::Failure {
                remaining_methods, ..
            } => {
                if remaining_methods.contains(&MethodKind::KeyboardInteractive)
                    && dialogue(ssh, user, password.expose()).await.map_err(broken)?
                {
                    return Ok(());
                }
            }
        }
    }
    Err(unreachable(
        "The file server refused the login.",
        format!("user {user}"),
    ))
}

/// RFC 4256: every hidden question is one for the password.
async fn dialogue(ssh: &mut Handle<Guard>, user: &str, password: &str) -> Result<bool, russh::Error> {
    let mut state = ssh.authenticate_keyboard_interactive_start(user, None).await?;
    for _ in 0..PROMPTS_MAX {
        state = match state {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                let answer = |echo| if echo { String::new() } else { password.to_owned() };
                let answers = prompts.iter().map(|prompt| answer(prompt.echo)).collect();
                ssh.authenticate_keyboard_interactive_respond(answers).await?
            }
        };
    }
    Ok(false)
}

async fn start(ssh: Handle<Guard>, limit: Duration) -> Result<Session, Fault> {
    let no_sftp = |detail: String| unreachable("The server offers no SFTP.", detail);
    let channel = ssh.channel_open_session().await;
    let channel = channel.map_err(|error| no_sftp(error.to_string()))?;
    let requested = channel.request_subsystem(true, "sftp").await;
    requested.map_err(|error| no_sftp(error.to_string()))?;
    let config = russh_sftp::client::Config {
        request_timeout_secs: limit.as_secs().max(1),
        ..Default::default()
    };
    let raw = RawSftpSession::new_with_config(channel.into_stream(), config);
    let version = raw.init().await.map_err(|error| no_sftp(error.to_string()))?;
    let home = realpath(&raw, ".").await.map_err(|failure| failure.fault)?;
    let has = |name: &str| version.extensions.contains_key(name);
    Ok(Session {
        posix_rename: has(POSIX_RENAME),
        fsync: has("fsync@openssh.com"),
        home: home.unwrap_or_else(|| "/".to_owned()),
        raw,
        roots: Mutex::default(),
        _ssh: ssh,
    })
}

/// The server's path for a name, with all links followed; `None` where a folder on the way is missing.
async fn realpath(raw: &RawSftpSession, path: &str) -> Result<Option<String>, Failure> {
    match raw.realpath(path).await {
        Ok(name) => Ok(name.files.into_iter().next().map(|file| file.filename)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

/// Renames in one step and replaces what is there (OpenSSH's PROTOCOL, section 4.3).
const POSIX_RENAME: &str = "posix-rename@openssh.com";

impl Session {
    /// The server's path of a configured folder; links not followed.
    pub(super) fn folder(&self, folder: &str) -> String {
        if folder.starts_with('/') {
            folder.to_owned()
        } else {
            join(&self.home, folder)
        }
    }

    /// The real path of a configured folder.
    async fn root(&self, folder: &str) -> Result<Option<String>, Failure> {
        let known = self.roots.lock().get(folder).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let root = realpath(&self.raw, &self.folder(folder)).await?;
        if let Some(root) = &root {
            self.roots.lock().insert(folder.to_owned(), root.clone());
        }
        Ok(root)
    }

    /// The real path of a name below a folder. `None` where a folder on the way is missing.
    ///
    /// # Errors
    /// `client.bad_request` where links lead out of the folder.
    pub(super) async fn resolve(&self, at: At<'_>) -> Result<Option<String>, Failure> {
        let Some(root) = self.root(at.folder).await? else {
            return Ok(None);
        };
        let Some(real) = realpath(&self.raw, &join(&root, at.path)).await? else {
            return Ok(None);
        };
        let below = real.strip_prefix(root.trim_end_matches('/'));
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Ok(Some(real));
        }
        let message = "The path of the file leads out of its folder.";
        Err(Fault::new(FaultCode::BadRequest, message).into())
    }

    /// The real path of the folder that a name lies in, and the name; a link of that name is not followed.
    pub(super) async fn locate(&self, at: At<'_>) -> Result<Option<String>, Failure> {
        let above = At {
            path: parent(at.path),
            ..at
        };
        let folder = self.resolve(above).await?;
        Ok(folder.map(|folder| join(&folder, name(at.path))))
    }

    /// The attributes of a name itself, `None` where there is none.
    pub(super) async fn attributes(&self, path: &str) -> Result<Option<FileAttributes>, Failure> {
        found(self.raw.lstat(path).await.map(|found| found.attrs))
    }

    /// Makes a folder and those above it.
    pub(super) async fn make_folders(&self, folder: &str) -> Result<(), Failure> {
        let ends = folder.match_indices('/').map(|(at, _)| at).chain([folder.len()]);
        for end in ends.filter(|end| *end > 0) {
            let made = self.raw.mkdir(&folder[..end], FileAttributes::empty()).await;
            // That it exists is told in no special way; what is missing shows at the next step.
            if let Err(error) = made
                && !matches!(error, Error::Status(_))
            {
                return Err(failure(error));
            }
        }
        Ok(())
    }

    /// Renames and replaces what is there, in one step where the server can.
    pub(super) async fn replace(&self, from: &str, to: &str) -> Result<(), Error> {
        if self.posix_rename {
            return self.posix_rename(from, to).await;
        }
        let renamed = self.raw.rename(from, to).await;
        if matches!(&renamed, Err(Error::Status(status)) if status.status_code == StatusCode::Failure) {
            // Version 3 refuses to overwrite: for a moment there is no file of this name.
            self.raw.remove(to).await?;
            return self.raw.rename(from, to).await.map(drop);
        }
        renamed.map(drop)
    }

    async fn posix_rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let names = ser::to_bytes(&(from, to))?;
        match self.raw.extended(POSIX_RENAME, names.to_vec()).await? {
            Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
            Packet::Status(status) => Err(Error::Status(status)),
            _ => Err(Error::UnexpectedPacket),
        }
    }

    /// Waits until the file is on the server's disk, where the server can tell.
    pub(super) async fn sync(&self, handle: &str) -> Result<(), Failure> {
        if self.fsync {
            self.raw.fsync(handle).await.map_err(failure)?;
        }
        Ok(())
    }
}

/// Turns "no such file" into `None`.
pub(super) fn found<T>(outcome: Result<T, Error>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Status(status) if status.status_code == StatusCode::NoSuchFile)
}

/// What an error means for the operation and the session.
pub(super) fn failure(error: Error) -> Failure {
    match error {
        Error::Status(status) => match status.status_code {
            StatusCode::NoConnection | StatusCode::ConnectionLost => Failure::lost(status.error_message),
            code => Failure::refused(format!("{code}: {}", status.error_message)),
        },
        Error::Timeout => Failure {
            fault: timeout(),
            broken: true,
        },
        error => Failure::lost(error.to_string()),
    }
}
