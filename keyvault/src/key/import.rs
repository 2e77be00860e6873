//! Keys that callers bring. They come wrapped under this mount's wrapping key and are unwrapped inside the token.

use super::change::{ATTEMPTS, KeyWrite};
use super::create::{change_event, rows};
use super::state::Use;
use super::{Derivation, Hash, Key, KeyAlgorithm, KeyName, KeySettings, NewKey, public};
use crate::row_mac::MacDomain;
use crate::store::key_versions::KeyVersionRow;
use crate::{Error, Result, Vault, verify};
use audit_chain::{Caller, Event, Value};
use hsm_bridge::{Error as HsmError, KeyRef, KeyType, PROBES, Purpose, TransportedKey, WorkerUnpadding, WrappedKey};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Bytes of the wrapping key's modulus, and so of the first part of what callers send.
const WRAPPING_KEY_BYTES: usize = 512;

/// What an imported key is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewImport {
    /// What the material must be; of type hmac the material decides the size.
    pub algorithm: KeyAlgorithm,
    /// As in [`NewKey`].
    pub derivation: Derivation,
    /// As in [`NewKey`].
    pub exportable: bool,
    /// As in [`NewKey`].
    pub allow_plaintext_backup: bool,
    /// As in [`NewKey`]; only with `allow_rotation`.
    pub auto_rotate_seconds: u64,
    /// Later versions may be made here.
    pub allow_rotation: bool,
}

/// What a caller sends.
#[derive(Clone, Debug)]
pub enum ImportedMaterial {
    /// PEM of SubjectPublicKeyInfo: for keys that only verify.
    Public(String),
    /// RSA-OAEP(wrapping key, AES key) ‖ AES-KWP(AES key, material), as CKM_RSA_AES_KEY_WRAP; material is PKCS#8 of private keys, of
    /// secret ones their bytes.
    Wrapped {
        /// Hash of RSA-OAEP and its MGF1.
        hash: Hash,
        /// Both parts.
        ciphertext: Vec<u8>,
        /// The AES key may be in a worker's memory where the token lacks the hash: not with `fips = true`.
        fips: bool,
    },
}

/// A version's material, looked at.
struct Looked {
    algorithm: KeyAlgorithm,
    blob: Option<Vec<u8>>,
    public_key: Vec<u8>,
    unpadded_in_worker: bool,
}

impl Vault {
    /// The key under which callers wrap what they send to a mount: RSA-4096, made in the token at the first call.
    pub async fn wrapping_key(&self, caller: &Caller, mount_id: Uuid) -> Result<Arc<Key>> {
        // A mount that no path leads to: nothing else can be done with this key.
        let hidden = Uuid::new_v5(&mount_id, b"wrapping key");
        let name = KeyName::parse("wrapping-key").ok_or(Error::Conflict)?;
        if let Some(key) = self.key(caller.organization_id, hidden, &name).await? {
            return Ok(key);
        }
        let _turn = self.inner.wrapping_key_turn.lock().await;
        Ok(self.create_key(caller, hidden, &name, NewKey::of(KeyAlgorithm::Rsa4096)).await?.0)
    }

    /// A new key of what a caller sends.
    pub async fn import_key(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        new: NewImport,
        material: ImportedMaterial,
    ) -> Result<()> {
        let organization_id = caller.organization_id;
        let exists = "the import path cannot be used with an existing key; use import-version to rotate an existing imported key";
        if self.key(organization_id, mount_id, name).await?.is_some() {
            return Err(Error::Invalid(exists.into()));
        }
        if new.auto_rotate_seconds != 0 && !new.allow_rotation {
            return Err(Error::Invalid("allow_rotation must be set to true if auto-rotation is enabled".into()));
        }
        self.check_offered(&NewKey { derivation: new.derivation, ..NewKey::of(new.algorithm) }).await?;
        let mut key = Key {
            id: Uuid::now_v7(),
            organization_id,
            mount_id,
            name: name.clone(),
            algorithm: new.algorithm,
            derivation: new.derivation,
            settings: KeySettings {
                exportable: new.exportable,
                allow_plaintext_backup: new.allow_plaintext_backup,
                auto_rotate_seconds: new.auto_rotate_seconds,
                imported: true,
                imported_may_rotate: new.allow_rotation,
                ..KeySettings::new()
            },
            revision: 1,
            versions: BTreeMap::new(),
        };
        let looked = self.look(caller, &key, &material).await?;
        key.algorithm = looked.algorithm;
        let mut event = self.import_event(caller, &key, 1, &material, &looked);
        let mut version = self.imported_version(&key, 1, looked).await?;
        let (key_mac, version_mac) = self.bind(&key, &version).await?;
        version.row_mac = version_mac;
        event.data.insert("type".into(), Value::Text(new.algorithm.name().into()));
        if let Some(kdf) = new.derivation.kdf() {
            event.data.insert("kdf".into(), Value::Text(kdf.into()));
        }
        event.data.insert("rows".into(), rows(&key, &key_mac, &[&version]));
        let inserted = self.insert(key, key_mac, version, event).await;
        self.inner.cache.clear();
        inserted.map_err(|error| match error {
            Error::Exists => Error::Invalid(exists.into()),
            other => other,
        })
    }

    /// A new version of an imported key; `completed`: the private half of that version, of which only the public one is there.
    pub async fn import_version(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        completed: Option<i64>,
        material: ImportedMaterial,
    ) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let (mut key, versions) =
                self.read_key(caller.organization_id, mount_id, name).await?.ok_or_else(|| {
                    let text = format!("no key found with name {name}; to import a new key, use the import/ endpoint");
                    Error::NotFound(text)
                })?;
            if !key.settings.imported {
                let text = "the import_version endpoint can only be used with an imported key";
                return Err(Error::Invalid(text.into()));
            }
            self.check_open(caller, &key, "key.import", Use::Protect).await?;
            let open = completed.map(|number| incomplete(versions, number)).transpose()?;
            let looked = self.look(caller, &key, &material).await?;
            if let (Some(sent), Some(wanted)) = (looked.algorithm.key_size(), key.algorithm.key_size())
                && sent != wanted
            {
                let text = format!("invalid key size {sent} bytes: the versions of this key have {wanted}");
                return Err(Error::Invalid(text));
            }
            key.revision += 1;
            let number = match &open {
                Some(version) => u32::try_from(version.version).unwrap_or_default(),
                None => key.settings.latest_version + 1,
            };
            let mut event = self.import_event(caller, &key, number, &material, &looked);
            let (new, changed) = match open {
                None => {
                    key.settings.latest_version = number;
                    let mut version = self.imported_version(&key, number, looked).await?;
                    version.row_mac = self.mac(MacDomain::SecureRow, &version.row_bytes()).await?.to_vec();
                    (vec![version], Vec::new())
                }
                Some(mut version) => {
                    let Some(blob) = looked.blob.filter(|_| looked.public_key == version.public_key) else {
                        return Err(Error::Invalid("cannot import key, key pair does not match".into()));
                    };
                    version.encryption_key_id = Some(self.organization_key(key.organization_id).await?.id);
                    version.blob = Some(blob);
                    version.storage = "wrapped".into();
                    version.revision += 1;
                    version.row_mac = self.mac(MacDomain::SecureRow, &version.row_bytes()).await?.to_vec();
                    (Vec::new(), vec![version])
                }
            };
            let key_mac = self.mac(MacDomain::SecureRow, &key.row_bytes(false)).await?.to_vec();
            event.data.insert("rows".into(), rows(&key, &key_mac, &new.iter().chain(&changed).collect::<Vec<_>>()));
            let write = KeyWrite { new, changed, ..KeyWrite::of(key, key_mac, event) };
            match self.write(write).await {
                Err(Error::Conflict) => continue,
                other => return other,
            }
        }
        Err(Error::Conflict)
    }

    fn import_event(
        &self,
        caller: &Caller,
        key: &Key,
        version: u32,
        material: &ImportedMaterial,
        looked: &Looked,
    ) -> Event {
        let mut event = change_event(caller, self.inner.clock.now(), "key.import", key, version);
        let what = match material {
            ImportedMaterial::Public(_) => "public key alone",
            ImportedMaterial::Wrapped { .. } => "wrapped key",
        };
        event.data.insert("material".into(), Value::Text(what.into()));
        // The exception of docs/KEY-HIERARCHY.md, where it was needed.
        event.data.insert("kek_in_worker".into(), Value::Bool(looked.unpadded_in_worker));
        event
    }

    async fn imported_version(&self, key: &Key, number: u32, looked: Looked) -> Result<KeyVersionRow> {
        let storage = if looked.blob.is_some() { "wrapped" } else { "public" };
        let mut row = self.version_row(key, number, storage).await?;
        if looked.blob.is_some() {
            row.encryption_key_id = Some(self.organization_key(key.organization_id).await?.id);
        }
        row.blob = looked.blob;
        row.public_key = looked.public_key;
        Ok(row)
    }

    /// Has the token take the material in, and finds whether it is what it is said to be.
    async fn look(&self, caller: &Caller, key: &Key, material: &ImportedMaterial) -> Result<Looked> {
        let algorithm = key.algorithm;
        let (hash, ciphertext, fips) = match material {
            ImportedMaterial::Public(pem) => {
                let public_key = public::checked(algorithm, pem)?;
                return Ok(Looked { algorithm, blob: None, public_key, unpadded_in_worker: false });
            }
            ImportedMaterial::Wrapped { hash, ciphertext, fips } => (hash.0, ciphertext, *fips),
        };
        if algorithm.post_quantum().is_some() {
            let text = "only the public half (public_key) is imported of keys of type";
            return Err(Error::Invalid(format!("{text} {}: the private half is made in the token", algorithm.name())));
        }
        if ciphertext.len() <= WRAPPING_KEY_BYTES {
            return Err(Error::Invalid("provided ciphertext is too short".into()));
        }
        let (kek, blob) = ciphertext.split_at(WRAPPING_KEY_BYTES);
        let wrapping_key = self.wrapping_key(caller, key.mount_id).await?;
        let transport = transport(&wrapping_key)?;
        let wrapped_by = KeyRef::Wrapped(self.organization_key(caller.organization_id).await?);
        let sent = TransportedKey { key_type: algorithm.key_type(), hash, kek: kek.to_vec(), blob: blob.to_vec() };
        let unpadding = if fips { WorkerUnpadding::Refused } else { WorkerUnpadding::Allowed };
        let imported = self.inner.bridge.import(sent, key.purpose(), &transport, &wrapped_by, unpadding).await;
        let imported = imported.map_err(|error| match error {
            HsmError::Refused { function, reason } => {
                Error::Invalid(format!("error importing key: {function}: {reason}"))
            }
            HsmError::Unsupported(what) => Error::Invalid(format!("error importing key: this token cannot do {what}")),
            other => other.into(),
        })?;
        let (blob, unpadded_in_worker) = (Some(imported.blob), imported.unpadded_in_worker);
        if algorithm.is_symmetric() {
            let algorithm = sized(algorithm, imported.key_type)?;
            return Ok(Looked { algorithm, blob, public_key: Vec::new(), unpadded_in_worker });
        }
        let public_key = match imported.public {
            Some(public) => Some(public.spki_der),
            None => imported.signatures.first().and_then(|first| {
                verify::recovered(algorithm.as_ecdsa(), &PROBES[0], first)
                    .into_iter()
                    .find(|candidate| signs(algorithm, candidate, &imported.signatures))
            }),
        };
        let public_key = public_key.filter(|public| signs(algorithm, public, &imported.signatures));
        let public_key = public_key
            .ok_or_else(|| Error::Invalid("error importing key: its signatures do not fit its public half".into()))?;
        public::fits(algorithm, &public_key)?;
        Ok(Looked { algorithm, blob, public_key, unpadded_in_worker })
    }
}

/// A symmetric algorithm with the size that the token found.
fn sized(algorithm: KeyAlgorithm, found: KeyType) -> Result<KeyAlgorithm> {
    match found {
        KeyType::Hmac(bytes) if KeyAlgorithm::HMAC_BYTES.contains(&bytes) => Ok(KeyAlgorithm::Hmac(bytes)),
        KeyType::Hmac(bytes) => Err(Error::Invalid(format!("invalid key size {bytes} bytes for key type hmac"))),
        _ => Ok(algorithm),
    }
}

/// Both probes were signed by that public key's private half; a pair for agreement did so while it was looked at. X25519 signs nothing: there the worker has
/// seen both halves agree.
fn signs(algorithm: KeyAlgorithm, public: &[u8], signatures: &[Vec<u8>]) -> bool {
    if algorithm == KeyAlgorithm::X25519 {
        return signatures.is_empty();
    }
    signatures.len() == PROBES.len()
        && PROBES
            .iter()
            .zip(signatures)
            .all(|(probe, signature)| verify::probe(algorithm.as_ecdsa(), public, probe, signature))
}

/// The wrapping key, unwrapped for this purpose and under a name of its own in workers' caches.
fn transport(key: &Key) -> Result<KeyRef> {
    let version = key.versions.get(&1).ok_or(Error::Conflict)?;
    match &version.key {
        Some(KeyRef::Wrapped(wrapped)) => Ok(KeyRef::Wrapped(Arc::new(WrappedKey {
            id: Uuid::new_v5(&wrapped.id, b"transport"),
            purpose: Purpose::Transport,
            ..(**wrapped).clone()
        }))),
        _ => Err(Error::Conflict),
    }
}

fn incomplete(versions: Vec<KeyVersionRow>, number: i64) -> Result<KeyVersionRow> {
    let found = versions.into_iter().find(|version| i64::from(version.version) == number);
    let found = found.ok_or_else(|| Error::Invalid(format!("cannot import key, there is no version {number}")))?;
    if found.storage != "public" {
        return Err(Error::Invalid("private key imported, key version cannot be updated".into()));
    }
    Ok(found)
}
