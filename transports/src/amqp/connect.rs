//! Making a connection. TCP and TLS are ours, so that the library's I/O thread starts with a stream that is there, and so that the
//! thread ends where the broker never finishes the handshake of AMQP: the socket is shut down, which nothing else can do from outside.

use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, Error};
use parking_lot::Mutex;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;

/// A connection whose I/O belongs to the runtime that this runs on. Dropping the future gives up at once.
///
/// # Errors
/// Why there is none, without credentials.
pub(super) async fn connect(uri: &AMQPUri, tls: &OwnedTLSConfig, name: &str) -> Result<Connection, String> {
    let told = |error: io::Error| error.to_string();
    let runtime = lapin::runtime::default_runtime().map_err(|error| error.to_string())?;
    let host = uri.authority.host.as_str();
    let addresses = tokio::net::lookup_host((host, uri.authority.port));
    let addresses: Vec<SocketAddr> = addresses.await.map_err(told)?.collect();
    let stream = AsyncTcpStream::connect(&runtime, addresses).await.map_err(told)?;
    let mut unfinished = match &stream {
        AsyncTcpStream::Plain(plain) => Unfinished::new(plain.get_ref()).map_err(told)?,
        _ => Unfinished(None),
    };
    let stream = match uri.scheme {
        AMQPScheme::AMQP => stream,
        AMQPScheme::AMQPS => stream.into_tls(host, tls.as_ref()).await.map_err(told)?,
    };
    let stream = Mutex::new(Some(stream));
    let take = async move |_, _| {
        let stream = stream.lock().take();
        stream.ok_or_else(|| Error::from(io::Error::from(io::ErrorKind::NotConnected)))
    };
    let properties =
        ConnectionProperties::default().with_connection_name(format!("mediary {name}").into_bytes().into());
    let connection = Connection::connector(uri.clone(), runtime, take, properties).await;
    let connection = connection.map_err(|error| error.to_string())?;
    unfinished.0 = None;
    Ok(connection)
}

/// A second handle of the socket, which shuts it down when it is dropped.
struct Unfinished(Option<TcpStream>);

impl Unfinished {
    fn new(socket: &tokio::net::TcpStream) -> io::Result<Self> {
        let handle = socket.as_fd().try_clone_to_owned()?;
        Ok(Self(Some(handle.into())))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    /// The library's threads of this process.
    fn threads() -> usize {
        let all = std::fs::read_dir("/proc/self/task").unwrap();
        let named = |name: String| name.starts_with("lapin-io-loop");
        all.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .filter(|name| named(name.clone()))
            .count()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_broker_that_is_silent_costs_no_thread_and_no_socket() {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut uri = AMQPUri::default();
        "::1".clone_into(&mut uri.authority.host);
        uri.authority.port = port;
        // One never says a word, the next stops in the middle of the handshake.
        for start in [&b""[..], &b"\x01\x00\x00"[..]] {
            let broker = async {
                let (mut socket, _) = listener.accept().await.unwrap();
                socket.write_all(start).await.unwrap();
                let mut said = Vec::new();
                socket.read_to_end(&mut said).await.unwrap();
                said
            };
            let tls = OwnedTLSConfig::default();
            let attempt = timeout(Duration::from_millis(300), connect(&uri, &tls, "test"));
            let both = timeout(Duration::from_secs(10), async { tokio::join!(attempt, broker) });
            let (attempt, said) = both.await.expect("the socket is shut down");
            assert!(attempt.is_err(), "there is no connection");
            assert_eq!(said, b"AMQP\x00\x00\x09\x01");
        }
        for _ in 0..500 {
            if threads() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(threads(), 0);
    }
}
