//! A socket between the log and PostgreSQL that can lose an answer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const NAME: &str = ".s.PGSQL.5432";

pub(crate) struct Proxy {
    directory: TempDir,
    lose: Arc<AtomicBool>,
}

impl Proxy {
    /// In front of the server whose socket is in `server`.
    pub(crate) fn start(server: &Path) -> Self {
        let proxy = Self { directory: TempDir::new().unwrap(), lose: Arc::default() };
        let listener = UnixListener::bind(proxy.directory.path().join(NAME)).unwrap();
        let (server, lose) = (server.join(NAME), Arc::clone(&proxy.lose));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&lose)));
            }
        });
        proxy
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The next answer is lost, with its connection, once the server has given it.
    pub(crate) fn lose_next_answer(&self) {
        self.lose.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_lost(&self) -> bool {
        !self.lose.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: UnixStream, mut server: UnixStream, lose: Arc<AtomicBool>) {
    let (mut asked, mut answered) = ([0; 16_384], [0; 16_384]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => server.write_all(&asked[..length]).await.unwrap(),
            },
            read = server.read(&mut answered) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) if lose.swap(false, Ordering::SeqCst) => return,
                Ok(length) => client.write_all(&answered[..length]).await.unwrap(),
            },
        }
    }
}
