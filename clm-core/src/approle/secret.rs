//! SecretIDs: looking at them.

use super::AppRole;
use crate::cidr;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::Mount;
use crate::store::app_role_secret_ids;
use chrono::{DateTime, SecondsFormat, Utc};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A SecretID as stored: everything but its text.
#[derive(Clone, Debug)]
pub struct SecretId {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) app_role_id: Uuid,
    pub(crate) hash: [u8; 32],
    /// Names it without being it.
    pub accessor: String,
    pub(crate) num_uses: u32,
    /// Logins left, if limited. A counter outside the row's MAC.
    pub(crate) uses_left: Option<u32>,
    pub(crate) bound_cidrs: Vec<IpNet>,
    pub(crate) token_bound_cidrs: Vec<IpNet>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

/// How a SecretID is named.
#[derive(Clone, Copy, Debug)]
pub enum SecretRef<'s> {
    /// By its text.
    Text(&'s str),
    /// By its accessor.
    Accessor(&'s str),
}

impl SecretId {
    pub(crate) fn has_ended(&self, now: DateTime<Utc>) -> bool {
        self.uses_left == Some(0) || self.expires_at.is_some_and(|end| end <= now)
    }

    /// How long it was made for, seconds; 0: without end.
    pub(crate) fn ttl(&self) -> u64 {
        self.expires_at.map_or(0, |end| u64::try_from((end - self.created_at).num_seconds()).unwrap_or(0))
    }

    /// As `secret-id/lookup` shows it.
    pub fn data(&self) -> Value {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Nanos, true);
        json!({
            "cidr_list": self.bound_cidrs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "creation_time": time(self.created_at),
            "expiration_time": self.expires_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), time),
            "last_updated_time": time(self.updated_at),
            "metadata": self.metadata,
            "secret_id_accessor": self.accessor,
            "secret_id_num_uses": self.uses_left.unwrap_or(0),
            "secret_id_ttl": self.ttl(),
            "token_bound_cidrs": self.token_bound_cidrs.iter().map(cidr::shown).collect::<Vec<_>>(),
        })
    }
}

impl Core {
    /// A SecretID of a role that is there; `None`: no such SecretID, or one that has ended.
    pub async fn secret_id(&self, mount: &Mount, role: &str, which: SecretRef<'_>) -> Result<Option<SecretId>> {
        let role = self.expect_role(mount, role).await?;
        let found = self.find_secret(&role, which).await?;
        let now = self.now();
        Ok(found.filter(|secret| !secret.has_ended(now)))
    }

    /// Accessors of a role's SecretIDs that can be used, sorted; the role must be there, else 400: a list that is empty is 404.
    pub async fn list_secret_ids(&self, mount: &Mount, role: &str) -> Result<Vec<String>> {
        let found = self.app_role(mount, role).await?;
        let role = found.ok_or_else(|| Error::invalid(format!("role {role:?} does not exist")))?;
        Ok(self.store().secret_id_accessors(role.organization_id, role.id, self.now()).await?)
    }

    pub(super) async fn find_secret(&self, role: &AppRole, which: SecretRef<'_>) -> Result<Option<SecretId>> {
        let found = match which {
            SecretRef::Text(text) => {
                let hash = self.secret_hash(role.id, text).await?;
                self.store().secret_id(role.organization_id, hash).await?
            }
            SecretRef::Accessor(accessor) => {
                self.store().secret_id_by_accessor(role.organization_id, role.id, accessor).await?
            }
        };
        let Some(secret) = found.filter(|secret| secret.app_role_id == role.id) else { return Ok(None) };
        self.check_secret(&secret).await?;
        Ok(Some(secret))
    }

    pub(super) async fn check_secret(&self, secret: &SecretId) -> Result<()> {
        let which = (app_role_secret_ids::TABLE, secret.organization_id, secret.id);
        self.check_known_row(which, app_role_secret_ids::bound_bytes(secret), secret.row_mac).await
    }

    /// What the database keeps of a SecretID: one text gives another HMAC for every role.
    pub(super) async fn secret_hash(&self, app_role_id: Uuid, text: &str) -> Result<[u8; 32]> {
        self.secret_id_hmac([app_role_id.as_bytes().as_slice(), text.as_bytes()].concat()).await
    }
}
