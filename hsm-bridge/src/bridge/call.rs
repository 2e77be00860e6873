//! One request, from the queue to its reply: routing, loading of wrapped keys, one replay, the deadline.

use super::Bridge;
use super::connection::{Connection, Lost};
use super::fleet::Lane;
use crate::protocol::{KeyName, Reply, Request};
use crate::{Error, KeyRef, KeyType, Result};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What routing needs to know of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) lane: Lane,
    /// Key whose worker is preferred.
    pub(super) affinity: Option<Uuid>,
    /// Estimated work, microseconds.
    pub(super) cost: u64,
    /// May be asked again of another worker when the first one dies.
    pub(super) idempotent: bool,
}

/// How much busier the preferred worker may be before another one unwraps the key as well, microseconds.
const TOLERANCE: u64 = 200;
/// An RSA key takes as long as its primes are hard to find: how many times the deadline slow requests have.
const SLOW_TIMES: u32 = 2;
/// A worker's cache may be so small that one key pushes out another: bounded.
const LOADS: usize = 8;

impl Bridge {
    pub(super) async fn call(&self, route: Route, keys: &[&KeyRef], request: Request) -> Result<Reply> {
        let times = if route.lane == Lane::Slow { SLOW_TIMES } else { 1 };
        let deadline = Duration::from_millis(self.fleet.settings.deadline_ms) * times;
        match tokio::time::timeout(deadline, self.call_without_deadline(route, keys, &request)).await {
            Ok(reply) => reply,
            Err(_) => Err(self.why_not().unwrap_or(Error::Busy)),
        }
    }

    async fn call_without_deadline(&self, route: Route, keys: &[&KeyRef], request: &Request) -> Result<Reply> {
        let mut replayed = false;
        let mut failed_on = None;
        loop {
            let connection = self.connection(route, failed_on).await?;
            match self.ask(&connection, route, keys, request).await? {
                Ok(Reply::Failed(error)) => return Err(error),
                Ok(Reply::Retry(_)) | Err(Lost::Worker) if route.idempotent && !replayed => {
                    replayed = true;
                    failed_on = Some(connection.pid);
                }
                Ok(Reply::Retry(reason)) => return Err(Error::Unavailable(reason)),
                Ok(reply) => return Ok(reply),
                Err(Lost::Worker) => return Err(Error::Unavailable("the worker ended before it answered".into())),
                Err(Lost::Full) => return Err(Error::Busy),
            }
        }
    }

    /// Asks; gives the worker the keys it lacks and asks again.
    async fn ask(
        &self,
        connection: &Arc<Connection>,
        route: Route,
        keys: &[&KeyRef],
        request: &Request,
    ) -> Result<std::result::Result<Reply, Lost>> {
        let limit = self.fleet.settings.queue_limit as usize;
        for _ in 0..LOADS {
            match connection.ask(request, route.cost, limit).await? {
                Ok(Reply::NotLoaded(id)) => match load(connection, limit, keys, id).await? {
                    Ok(Reply::Done) => {}
                    other => return Ok(other),
                },
                other => return Ok(other),
            }
        }
        Err(Error::Configuration(
            "a worker forgets keys as fast as it loads them: raise hsm.cached_keys_per_worker".into(),
        ))
    }

    /// A living worker; waits for one while they are being started.
    async fn connection(&self, route: Route, except: Option<u32>) -> Result<Arc<Connection>> {
        let pick = || self.fleet.pick(route.lane, route.affinity, TOLERANCE.max(route.cost), except);
        match pick() {
            Some(connection) => Ok(connection),
            None => Box::pin(self.next_connection(pick, except)).await,
        }
    }

    async fn next_connection(
        &self,
        pick: impl Fn() -> Option<Arc<Connection>>,
        except: Option<u32>,
    ) -> Result<Arc<Connection>> {
        let mut changes = self.fleet.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(connection) = pick() {
                return Ok(connection);
            }
            match self.why_not() {
                Some(error @ (Error::Locked | Error::Configuration(_))) => return Err(error),
                // Away and known to be away: fail fast instead of queueing behind a dead token. A worker that is just being replaced is waited for.
                Some(error @ Error::Unavailable(_)) if except.is_none() => return Err(error),
                _ => {}
            }
            if changes.changed().await.is_err() {
                return Err(Error::Internal("the bridge is closed".into()));
            }
        }
    }

    /// Why no worker lives.
    pub(super) fn why_not(&self) -> Option<Error> {
        let state = self.fleet.state();
        if state.locked { Some(Error::Locked) } else { state.failure.clone() }
    }
}

/// Boxed because a wrapped key is wrapped by a key that may itself have to be loaded.
type Loading<'a> = Pin<Box<dyn Future<Output = Result<std::result::Result<Reply, Lost>>> + Send + 'a>>;

fn load<'a>(connection: &'a Connection, limit: usize, keys: &'a [&'a KeyRef], id: Uuid) -> Loading<'a> {
    Box::pin(async move {
        let Some(key) = keys.iter().find_map(|key| wrapped(key, id)) else {
            return Err(Error::Internal(format!("a worker asks for key {id}, which this request does not use")));
        };
        let request = Request::Load {
            id: key.id,
            key_type: key.key_type,
            purpose: key.purpose,
            blob: key.blob.clone(),
            wrapped_by: key.wrapped_by.name(),
        };
        for _ in 0..LOADS {
            match connection.ask(&request, 700, limit).await? {
                Ok(Reply::NotLoaded(parent)) => match load(connection, limit, keys, parent).await? {
                    Ok(Reply::Done) => {}
                    other => return Ok(other),
                },
                other => return Ok(other),
            }
        }
        Err(Error::Internal("a wrapping key does not stay loaded".into()))
    })
}

/// The wrapped key with that id, among a key and those that wrap it.
fn wrapped(key: &KeyRef, id: Uuid) -> Option<&crate::WrappedKey> {
    match key {
        KeyRef::Token(_) => None,
        KeyRef::Wrapped(key) if key.id == id => Some(key),
        KeyRef::Wrapped(key) => wrapped(&key.wrapped_by, id),
    }
}

impl KeyRef {
    pub(crate) fn name(&self) -> KeyName {
        match self {
            Self::Token(key) => KeyName::Token(*key),
            Self::Wrapped(key) => KeyName::Cached(key.id),
        }
    }

    pub(crate) fn id(&self) -> Uuid {
        match self {
            Self::Token(key) => key.id,
            Self::Wrapped(key) => key.id,
        }
    }

    /// Type of the key.
    pub fn key_type(&self) -> KeyType {
        match self {
            Self::Token(key) => key.key_type,
            Self::Wrapped(key) => key.key_type,
        }
    }
}

/// Rough work of one private-key operation, microseconds; only ratios matter.
pub(super) fn cost(key_type: KeyType) -> u64 {
    match key_type {
        KeyType::Aes128 | KeyType::Aes192 | KeyType::Aes256 | KeyType::ChaCha20 | KeyType::Hmac(_) => 20,
        KeyType::EcP256 => 60,
        KeyType::MlKem512 | KeyType::MlKem768 | KeyType::MlKem1024 => 100,
        KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => 400,
        KeyType::EcP384 | KeyType::Rsa2048 => 800,
        KeyType::EcP521 => 1_000,
        KeyType::Ed25519 | KeyType::X25519 => 200,
        KeyType::Rsa3072 => 2_600,
        KeyType::Rsa4096 => 5_700,
    }
}
