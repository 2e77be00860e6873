//! Named keys: what they are, their settings and versions, and what can be done with them.

mod aead;
mod agree;
mod algorithm;
mod alias;
mod auto_rotate;
mod backup;
mod backup_document;
mod byok;
pub(crate) mod callers;
mod certificate;
mod change;
mod cmac;
mod create;
mod data_key;
mod derivation;
mod destruction;
mod encapsulate;
mod encrypt;
mod export;
mod gate;
mod hmac;
mod import;
mod limits;
mod load;
mod many;
pub(crate) mod material;
mod name;
mod pair;
mod public;
mod rsa;
mod shared_secret;
mod sign;
mod state;
mod tools;
mod transition;
mod trim;
pub(crate) mod usage;

pub use agree::{AgreementRequest, KeyDerivation};
pub use algorithm::{Hash, KeyAlgorithm, Marshaling, Padding, SaltLength};
pub use alias::Named;
pub use byok::ByokRequest;
pub use callers::{KeyCaller, KeyUses};
pub use change::KeyConfig;
pub use cmac::CMAC_BYTES;
pub use create::NewKey;
pub use data_key::{DataKey, DataKeyPair, DataKeyPairRequest, DataKeyRequest};
pub use derivation::{Derivation, DerivationFunction};
pub use destruction::DestructionWaits;
pub use encrypt::{DecryptItem, EncryptItem, Encrypted, Results};
pub use export::{ExportKind, ExportRequest, ExportVersion};
pub use import::{ImportedMaterial, NewImport};
pub use limits::{KeyLimits, LimitChange};
pub use material::ExportFormat;
pub use name::KeyName;
pub use shared_secret::SharedSecret;
pub use sign::{SignRequest, Signed, VerifyItem, VerifyRequest};
pub use state::KeyState;
pub use transition::{KeyStates, StateChange, StateRequest};
pub use usage::ENCRYPTIONS;

use crate::row_mac::RowBytes;
use chrono::{DateTime, Utc};
use hsm_bridge::{ContextKdf, KeyRef, KeyType, Purpose};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A named key. Its rows' MACs were checked when it was read.
#[derive(Clone, Debug)]
pub struct Key {
    /// Id of its row.
    pub id: Uuid,
    /// Owner.
    pub organization_id: Uuid,
    /// Mount it is named in.
    pub mount_id: Uuid,
    /// Its name there.
    pub name: KeyName,
    /// What it is.
    pub algorithm: KeyAlgorithm,
    /// Whether each context has a key of its own, derived from this one.
    pub derivation: Derivation,
    /// Its settings.
    pub settings: KeySettings,
    /// Revision of its row.
    pub revision: i64,
    /// Versions, by number.
    pub versions: BTreeMap<u32, KeyVersion>,
}

/// What can be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are Vault's")]
pub struct KeySettings {
    pub latest_version: u32,
    pub min_decryption_version: u32,
    pub min_encryption_version: u32,
    pub min_available_version: u32,
    pub deletion_allowed: bool,
    pub exportable: bool,
    pub allow_plaintext_backup: bool,
    pub auto_rotate_seconds: u64,
    pub imported: bool,
    pub imported_may_rotate: bool,
    /// Of the key as a whole; each version has one as well.
    pub state: KeyState,
    /// How many transitions between states are on record.
    pub state_changes: u32,
    pub soft_deleted: bool,
    /// When it is to be destroyed.
    pub destroy_at: Option<DateTime<Utc>>,
    /// When it was activated, if it was not made active.
    pub activated_at: Option<DateTime<Utc>>,
    pub limits: KeyLimits,
    /// The last backup.
    pub backup: Option<Copied>,
    /// The restoration that made it.
    pub restoration: Option<Copied>,
}

/// When a key was copied, and its newest version then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// When.
    pub at: DateTime<Utc>,
    /// Newest version.
    pub version: u32,
}

impl KeySettings {
    /// Of a key with one version, which is used as it is; nothing is allowed that somebody has to allow.
    pub(crate) const fn new() -> Self {
        Self {
            latest_version: 1,
            min_decryption_version: 1,
            min_encryption_version: 0,
            min_available_version: 0,
            deletion_allowed: false,
            exportable: false,
            allow_plaintext_backup: false,
            auto_rotate_seconds: 0,
            imported: false,
            imported_may_rotate: false,
            state: KeyState::Active,
            state_changes: 0,
            soft_deleted: false,
            destroy_at: None,
            activated_at: None,
            limits: KeyLimits { originator_usage_seconds: 0, recipient_usage_seconds: 0, max_uses: 0, max_bytes: 0 },
            backup: None,
            restoration: None,
        }
    }
}

/// One version of a key.
#[derive(Clone, Debug)]
pub struct KeyVersion {
    /// Id of its row.
    pub id: Uuid,
    /// Number.
    pub version: u32,
    /// Where the secret or private key is. `None`: only the public half was imported.
    pub key: Option<KeyRef>,
    /// The HMAC key of this version: itself for type hmac, else a wrapped key beside it. `None`: made before there were any.
    pub hmac_key: Option<KeyRef>,
    /// SubjectPublicKeyInfo, DER; empty for symmetric keys.
    pub public_key: Vec<u8>,
    /// PEM: the certificate of this version, then those of its issuers.
    pub certificate_chain: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when its usage periods count.
    pub activated_at: DateTime<Utc>,
    /// It is an object on the token rather than a wrapped blob.
    pub on_token: bool,
    /// What it is good for; a destroyed version is not among a key's.
    pub state: KeyState,
}

impl KeyVersion {
    /// The secret or private key; `what` it is needed for.
    pub(crate) fn private(&self, what: &str) -> Result<&KeyRef, String> {
        let missing = || format!("requested version for {what} does not contain a private part");
        self.key.as_ref().ok_or_else(missing)
    }
}

impl Key {
    /// Versions that can still be used.
    pub fn usable_versions(&self) -> impl Iterator<Item = &KeyVersion> {
        self.versions.range(self.settings.min_decryption_version..).map(|(_, version)| version)
    }

    /// PEM of a version's public half.
    pub fn public_pem(&self, version: u32) -> crate::Result<String> {
        let version = self.versions.get(&version).ok_or_else(|| crate::Error::Invalid("no such key version".into()))?;
        material::public(self.algorithm, &version.public_key, ExportFormat::Pem)
    }

    pub(crate) fn purpose(&self) -> Purpose {
        if self.derivation == Derivation::None { self.algorithm.purpose() } else { Purpose::Derivation }
    }

    /// What its material is to the token: of a key that others are derived from by HKDF a generic secret, however it is used then.
    pub(crate) fn key_type(&self) -> KeyType {
        match (self.derivation.function(), self.algorithm.key_type()) {
            (Some(DerivationFunction(ContextKdf::HkdfSha256)), KeyType::Aes128) => KeyType::Hmac(16),
            (Some(DerivationFunction(ContextKdf::HkdfSha256)), KeyType::Aes256 | KeyType::ChaCha20) => {
                KeyType::Hmac(32)
            }
            (_, own) => own,
        }
    }

    pub(crate) fn row_bytes(&self, deleted: bool) -> Vec<u8> {
        let KeySettings {
            latest_version,
            min_decryption_version,
            min_encryption_version,
            min_available_version,
            deletion_allowed,
            exportable,
            allow_plaintext_backup,
            auto_rotate_seconds,
            imported,
            imported_may_rotate,
            state,
            state_changes,
            soft_deleted,
            destroy_at,
            activated_at,
            limits,
            backup,
            restoration,
        } = self.settings;
        let copied = |bytes: RowBytes, copied: Copied| bytes.time(Some(copied.at)).integer(copied.version.into());
        RowBytes::new("named_keys")
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .id(Some(self.mount_id))
            .text(self.name.as_str())
            .text(self.algorithm.name())
            .integer(latest_version.into())
            .integer(min_decryption_version.into())
            .integer(min_encryption_version.into())
            .integer(min_available_version.into())
            .flag(deletion_allowed)
            .flag(exportable)
            .flag(allow_plaintext_backup)
            .integer(i64::try_from(auto_rotate_seconds).unwrap_or(i64::MAX))
            .flag(deleted)
            .later("key_size", self.algorithm.key_size(), |bytes, size| bytes.integer(size.into()))
            .later("kdf", self.derivation.kdf(), RowBytes::text)
            .later("convergent_encryption", self.derivation.is_convergent().then_some(true), RowBytes::flag)
            .later("imported_key", imported.then_some(imported_may_rotate), RowBytes::flag)
            .later("key_state", (state != KeyState::Active).then_some(state.word()), RowBytes::text)
            .later("state_changes", Some(state_changes).filter(|changes| *changes > 0), |bytes, changes| {
                bytes.integer(changes.into())
            })
            .later("soft_deleted", soft_deleted.then_some(true), RowBytes::flag)
            .later("destroy_at", destroy_at, |bytes, at| bytes.time(Some(at)))
            .later("activated_at", activated_at, |bytes, at| bytes.time(Some(at)))
            .later("limits", Some(limits).filter(|limits| *limits != KeyLimits::default()), |bytes, limits| {
                let KeyLimits { originator_usage_seconds, recipient_usage_seconds, max_uses, max_bytes } = limits;
                [originator_usage_seconds, recipient_usage_seconds, max_uses, max_bytes]
                    .into_iter()
                    .fold(bytes, |bytes, limit| bytes.integer(i64::try_from(limit).unwrap_or(i64::MAX)))
            })
            .later("backup", backup, copied)
            .later("restoration", restoration, copied)
            .finish()
    }
}
