//! One logged-in control connection: connecting in the three ways, what the server can do, and its replies as faults.

use super::settings::{Security, Settings};
use crate::files::path::join;
use crate::remote::failure::{Failure, unreachable};
use crate::remote::protocol::At;
use crate::remote::sessions::Open;
use engine::fault::{Fault, FaultCode};
use engine::mediator::BoxFuture;
use rustls::client::Resumption;
use std::sync::Arc;
use suppaftp::tokio::{AsyncRustlsConnector, AsyncRustlsFtpStream};
use suppaftp::types::{FileType, Response};
use suppaftp::{FtpError, Mode, Status};

/// TLS sessions that are kept for the data connections of one control connection.
const TLS_SESSIONS: usize = 8;

/// A control connection after its login.
pub(super) struct Session {
    pub(super) ftp: AsyncRustlsFtpStream,
    /// The folder that the server starts a login in.
    home: String,
    /// RFC 3659: listings and facts for machines.
    pub(super) mlst: bool,
}

impl Session {
    /// The server's path.
    pub(super) fn absolute(&self, at: At<'_>) -> String {
        let folder = if at.folder.starts_with('/') {
            at.folder.to_owned()
        } else {
            join(&self.home, at.folder)
        };
        join(&folder, at.path)
    }
}

/// Opens control connections.
pub(super) struct Opener(pub(super) Settings);

impl Open for Opener {
    type Session = Session;

    fn open(&self) -> BoxFuture<'_, Result<Session, Fault>> {
        Box::pin(async {
            let settings = &self.0;
            let mut ftp = connect(settings).await?;
            login(&mut ftp, settings).await?;
            prepare(ftp).await.map_err(|error| connecting(&error))
        })
    }
}

async fn connect(settings: &Settings) -> Result<AsyncRustlsFtpStream, Fault> {
    let address = (&*settings.host, settings.port);
    let connected = match &settings.security {
        Security::None => AsyncRustlsFtpStream::connect(address).await,
        Security::Explicit(tls) => match AsyncRustlsFtpStream::connect(address).await {
            Ok(plain) => plain.into_secure(connector(tls), settings.tls_name()).await,
            Err(error) => Err(error),
        },
        Security::Implicit(tls) => {
            AsyncRustlsFtpStream::connect_secure_implicit(address, connector(tls), settings.tls_name()).await
        }
    };
    connected.map_err(|error| connecting(&error))
}

/// Servers may demand that data connections take up the TLS session of their own control connection, so each has a memory of its own.
fn connector(tls: &rustls::ClientConfig) -> AsyncRustlsConnector {
    let mut config = tls.clone();
    config.resumption = Resumption::in_memory_sessions(TLS_SESSIONS);
    suppaftp::tokio_rustls::TlsConnector::from(Arc::new(config)).into()
}

async fn login(ftp: &mut AsyncRustlsFtpStream, settings: &Settings) -> Result<(), Fault> {
    match ftp.login(&*settings.user, settings.password.expose()).await {
        Ok(()) => {}
        Err(FtpError::UnexpectedResponse(reply)) if !is_closing(&reply) => {
            return Err(unreachable(
                "The file server refused the login.",
                reply.to_string(),
            ));
        }
        Err(error) => return Err(connecting(&error)),
    }
    if matches!(settings.security, Security::Implicit(_)) {
        protect(ftp).await.map_err(|error| connecting(&error))?;
    }
    Ok(())
}

/// Data connections are encrypted too (RFC 4217 section 9). With explicit TLS the library has asked for it.
async fn protect(ftp: &mut AsyncRustlsFtpStream) -> Result<(), FtpError> {
    ftp.custom_command("PBSZ 0", &[Status::CommandOk]).await?;
    ftp.custom_command("PROT P", &[Status::CommandOk]).await?;
    Ok(())
}

async fn prepare(mut ftp: AsyncRustlsFtpStream) -> Result<Session, FtpError> {
    let features = match ftp.feat().await {
        Ok(features) => features,
        Err(FtpError::UnexpectedResponse(_)) => Default::default(),
        Err(error) => return Err(error),
    };
    let has = |name: &str| features.keys().any(|key| key.eq_ignore_ascii_case(name));
    let (mlst, utf8, epsv) = (has("MLST"), has("UTF8"), has("EPSV"));
    if utf8 && let Err(error) = ftp.opts("UTF8", Some("ON")).await {
        // Most servers speak UTF-8 anyway; only a broken connection matters.
        let FtpError::UnexpectedResponse(_) = error else {
            return Err(error);
        };
    }
    ftp.transfer_type(FileType::Binary).await?;
    let home = ftp.pwd().await?;
    let peer = ftp.get_ref().await.peer_addr();
    let v6 = peer.is_ok_and(|peer| peer.is_ipv6());
    ftp.set_mode(if epsv || v6 {
        Mode::ExtendedPassive
    } else {
        Mode::Passive
    });
    // The address in a reply to PASV is wrong behind NAT and a way to make us connect elsewhere; only its port counts.
    ftp.set_passive_nat_workaround(true);
    Ok(Session { ftp, home, mlst })
}

fn connecting(error: &FtpError) -> Fault {
    unreachable("The file server cannot be reached.", error.to_string())
}

fn is_closing(reply: &Response) -> bool {
    reply.status == Status::NotAvailable
}

/// Whether the server says that there is no such file or folder, or that it is not for us: FTP has one code for both.
pub(super) fn is_unavailable(error: &FtpError) -> bool {
    const CODES: [Status; 4] = [
        Status::FileUnavailable,
        Status::RequestFileActionIgnored,
        Status::BadArguments,
        Status::BadFilename,
    ];
    matches!(error, FtpError::UnexpectedResponse(reply) if CODES.contains(&reply.status))
}

impl From<FtpError> for Failure {
    fn from(error: FtpError) -> Self {
        match &error {
            FtpError::UnexpectedResponse(reply) => match reply.status {
                Status::NotAvailable
                | Status::NotLoggedIn
                | Status::CannotOpenDataConnection
                | Status::TransferAborted => Self::lost(reply.to_string()),
                _ => Self::refused(reply.to_string()),
            },
            FtpError::BadResponse => {
                let fault = Fault::new(
                    FaultCode::BadReply,
                    "The file server's reply cannot be understood.",
                );
                Self { fault, broken: true }
            }
            _ => Self::lost(error.to_string()),
        }
    }
}
