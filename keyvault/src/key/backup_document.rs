//! What is in a backup, and the rows that come of it again: each with the state that it had.

use super::{Key, KeyLimits, KeyState};
use crate::store::key_versions::KeyVersionRow;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is in a backup, behind its MAC.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) organization_id: Uuid,
    pub(super) name: String,
    pub(super) algorithm: String,
    pub(super) key_size: Option<u16>,
    pub(super) kdf: Option<String>,
    pub(super) convergent: bool,
    pub(super) latest_version: u32,
    pub(super) min_decryption_version: u32,
    pub(super) min_encryption_version: u32,
    pub(super) min_available_version: u32,
    pub(super) deletion_allowed: bool,
    pub(super) auto_rotate_seconds: u64,
    pub(super) imported: bool,
    pub(super) imported_may_rotate: bool,
    /// Of the key as a whole; backups of before there was one say nothing: active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key_state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limits: Option<KeyLimits>,
    /// Microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) activated_at: Option<i64>,
    /// When this backup was made, microseconds since 1970; backups of before say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) made_at: Option<i64>,
    /// Whether the key is marked as deleted; backups of before say nothing: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) soft_deleted: bool,
    /// When it is to be destroyed, microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) destroy_at: Option<i64>,
    pub(super) versions: Vec<Version>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Version {
    /// Of the row that it was copied from.
    pub(super) id: Uuid,
    pub(super) version: i32,
    pub(super) storage: String,
    pub(super) key_state: String,
    pub(super) blob: Option<String>,
    pub(super) hmac_blob: Option<String>,
    pub(super) encryption_key_id: Option<Uuid>,
    pub(super) public_key: String,
    pub(super) certificate_chain: Option<String>,
    pub(super) created_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) activated_at: Option<i64>,
    /// Of a version that was deleted by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deleted_at: Option<i64>,
}

pub(super) fn document(key: &Key, versions: &[KeyVersionRow]) -> Document {
    let settings = key.settings;
    let encoded = |bytes: &Vec<u8>| BASE64_STANDARD.encode(bytes);
    let version = |row: &KeyVersionRow| Version {
        id: row.id,
        version: row.version,
        storage: row.storage.clone(),
        key_state: row.key_state.clone(),
        blob: row.blob.as_ref().map(encoded),
        hmac_blob: row.hmac_blob.as_ref().map(encoded),
        encryption_key_id: row.encryption_key_id,
        public_key: encoded(&row.public_key),
        certificate_chain: row.certificate_chain.clone(),
        created_at: row.created_at.timestamp_micros(),
        activated_at: row.activated_at.map(|at| at.timestamp_micros()),
        deleted_at: row.deleted_at.map(|at| at.timestamp_micros()),
    };
    Document {
        organization_id: key.organization_id,
        name: key.name.as_str().to_owned(),
        algorithm: key.algorithm.name().to_owned(),
        key_size: key.algorithm.key_size(),
        kdf: key.derivation.kdf().map(str::to_owned),
        convergent: key.derivation.is_convergent(),
        latest_version: settings.latest_version,
        min_decryption_version: settings.min_decryption_version,
        min_encryption_version: settings.min_encryption_version,
        min_available_version: settings.min_available_version,
        deletion_allowed: settings.deletion_allowed,
        auto_rotate_seconds: settings.auto_rotate_seconds,
        imported: settings.imported,
        imported_may_rotate: settings.imported_may_rotate,
        key_state: (settings.state != KeyState::Active).then(|| settings.state.word().to_owned()),
        limits: Some(settings.limits).filter(|limits| *limits != KeyLimits::default()),
        activated_at: settings.activated_at.map(|at| at.timestamp_micros()),
        soft_deleted: settings.soft_deleted,
        destroy_at: settings.destroy_at.map(|at| at.timestamp_micros()),
        made_at: settings.backup.map(|backup| backup.at.timestamp_micros()),
        versions: versions.iter().map(version).collect(),
    }
}

/// A row of its own, still without its MAC. `None`: something in it cannot be read, and nothing of it is taken.
pub(super) fn version_row(key: &Key, version: &Version) -> Option<KeyVersionRow> {
    Some(KeyVersionRow {
        id: Uuid::now_v7(),
        organization_id: key.organization_id,
        named_key_id: key.id,
        version: version.version,
        algorithm: key.algorithm,
        storage: version.storage.clone(),
        blob: where_there(version.blob.as_deref(), decoded)?,
        hmac_blob: where_there(version.hmac_blob.as_deref(), decoded)?,
        encryption_key_id: version.encryption_key_id,
        is_exportable: true,
        hsm_key_id: None,
        hsm_token_id: None,
        public_key: decoded(&version.public_key)?,
        certificate_chain: version.certificate_chain.clone(),
        key_state: version.key_state.clone(),
        revision: 1,
        row_mac: Vec::new(),
        created_at: DateTime::from_timestamp_micros(version.created_at)?,
        activated_at: moment(version.activated_at)?,
        deleted_at: moment(version.deleted_at)?,
    })
}

/// A time, where there is one; `None`: there is one that no calendar has.
pub(super) fn moment(micros: Option<i64>) -> Option<Option<DateTime<Utc>>> {
    where_there(micros, DateTime::from_timestamp_micros)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

/// What `read` makes of what is there; `None` only where it can make nothing of it.
fn where_there<T, R>(given: Option<T>, read: impl FnOnce(T) -> Option<R>) -> Option<Option<R>> {
    given.map_or(Some(None), |given| read(given).map(Some))
}

#[cfg(test)]
mod tests {
    use super::{decoded, moment, where_there};

    #[test]
    fn what_cannot_be_read_is_not_taken_for_what_is_not_there() {
        assert_eq!(where_there(None, decoded), Some(None));
        assert_eq!(where_there(Some("a2V5"), decoded), Some(Some(b"key".to_vec())));
        assert_eq!(where_there(Some("a2V5!"), decoded), None);
        assert_eq!((moment(None), moment(Some(i64::MAX))), (Some(None), None));
    }
}
