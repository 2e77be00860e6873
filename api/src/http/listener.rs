//! Connections: accepted up to a limit, with time limits for handshakes and heads, drained when the service ends.

use super::call::Peer;
use super::service::{Held, serve};
use crate::state::State;
use anyhow::{Context, Result};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;

/// A client that has not said what it wants by then is let go.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Without file descriptors or memory, accepting fails until some come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds, and says where.
pub(crate) async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("server.listen = {listen} cannot be bound"))?;
    let address = listener.local_addr().context("server.listen")?;
    Ok((listener, address))
}

/// Serves until `end`, then lets requests under way finish.
pub(crate) async fn run(
    state: Arc<State>,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    end: impl Future<Output = ()>,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(state.settings.server.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let (held, mut all_done) = mpsc::channel::<()>(1);
    tokio::pin!(end);
    loop {
        let accepted = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = &mut end => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection =
                    Connection { state: Arc::clone(&state), peer, watcher: graceful.watcher(), held: held.clone() };
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    connection.run(stream, acceptor).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, held));
    let drained = async {
        graceful.shutdown().await;
        // Nobody sends; this ends when the last holder is gone.
        let _ = all_done.recv().await;
    };
    if tokio::time::timeout(state.settings.server.drain(), drained).await.is_err() {
        tracing::warn!("some requests were still under way after server.drain_ms");
    }
}

struct Connection {
    state: Arc<State>,
    peer: SocketAddr,
    watcher: Watcher,
    held: Held,
}

impl Connection {
    async fn run(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let Some(acceptor) = acceptor else { return self.serve(stream, None).await };
        match tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates().map(Arc::from);
                self.serve(stream, certificates).await;
            }
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "TLS handshake"),
            Err(_) => tracing::debug!(peer = %self.peer, "TLS handshake took too long"),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        self,
        stream: S,
        certificates: Option<Arc<[CertificateDer<'static>]>>,
    ) {
        let Self { state, peer, watcher, held } = self;
        let other_end = Peer { source: Some(peer.ip().to_canonical()), certificates };
        let service = service_fn(move |request| {
            let (state, other_end, held) = (Arc::clone(&state), other_end.clone(), held.clone());
            async move { Ok::<_, Infallible>(serve(state, request, other_end, held).await) }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256).keep_alive_interval(HEAD_PATIENCE);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%peer, %error, "connection");
        }
    }
}
