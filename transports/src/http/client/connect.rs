//! Opening a connection to a backend.

use super::{ClientSettings, Http2, connect_fault, http1, http2};
use crate::http::wire::{Rewound, Socket};
use bytes::Bytes;
use engine::fault::Fault;
use http::Uri;
use http::uri::{Authority, Scheme};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What a connection leads to. Connections are shared where it is equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) tls: bool,
    pub(super) authority: Authority,
    pub(super) identity: u64,
}

impl Target {
    pub(super) fn of(uri: &Uri, settings: &ClientSettings) -> Result<Self, Fault> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(Fault::internal("the URL is not absolute"));
        };
        Ok(Self {
            tls: *scheme == Scheme::HTTPS,
            authority: authority.clone(),
            identity: settings.identity,
        })
    }

    fn host(&self) -> &str {
        self.authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
    }

    fn port(&self) -> u16 {
        self.authority
            .port_u16()
            .unwrap_or(if self.tls { 443 } else { 80 })
    }
}

/// A new connection, by what is spoken on it.
pub(super) enum Connected {
    Http1(http1::Connection),
    Http2(http2::Connection),
}

/// Connects within `connect_timeout`, TLS handshake included.
pub(super) async fn connect(target: &Target, settings: &ClientSettings) -> Result<Connected, Fault> {
    let opened = tokio::time::timeout(settings.connect_timeout, open(target, settings)).await;
    opened.unwrap_or_else(|_| {
        Err(connect_fault(format!(
            "no connection within {:?}",
            settings.connect_timeout
        )))
    })
}

async fn open(target: &Target, settings: &ClientSettings) -> Result<Connected, Fault> {
    let tcp = TcpStream::connect((target.host(), target.port())).await;
    let tcp = tcp.map_err(|error| connect_fault("connecting").with_source(error))?;
    // Without it the last part of a request waits for an acknowledgement.
    let _ = tcp.set_nodelay(true);
    let (socket, offered) = if target.tls {
        secure(tcp, target, settings).await?
    } else {
        (Socket::Plain(tcp), false)
    };
    if offered || settings.http2 == Http2::PriorKnowledge {
        return http2::handshake(Rewound {
            prefix: Bytes::new(),
            socket,
        })
        .await
        .map(Connected::Http2);
    }
    Ok(Connected::Http1(http1::Connection::new(socket)))
}

/// The TLS handshake. The second value tells whether the backend chose HTTP/2.
async fn secure(tcp: TcpStream, target: &Target, settings: &ClientSettings) -> Result<(Socket, bool), Fault> {
    let name = settings.server_name.as_deref().unwrap_or_else(|| target.host());
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| connect_fault("the host is no valid TLS server name"))?;
    let connector = TlsConnector::from(settings.tls.clone());
    let stream = connector.connect(name, tcp).await;
    let stream = stream.map_err(|error| connect_fault("TLS handshake").with_source(error))?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Socket::Tls(Box::new(stream.into())), http2))
}
