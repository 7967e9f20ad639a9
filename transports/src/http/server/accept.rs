//! Accepting connections and finding out what they speak.

use super::lifecycle::{Acceptor, Shared};
use super::{http1, http2};
use crate::http::wire::{Rewound, Socket};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Pause after an error that concerns the machine rather than one connection, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// The other end of a connection.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) scheme: &'static str,
}

/// Accepts on one worker's socket until the listener drains.
pub(super) async fn run(shared: Arc<Shared>, acceptor: Acceptor, socket: std::net::TcpListener) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, listener = %shared.name(), "listener cannot be polled"),
    };
    loop {
        let connections_max = shared.settings.load().connections;
        let accepted = async {
            shared.room(connections_max).await;
            listener.accept().await
        };
        tokio::select! {
            biased;
            () = shared.drained() => break,
            accepted = accepted => match accepted {
                Ok((tcp, address)) => start(&shared, tcp, address),
                Err(error) => rest(&shared, &error).await,
            },
        }
    }
    finish_backlog(&shared, &listener).await;
    drop(listener);
    drop(acceptor);
}

/// Serves what the kernel has accepted already: closing the socket would reset those connections.
async fn finish_backlog(shared: &Arc<Shared>, listener: &TcpListener) {
    while let Ok(Ok((tcp, address))) = tokio::time::timeout(Duration::ZERO, listener.accept()).await {
        start(shared, tcp, address);
    }
}

async fn rest(shared: &Shared, error: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        tracing::warn!(%error, listener = %shared.name(), "connection cannot be accepted");
        tokio::time::sleep(PAUSE).await;
    }
}

fn start(shared: &Arc<Shared>, tcp: TcpStream, address: SocketAddr) {
    // Without it replies that are written in two parts wait for the client's delayed acknowledgement.
    let _ = tcp.set_nodelay(true);
    let slot = shared.occupy();
    let shared = Arc::clone(shared);
    drop(tokio::spawn(async move {
        // In a box: a future that is passed on has room for itself more than once.
        let connection = Box::pin(async {
            let tls = shared.settings.load().tls.clone();
            let scheme = if tls.is_some() { "https" } else { "http" };
            let peer = Peer { address, scheme };
            match tls {
                None => plain(&shared, tcp, peer).await,
                Some(tls) => Box::pin(secure(&shared, tls, tcp, peer)).await,
            }
        });
        shared.live(connection).await;
        drop(slot);
    }));
}

/// HTTP/1.1, or HTTP/2 where the connection begins with its preface.
async fn plain(shared: &Arc<Shared>, tcp: TcpStream, peer: Peer) {
    if let Some((prefix, socket)) = http1::serve(shared, Socket::Plain(tcp), peer).await {
        Box::pin(http2::serve(shared, Rewound { prefix, socket }, peer)).await;
    }
}

async fn secure(shared: &Arc<Shared>, tls: Arc<rustls::ServerConfig>, tcp: TcpStream, peer: Peer) {
    let handshake_time = shared.settings.load().header_timeout;
    let stream = match tokio::time::timeout(handshake_time, TlsAcceptor::from(tls).accept(tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, peer = %peer.address, "TLS handshake failed"),
        Err(_) => return tracing::debug!(peer = %peer.address, "TLS handshake took too long"),
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let socket = Socket::Tls(Box::new(stream.into()));
    if http2 {
        http2::serve(
            shared,
            Rewound {
                prefix: Bytes::new(),
                socket,
            },
            peer,
        )
        .await;
    } else {
        // Without ALPN a preface is as good as on a plain connection.
        if let Some((prefix, socket)) = http1::serve(shared, socket, peer).await {
            http2::serve(shared, Rewound { prefix, socket }, peer).await;
        }
    }
}
