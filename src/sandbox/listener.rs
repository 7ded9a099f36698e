//! A loopback listener whose connections can be cut: what a network failure looks like to a client.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// A handle on one connection, given to every request that arrives on it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Unique in this process.
    pub number: u64,
    cut: Arc<AtomicBool>,
}

impl Connection {
    fn new() -> Self {
        Self { number: CONNECTIONS.fetch_add(1, Ordering::Relaxed), cut: Arc::default() }
    }

    /// From now on nothing more reaches the client; the connection ends at the next write.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

/// A connection that can be [cut](Connection::cut).
pub struct Cuttable<S> {
    inner: S,
    connection: Connection,
}

impl<S> Cuttable<S> {
    fn is_cut(&self) -> bool {
        self.connection.cut.load(Ordering::SeqCst)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cuttable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cuttable<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Listens on the loopback interface.
pub struct LoopbackListener(pub TcpListener);

impl Listener for LoopbackListener {
    type Io = Cuttable<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (inner, address) = Listener::accept(&mut self.0).await;
        // An answer is one small write; waiting for more would only add 40 ms to each.
        let _ = inner.set_nodelay(true);
        (Cuttable { inner, connection: Connection::new() }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, LoopbackListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, LoopbackListener>) -> Self {
        stream.io().connection.clone()
    }
}

/// Listens on a Unix socket, which is how `gh` is led here without TLS (github-api.md §8.2).
#[cfg(unix)]
pub struct SocketListener(pub tokio::net::UnixListener);

#[cfg(unix)]
impl Listener for SocketListener {
    type Io = Cuttable<tokio::net::UnixStream>;
    type Addr = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (inner, address) = Listener::accept(&mut self.0).await;
        (Cuttable { inner, connection: Connection::new() }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

#[cfg(unix)]
impl Connected<IncomingStream<'_, SocketListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, SocketListener>) -> Self {
        stream.io().connection.clone()
    }
}
