//! The door to the token: what can be asked of it, one verb a method.

mod call;
mod connection;
mod data;
mod fleet;

use crate::protocol::{KeyExport, KeyImport, Pin, Reply, Request, Secret};
use crate::{
    AgreementKdf, Capabilities, Encapsulated, Error, GeneratedKey, ImportedKey, KeyRef, KeyType, PublicKey, Purpose,
    Result, Settings, TokenKey, TransportedKey, WorkerUnpadding, WrappedKey,
};
use call::{Route, cost};
use fleet::{Fleet, Lane};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A cheap clone over the worker processes of one token. They end when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Bridge {
    fleet: Arc<Fleet>,
}

/// State of the bridge for health, doctor and metrics.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Locked: no PIN given, no worker runs.
    pub locked: bool,
    /// Workers.
    pub workers: Vec<WorkerStatus>,
    /// Why the token is away, if it is.
    pub unavailable: Option<String>,
}

/// State of one worker.
#[derive(Clone, Debug)]
pub struct WorkerStatus {
    /// Process id.
    pub pid: u32,
    /// Logged in and answering.
    pub ready: bool,
    /// Requests sent and not answered.
    pub in_flight: u32,
    /// Starts so far of this place.
    pub restarts: u64,
    /// Takes slow requests only.
    pub slow: bool,
}

/// Attributes of an object on the token, for checks and evidence.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are PKCS#11's CKA_ attributes")]
pub struct ObjectAttributes {
    pub id: Option<Uuid>,
    pub label: String,
    pub class: String,
    pub key_type: Option<KeyType>,
    pub sensitive: bool,
    pub extractable: bool,
    pub never_extractable: bool,
    pub always_sensitive: bool,
    pub private: bool,
    pub wrap: bool,
    pub unwrap: bool,
    pub encrypt: bool,
    pub decrypt: bool,
    pub sign: bool,
}

/// Starting a worker takes a vendor's library some time; a token that does not answer by then is away.
const UNLOCK_PATIENCE: Duration = Duration::from_secs(30);

impl Bridge {
    /// Starts the supervisor process; must be called inside a Tokio runtime. With a PIN source other than `Unlock` workers start at once in the
    /// background; the token may be away: calls then answer `Unavailable` and the workers try again with back-off.
    pub async fn open(settings: Settings) -> Result<Self> {
        if settings.workers == 0 {
            return Err(Error::Configuration("hsm.workers must be at least 1".into()));
        }
        Ok(Self { fleet: Fleet::start(settings)? })
    }

    /// Gives the PIN (Shamir seal) and starts the workers; returns when one of them has logged in, or why not.
    pub async fn unlock(&self, pin: SecretString) -> Result<()> {
        self.fleet.unlock(Pin(Zeroizing::new(pin.expose_secret().to_owned())))?;
        let ready = self.ready().await;
        if ready.is_err() {
            self.lock().await?;
        }
        ready
    }

    /// Ends all workers and forgets the PIN.
    pub async fn lock(&self) -> Result<()> {
        self.fleet.lock()
    }

    /// Waits until a worker is logged in; an error comes back as soon as it is known.
    pub async fn ready(&self) -> Result<()> {
        let mut changes = self.fleet.subscribe();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                if self.fleet.pick(Lane::Ordinary, None, 0, None).is_some() {
                    return Ok(());
                }
                if let Some(error) = self.why_not() {
                    return Err(error);
                }
                if changes.changed().await.is_err() {
                    return Err(Error::Internal("the bridge is closed".into()));
                }
            }
        };
        tokio::time::timeout(UNLOCK_PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| Err(Error::Unavailable("no worker has logged in for 30 s".into())))
    }

    /// How it is.
    pub fn status(&self) -> Status {
        let state = self.fleet.state();
        let workers = state
            .places
            .iter()
            .map(|place| WorkerStatus {
                pid: place.connection.as_ref().map_or(0, |connection| connection.pid),
                ready: place.connection.as_ref().is_some_and(|connection| !connection.is_closed()),
                in_flight: place
                    .connection
                    .as_ref()
                    .map_or(0, |connection| u32::try_from(connection.in_flight()).unwrap_or(u32::MAX)),
                restarts: place.starts.saturating_sub(1),
                slow: place.slow,
            })
            .collect();
        Status { locked: state.locked, workers, unavailable: state.failure.as_ref().map(ToString::to_string) }
    }

    /// Tells for how long the workers are busy with what was asked already, by estimate: the one that is done first. It keeps no worker alive.
    pub fn backlog(&self) -> impl Fn() -> Duration + Send + Sync + use<> {
        let fleet = Arc::downgrade(&self.fleet);
        move || fleet.upgrade().map_or(Duration::ZERO, |fleet| fleet.backlog())
    }

    /// What the token can do.
    pub async fn capabilities(&self) -> Result<Capabilities> {
        match self.call(quick(20), &[], Request::Capabilities).await? {
            Reply::Capabilities(capabilities) => Ok(*capabilities),
            other => Err(unexpected(&other)),
        }
    }

    /// A new key or pair on the token, not extractable, CKA_ID = `id`. Two-phase: temporary label, probe, rename.
    pub async fn generate_token_key(
        &self,
        id: Uuid,
        label: &str,
        key_type: KeyType,
        purpose: Purpose,
    ) -> Result<(TokenKey, Option<PublicKey>)> {
        let request = Request::GenerateTokenKey { id, label: label.to_owned(), key_type, purpose };
        match self.call(generation(key_type, true), &[], request).await? {
            Reply::Generated { public, .. } => Ok((TokenKey { id, key_type }, public)),
            other => Err(unexpected(&other)),
        }
    }

    /// The public half of a pair on the token.
    pub async fn public_key(&self, key: TokenKey) -> Result<PublicKey> {
        match self.call(quick(100), &[], Request::PublicKey { key }).await? {
            Reply::PublicKey(public) => Ok(public),
            other => Err(unexpected(&other)),
        }
    }

    /// A new key made in the token and wrapped there in the same request; nothing stays on the token.
    pub async fn generate_wrapped_key(
        &self,
        key_type: KeyType,
        purpose: Purpose,
        wrapped_by: &KeyRef,
    ) -> Result<GeneratedKey> {
        let request = Request::GenerateWrappedKey { key_type, purpose, wrapped_by: wrapped_by.name() };
        match self.call(generation(key_type, false), &[wrapped_by], request).await? {
            Reply::Generated { blob, public } => Ok(GeneratedKey { blob, public }),
            other => Err(unexpected(&other)),
        }
    }

    /// So many at once, of a type without a public half.
    pub async fn generate_wrapped_keys(
        &self,
        key_type: KeyType,
        purpose: Purpose,
        wrapped_by: &KeyRef,
        count: usize,
    ) -> Result<Vec<Vec<u8>>> {
        let name = wrapped_by.name();
        let request = |keys: Vec<()>| Request::GenerateWrappedKeys {
            key_type,
            purpose,
            wrapped_by: name,
            count: u32::try_from(keys.len()).unwrap_or(u32::MAX),
        };
        self.chunked(wrapped_by, WRAPPING_COST, vec![(); count], request, data::list).await
    }

    /// The same key wrapped by another, inside the token.
    pub async fn rewrap(&self, key: &WrappedKey, wrapped_by: &KeyRef) -> Result<Vec<u8>> {
        let request = Request::Rewrap {
            key_type: key.key_type,
            blob: key.blob.clone(),
            wrapped_by: key.wrapped_by.name(),
            new: wrapped_by.name(),
        };
        bytes(self.call(quick(1_500), &[&key.wrapped_by, wrapped_by], request).await?)
    }

    /// The key wrapped by AES-KWP under an AES key from outside, inside the token: how a key leaves that was made to leave.
    pub async fn export(&self, key: &WrappedKey, kek: Zeroizing<Vec<u8>>) -> Result<Vec<u8>> {
        let export = KeyExport {
            key_type: key.key_type,
            blob: key.blob.clone(),
            wrapped_by: key.wrapped_by.name(),
            kek: Secret(kek),
        };
        bytes(self.call(quick(1_500), &[&key.wrapped_by], Request::Export(export)).await?)
    }

    /// Takes in a key that a caller sent: unwraps it inside the token, looks whether it is what it is said to be, lets it sign, and wraps it anew.
    pub async fn import(
        &self,
        key: TransportedKey,
        purpose: Purpose,
        transport: &KeyRef,
        wrapped_by: &KeyRef,
        unpadding: WorkerUnpadding,
    ) -> Result<ImportedKey> {
        let import = KeyImport {
            key_type: key.key_type,
            purpose,
            hash: key.hash,
            kek: key.kek,
            blob: key.blob,
            transport: transport.name(),
            wrapped_by: wrapped_by.name(),
            unpadding,
        };
        let route = Route { lane: Lane::Slow, ..quick(20_000) };
        match self.call(route, &[transport, wrapped_by], Request::Import(import)).await? {
            Reply::Imported(imported) => Ok(*imported),
            other => Err(unexpected(&other)),
        }
    }

    /// A new secret, an AES-256 key, for the holder of an ML-KEM pair (FIPS 203, 6.2), which stays here wrapped.
    pub async fn encapsulate(&self, key_type: KeyType, public: PublicKey, wrapped_by: &KeyRef) -> Result<Encapsulated> {
        let request = Request::Encapsulate { public, key_type, wrapped_by: wrapped_by.name() };
        match self.call(quick(500), &[wrapped_by], request).await? {
            Reply::Encapsulated(made) => Ok(made),
            other => Err(unexpected(&other)),
        }
    }

    /// The secret that somebody encapsulated to a key, wrapped: an AES-256 key.
    pub async fn decapsulate(&self, key: &KeyRef, ciphertext: Vec<u8>, wrapped_by: &KeyRef) -> Result<Vec<u8>> {
        let request = Request::Decapsulate { key: key.name(), ciphertext, wrapped_by: wrapped_by.name() };
        bytes(self.call(quick(500), &[key, wrapped_by], request).await?)
    }

    /// What a key and the holder of another, whose point of the same curve this is (SEC 1, 2.3.3, not compressed), agree on, wrapped: an AES-256 key.
    /// `info`: for [`AgreementKdf::AesEcbEncryptData`] 32 bytes.
    pub async fn agree(
        &self,
        key: &KeyRef,
        peer: Vec<u8>,
        kdf: AgreementKdf,
        info: Vec<u8>,
        wrapped_by: &KeyRef,
    ) -> Result<Vec<u8>> {
        let request = Request::Agree { key: key.name(), peer, kdf, info, wrapped_by: wrapped_by.name() };
        bytes(self.call(quick(2 * cost(key.key_type())), &[key, wrapped_by], request).await?)
    }

    /// Bytes of the token's generator.
    pub async fn random(&self, bytes_wanted: u32) -> Result<Vec<u8>> {
        bytes(self.call(quick(20), &[], Request::Random { bytes: bytes_wanted }).await?)
    }

    /// Objects with that label prefix (empty: all), with their attributes.
    pub async fn find_objects(&self, label_prefix: &str) -> Result<Vec<ObjectAttributes>> {
        let route = Route { lane: Lane::Slow, ..quick(1_000) };
        match self.call(route, &[], Request::FindObjects { label_prefix: label_prefix.to_owned() }).await? {
            Reply::Objects(objects) => Ok(objects),
            other => Err(unexpected(&other)),
        }
    }

    /// Destroys the token objects (both halves) with that CKA_ID; absent is fine.
    pub async fn destroy_token_key(&self, id: Uuid) -> Result<()> {
        let route = Route { lane: Lane::Slow, ..quick(1_000) };
        match self.call(route, &[], Request::DestroyTokenKey { id }).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// C_SetPIN of the user PIN to a new one; workers are started again with it.
    pub async fn set_pin(&self, new: SecretString) -> Result<()> {
        let mut changes = self.fleet.subscribe();
        self.fleet.set_pin(Pin(Zeroizing::new(new.expose_secret().to_owned())))?;
        let changed = async {
            loop {
                changes.borrow_and_update();
                if let Some(outcome) = self.fleet.pin_change() {
                    return outcome;
                }
                if changes.changed().await.is_err() {
                    return Err(Error::Internal("the bridge is closed".into()));
                }
            }
        };
        tokio::time::timeout(UNLOCK_PATIENCE, changed)
            .await
            .unwrap_or_else(|_| Err(Error::Unavailable("C_SetPIN did not answer for 30 s".into())))
    }
}

/// Making a secret key and wrapping it, microseconds.
const WRAPPING_COST: u64 = 150;

fn quick(cost: u64) -> Route {
    Route { lane: Lane::Ordinary, affinity: None, cost, idempotent: true }
}

fn on(key: &KeyRef) -> Route {
    Route { affinity: Some(key.id()), ..quick(cost(key.key_type())) }
}

/// RSA generation takes hundreds of milliseconds and token objects are slow to write: both stay out of signing's way. A token object must
/// not be made twice.
fn generation(key_type: KeyType, on_token: bool) -> Route {
    let rsa = matches!(key_type, KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096);
    let lane = if rsa || on_token { Lane::Slow } else { Lane::Ordinary };
    Route { lane, affinity: None, cost: if rsa { 400_000 } else { 500 }, idempotent: !on_token }
}

fn bytes(reply: Reply) -> Result<Vec<u8>> {
    match reply {
        Reply::Bytes(bytes) => Ok(bytes),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(reply: &Reply) -> Error {
    // The kind alone: a reply may hold plaintext.
    let kind = match reply {
        Reply::Bytes(_) => "bytes",
        Reply::Capabilities(_) => "capabilities",
        Reply::Ciphertexts(_) => "ciphertexts",
        Reply::Done => "done",
        Reply::Encapsulated(_) => "an encapsulated secret",
        Reply::Failed(_) => "a failure",
        Reply::Generated { .. } => "a generated key",
        Reply::Imported(_) => "an imported key",
        Reply::List(_) => "a list",
        Reply::NotLoaded(_) => "not loaded",
        Reply::Objects(_) => "objects",
        Reply::Opened(_) => "plaintexts",
        Reply::PublicKey(_) => "a public key",
        Reply::Retry(_) => "retry",
        Reply::RsaDecrypted(_) => "decrypted texts",
    };
    Error::Internal(format!("a worker answered {kind} where something else was asked"))
}
