//! The receiving half: a listener with one socket per worker, each of which accepts and serves its connections on its own thread.

mod accept;
mod exchange;
mod http1;
mod http2;
mod lifecycle;
mod request_body;
mod settings;

#[cfg(test)]
mod tests;

pub use settings::ServerSettings;

use arc_swap::ArcSwap;
use engine::fault::{Fault, FaultCode};
use engine::gateway::Gateway;
use engine::mediator::BoxFuture;
use engine::transport::{Listener, RunningListener};
use lifecycle::Shared;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// A configured HTTP listener.
pub struct HttpListener {
    address: SocketAddr,
    settings: Arc<ServerSettings>,
}

impl HttpListener {
    /// A listener at `address`; port 0 takes a free one.
    #[must_use]
    pub fn new(address: SocketAddr, settings: ServerSettings) -> Self {
        Self {
            address,
            settings: Arc::new(settings),
        }
    }
}

impl Listener for HttpListener {
    fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    fn key(&self) -> String {
        // Whoever asks for any free port means one of his own; other ports are what they are whatever is spoken there.
        match self.address.port() {
            0 => format!("http:{}:{}", self.address, self.settings.name),
            _ => format!("http:{}", self.address),
        }
    }

    fn bind<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> BoxFuture<'a, Result<Box<dyn RunningListener>, Fault>> {
        Box::pin(async move {
            let running = self.open(gateway).map_err(|error| self.bind_fault(&error))?;
            Ok(Box::new(running) as Box<dyn RunningListener>)
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl HttpListener {
    fn open(&self, gateway: &Arc<Gateway>) -> io::Result<RunningHttpListener> {
        if self.address.port() != 0 {
            // A socket that shares its port cannot tell that somebody else does so already; one that does not share can.
            drop(listening_socket(self.address, Sharing::Alone)?);
        }
        let first = listening_socket(self.address, Sharing::Port)?;
        let address = first.local_addr()?;
        let mut sockets = vec![first];
        for _ in 1..gateway.workers.handles().len() {
            sockets.push(listening_socket(address, Sharing::Port)?);
        }
        let settings = Arc::new(ArcSwap::from(Arc::clone(&self.settings)));
        let shared = Shared::new(Arc::clone(gateway), settings);
        for (socket, worker) in sockets.into_iter().zip(gateway.workers.handles()) {
            drop(worker.spawn(accept::run(Arc::clone(&shared), shared.accepting(), socket)));
        }
        Ok(RunningHttpListener { address, shared })
    }

    fn bind_fault(&self, error: &io::Error) -> Fault {
        let message = format!(
            "The listener `{}` cannot listen on {}: {error}.",
            self.settings.name, self.address
        );
        Fault::new(FaultCode::Internal, message)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Port,
}

fn listening_socket(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listener that accepts connections.
pub struct RunningHttpListener {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl RunningListener for RunningHttpListener {
    fn url(&self) -> String {
        let scheme = if self.shared.settings.load().tls.is_some() {
            "https"
        } else {
            "http"
        };
        let mut address = self.address;
        if address.ip().is_unspecified() {
            let loopback = if address.is_ipv4() { "127.0.0.1" } else { "::1" };
            address.set_ip(loopback.parse().expect("a loopback address"));
        }
        format!("{scheme}://{address}")
    }

    fn reconfigure(&self, listener: &dyn Listener) -> Result<(), Fault> {
        let listener = listener.as_any().downcast_ref::<HttpListener>();
        let listener =
            listener.ok_or_else(|| Fault::internal("a listener of another transport has the same key"))?;
        self.shared.settings.store(Arc::clone(&listener.settings));
        Ok(())
    }

    fn drain(&self, grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.shared.drain(grace))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
