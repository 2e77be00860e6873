//! Versions of named keys: one thing in two tables. Those of asymmetric keys are in `private_keys`, of symmetric ones in `encryption_keys`.

use super::{encryption_keys, private_keys};
use crate::key::{KeyAlgorithm, KeyState};
use crate::row_mac::RowBytes;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// A row as it is stored; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct KeyVersionRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) named_key_id: Uuid,
    pub(crate) version: i32,
    pub(crate) algorithm: KeyAlgorithm,
    pub(crate) storage: String,
    pub(crate) blob: Option<Vec<u8>>,
    /// The HMAC key beside it, wrapped; none beside keys of type hmac, which are one.
    pub(crate) hmac_blob: Option<Vec<u8>>,
    /// What wraps both.
    pub(crate) encryption_key_id: Option<Uuid>,
    pub(crate) is_exportable: bool,
    pub(crate) hsm_key_id: Option<Uuid>,
    pub(crate) hsm_token_id: Option<Uuid>,
    /// Empty for symmetric keys.
    pub(crate) public_key: Vec<u8>,
    /// Of pairs, PEM: the certificate of this version, then those of its issuers.
    pub(crate) certificate_chain: Option<String>,
    pub(crate) key_state: String,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
    pub(crate) created_at: DateTime<Utc>,
    /// From when its periods count; `None`: made before they were counted.
    pub(crate) activated_at: Option<DateTime<Utc>>,
    /// Not to be used, and to be brought back; of pairs.
    pub(crate) deleted_at: Option<DateTime<Utc>>,
}

impl KeyVersionRow {
    /// `None`: somebody else wrote the row.
    pub(crate) fn number(&self) -> Option<u32> {
        u32::try_from(self.version).ok()
    }

    /// The same.
    pub(crate) fn state(&self) -> Option<KeyState> {
        KeyState::parse(&self.key_state)
    }

    /// The table it is in.
    pub(crate) fn table(&self) -> &'static str {
        if self.algorithm.is_symmetric() { "encryption_keys" } else { "private_keys" }
    }

    pub(crate) fn row_bytes(&self) -> Vec<u8> {
        RowBytes::new(self.table())
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .id(Some(self.named_key_id))
            .integer(self.version.into())
            .text(self.algorithm.name())
            .text(&self.storage)
            .bytes(self.blob.as_deref())
            .id(self.encryption_key_id)
            .flag(self.is_exportable)
            .id(self.hsm_key_id)
            .id(self.hsm_token_id)
            .bytes(Some(&self.public_key))
            .text(&self.key_state)
            .later("hmac_key_material", self.hmac_blob.as_deref(), |bytes, blob| bytes.bytes(Some(blob)))
            .later("certificate_chain", self.certificate_chain.as_deref(), RowBytes::text)
            .later("activated_at", self.activated_at, |bytes, at| bytes.time(Some(at)))
            .later("deleted_at", self.deleted_at, |row, at| row.time(Some(at)))
            .finish()
    }
}

/// All versions of a key, by number.
pub(crate) async fn of_key(
    connection: &mut PgConnection,
    named_key_id: Uuid,
    algorithm: KeyAlgorithm,
) -> Result<Vec<KeyVersionRow>, sqlx::Error> {
    if algorithm.is_symmetric() {
        encryption_keys::versions(connection, named_key_id, algorithm).await
    } else {
        private_keys::versions(connection, named_key_id, algorithm).await
    }
}

/// Versions of an organization's keys that are objects on a token, or were; of deleted keys too. `mount_id`: of that mount alone.
pub(crate) async fn on_token(
    connection: &mut PgConnection,
    organization_id: Uuid,
    token_id: Uuid,
    mount_id: Option<Uuid>,
) -> Result<Vec<KeyVersionRow>, sqlx::Error> {
    let mut versions = private_keys::on_token(&mut *connection, organization_id, token_id, mount_id).await?;
    versions.append(&mut encryption_keys::on_token(connection, organization_id, token_id, mount_id).await?);
    Ok(versions)
}

/// Those of some keys, deleted or not.
pub(crate) async fn on_token_of_keys(
    connection: &mut PgConnection,
    organization_id: Uuid,
    token_id: Uuid,
    keys: &[Uuid],
) -> Result<Vec<KeyVersionRow>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut versions = on_token(connection, organization_id, token_id, None).await?;
    versions.retain(|version| keys.contains(&version.named_key_id));
    Ok(versions)
}

pub(crate) async fn insert(connection: &mut PgConnection, version: &KeyVersionRow) -> Result<(), sqlx::Error> {
    if version.algorithm.is_symmetric() {
        encryption_keys::insert_version(connection, version).await
    } else {
        private_keys::insert_version(connection, version).await
    }
}

/// Adds the first versions of new keys that were asked for alike.
pub(crate) async fn insert_all(connection: &mut PgConnection, versions: &[KeyVersionRow]) -> Result<(), sqlx::Error> {
    if versions.iter().all(|version| version.algorithm.is_symmetric()) {
        return encryption_keys::insert_versions(connection, versions).await;
    }
    for version in versions {
        private_keys::insert_version(connection, version).await?;
    }
    Ok(())
}

/// Writes state, material and revision over the revision before; `false`: somebody else was faster.
pub(crate) async fn update(connection: &mut PgConnection, version: &KeyVersionRow) -> Result<bool, sqlx::Error> {
    if version.algorithm.is_symmetric() {
        encryption_keys::update_version(connection, version).await
    } else {
        private_keys::update_version(connection, version).await
    }
}
