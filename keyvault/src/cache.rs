//! Keys as they were when last read and checked. Emptied when the database says that key rows changed; while it cannot say so, nothing
//! here lives longer than a second.

use crate::key::{Key, KeyName};
use quick_cache::sync::Cache as QuickCache;
use sqlx::postgres::{PgConnectOptions, PgListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long an entry lives while notifications come, and while they do not.
const LIVES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(1));
/// A listener that hears nothing for so long asks the server whether it is still there.
const HEARTBEAT: Duration = Duration::from_millis(400);

type Name = (Uuid, Uuid, KeyName);

#[derive(Debug)]
pub(crate) struct KeyCache {
    entries: QuickCache<Name, (Arc<Key>, Instant)>,
    /// By alias, the key's name.
    aliases: QuickCache<Name, (KeyName, Instant)>,
    listening: AtomicBool,
    /// Grows with each invalidation: what was read before one is not put in after it.
    epoch: AtomicU64,
}

impl KeyCache {
    pub(crate) fn new() -> Self {
        Self {
            entries: QuickCache::new(100_000),
            aliases: QuickCache::new(10_000),
            listening: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
        }
    }

    pub(crate) fn get(&self, name: &Name) -> Option<Arc<Key>> {
        let (key, since) = self.entries.get(name)?;
        self.lives(since).then_some(key)
    }

    pub(crate) fn aliased(&self, alias: &Name) -> Option<KeyName> {
        let (name, since) = self.aliases.get(alias)?;
        self.lives(since).then_some(name)
    }

    fn lives(&self, since: Instant) -> bool {
        since.elapsed() < if self.listening.load(Ordering::Acquire) { LIVES.0 } else { LIVES.1 }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn put(&self, name: Name, key: Arc<Key>, read_at: u64) {
        if self.epoch() == read_at {
            self.entries.insert(name, (key, Instant::now()));
        }
    }

    pub(crate) fn put_alias(&self, alias: Name, name: KeyName, read_at: u64) {
        if self.epoch() == read_at {
            self.aliases.insert(alias, (name, Instant::now()));
        }
    }

    pub(crate) fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.entries.clear();
        self.aliases.clear();
    }

    /// Listens on a connection of its own, for as long as the cache lives.
    pub(crate) async fn listen(cache: Weak<Self>, options: PgConnectOptions) {
        while cache.strong_count() > 0 {
            if let Err(error) = Self::listen_once(&cache, &options).await {
                tracing::warn!(%error, "clm_secure_db sends no notifications: cached keys live one second");
            }
            if let Some(cache) = cache.upgrade() {
                cache.listening.store(false, Ordering::Release);
                cache.clear();
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn listen_once(cache: &Weak<Self>, options: &PgConnectOptions) -> Result<(), sqlx::Error> {
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(2))
            .connect_with(options.clone())
            .await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen("clm_secure_changed").await?;
        loop {
            let Some(cache) = cache.upgrade() else { return Ok(()) };
            if !cache.listening.swap(true, Ordering::AcqRel) {
                cache.clear();
            }
            match tokio::time::timeout(HEARTBEAT, listener.try_recv()).await {
                Ok(Ok(Some(_))) => cache.clear(),
                Ok(Ok(None)) => return Err(sqlx::Error::WorkerCrashed),
                Ok(Err(error)) => return Err(error),
                // Silence is normal; a connection that is gone says so here.
                Err(_) => {
                    tokio::time::timeout(HEARTBEAT, sqlx::query("SELECT 1").execute(&mut listener))
                        .await
                        .map_err(|_| sqlx::Error::PoolTimedOut)??;
                }
            }
        }
    }
}
