//! The door to the token.

use crate::{
    Capabilities, Ciphertext, Error, GeneratedKey, HashAlgorithm, KeyRef, KeyType, PublicKey, Purpose, Result,
    Settings, SignMechanism, TokenKey, WrappedKey,
};
use secrecy::SecretString;
use uuid::Uuid;

/// A cheap clone over the worker processes of one token.
#[derive(Clone, Debug)]
pub struct Bridge {}

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
#[derive(Clone, Debug, Default)]
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

impl Bridge {
    /// Starts the supervisor process. With a PIN source other than `Unlock` workers start at once in the background; the
    /// token may be away: calls then answer `Unavailable` and the workers try again with back-off.
    pub async fn open(settings: Settings) -> Result<Self> {
        let _ = settings;
        Err(Error::Internal("stub".into()))
    }
    /// Gives the PIN (Shamir seal) and starts the workers; returns when one of them has logged in, or why not.
    pub async fn unlock(&self, pin: SecretString) -> Result<()> {
        let _ = pin;
        Err(Error::Internal("stub".into()))
    }
    /// Ends all workers and forgets the PIN.
    pub async fn lock(&self) -> Result<()> {
        Err(Error::Internal("stub".into()))
    }
    /// Waits until a worker is logged in; the first error that only the operator can mend (wrong PIN, missing module) comes back at once.
    pub async fn ready(&self) -> Result<()> {
        Err(Error::Internal("stub".into()))
    }
    /// How it is.
    pub fn status(&self) -> Status {
        Status::default()
    }
    /// What the token can do.
    pub async fn capabilities(&self) -> Result<Capabilities> {
        Err(Error::Internal("stub".into()))
    }
    /// A new key or pair on the token, not extractable, CKA_ID = `id`. Two-phase: temporary label, probe, rename.
    pub async fn generate_token_key(
        &self,
        id: Uuid,
        label: &str,
        key_type: KeyType,
        purpose: Purpose,
    ) -> Result<(TokenKey, Option<PublicKey>)> {
        let _ = (id, label, key_type, purpose);
        Err(Error::Internal("stub".into()))
    }
    /// A new key made in the token and wrapped there in the same request; nothing stays on the token.
    pub async fn generate_wrapped_key(
        &self,
        key_type: KeyType,
        purpose: Purpose,
        wrapped_by: &KeyRef,
    ) -> Result<GeneratedKey> {
        let _ = (key_type, purpose, wrapped_by);
        Err(Error::Internal("stub".into()))
    }
    /// The same key wrapped by another, inside the token.
    pub async fn rewrap(&self, key: &WrappedKey, wrapped_by: &KeyRef) -> Result<Vec<u8>> {
        let _ = (key, wrapped_by);
        Err(Error::Internal("stub".into()))
    }
    /// One signature per item of `data`, in order; a batch is cut in chunks so that single requests are not held up behind it.
    pub async fn sign(&self, key: &KeyRef, mechanism: SignMechanism, data: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let _ = (key, mechanism, data);
        Err(Error::Internal("stub".into()))
    }
    /// HMAC of each item (FIPS 198-1).
    pub async fn hmac(&self, key: &KeyRef, hash: HashAlgorithm, data: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let _ = (key, hash, data);
        Err(Error::Internal("stub".into()))
    }
    /// AES-GCM (SP 800-38D); IV from the token's generator.
    pub async fn aes_gcm_encrypt(&self, key: &KeyRef, plaintext: Vec<u8>, aad: Vec<u8>) -> Result<Ciphertext> {
        let _ = (key, plaintext, aad);
        Err(Error::Internal("stub".into()))
    }
    /// AES-GCM; a bad tag is `Refused`.
    pub async fn aes_gcm_decrypt(&self, key: &KeyRef, ciphertext: Ciphertext, aad: Vec<u8>) -> Result<Vec<u8>> {
        let _ = (key, ciphertext, aad);
        Err(Error::Internal("stub".into()))
    }
    /// RSA-OAEP decryption (RFC 8017, 7.1) with an empty label.
    pub async fn rsa_decrypt(&self, key: &KeyRef, hash: HashAlgorithm, ciphertext: Vec<u8>) -> Result<Vec<u8>> {
        let _ = (key, hash, ciphertext);
        Err(Error::Internal("stub".into()))
    }
    /// Bytes of the token's generator.
    pub async fn random(&self, bytes: usize) -> Result<Vec<u8>> {
        let _ = bytes;
        Err(Error::Internal("stub".into()))
    }
    /// Objects with that label prefix (empty: all), with their attributes.
    pub async fn find_objects(&self, label_prefix: &str) -> Result<Vec<ObjectAttributes>> {
        let _ = label_prefix;
        Err(Error::Internal("stub".into()))
    }
    /// Destroys the token objects (both halves) with that CKA_ID; absent is fine.
    pub async fn destroy_token_key(&self, id: Uuid) -> Result<()> {
        let _ = id;
        Err(Error::Internal("stub".into()))
    }
    /// C_SetPIN of the user PIN, old to new (Shamir init); workers are restarted with the new one.
    pub async fn set_pin(&self, new: SecretString) -> Result<()> {
        let _ = new;
        Err(Error::Internal("stub".into()))
    }
}
