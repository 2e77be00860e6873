//! Making, showing and revoking keys.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::Mount;
use crate::record::{add_revoked, add_rows, rows_of_revoked};
use crate::store::{api_keys, tokens, users};
use crate::token::{ROOT_POLICY, random_base62, sanitized};
use audit_chain::{Caller, Event, Value};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use ipnet::IpNet;
use secrecy::SecretString;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Characters of base62 before the dot, by which people tell keys apart; and after it: 238 bits.
const PREFIX: usize = 8;
const SECRET: usize = 40;
/// How often a change is tried anew when somebody else changes the same key.
const ATTEMPTS: usize = 5;

/// A key, as stored: everything but its text.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Row id.
    pub id: Uuid,
    /// Organization it belongs to.
    pub organization_id: Uuid,
    /// The login method.
    pub mount_id: Uuid,
    /// For whom it acts.
    pub user_id: Uuid,
    /// A word for people.
    pub key_name: String,
    pub(crate) key_hash: [u8; 32],
    /// What its text begins with.
    pub key_prefix: String,
    /// Policies of its tokens.
    pub scopes: Vec<String>,
    /// Whether it opens anything.
    pub is_active: bool,
    /// When it was used last.
    pub last_used_at: Option<DateTime<Utc>>,
    /// From where.
    pub last_used_ip: Option<IpNet>,
    /// How often.
    pub usage_count: i64,
    /// When it ends; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// By which person, if it was one.
    pub revoked_by_user_id: Option<Uuid>,
    /// Grows with each change.
    pub revision: i64,
    pub(crate) row_mac: [u8; 32],
}

/// Fields of `POST keys`.
#[derive(Clone, Debug, Default)]
pub struct NewApiKey {
    /// For whom it acts.
    pub username: String,
    /// A word for people.
    pub key_name: String,
    /// Policies of its tokens.
    pub scopes: Vec<String>,
    /// How long it lives, seconds; 0: until it is revoked.
    pub ttl: u64,
}

impl ApiKey {
    /// As reading it shows it.
    pub fn data(&self) -> serde_json::Value {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Nanos, true);
        json!({
            "created_at": time(self.created_at),
            "expires_at": self.expires_at.map(time),
            "id": self.id,
            "is_active": self.is_active,
            "key_name": self.key_name,
            "key_prefix": self.key_prefix,
            "last_used_at": self.last_used_at.map(time),
            "last_used_ip": self.last_used_ip.map(|address| address.addr().to_string()),
            "revoked_at": self.revoked_at.map(time),
            "revoked_by_user_id": self.revoked_by_user_id,
            "scopes": self.scopes,
            "usage_count": self.usage_count,
            "user_id": self.user_id,
        })
    }

    pub(super) fn is_good(&self, now: DateTime<Utc>) -> bool {
        self.is_active && self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

impl Core {
    /// Makes a key. Its text comes back this once.
    pub async fn create_api_key(
        &self,
        caller: &Caller,
        mount: &Mount,
        new: NewApiKey,
    ) -> Result<(ApiKey, SecretString)> {
        let Some(mut user) = self.user_named(mount.organization_id, &new.username.to_lowercase()).await? else {
            return Err(Error::invalid(format!("no person is called {:?}", new.username)));
        };
        if !user.may_log_in() {
            return Err(Error::invalid("the person may not log in"));
        }
        if new.key_name.chars().count() > 256 || new.key_name.chars().any(char::is_control) {
            return Err(Error::invalid("key_name has at most 256 characters, none of them a control character"));
        }
        let scopes = sanitized(&new.scopes);
        if scopes.is_empty() || scopes.iter().any(|scope| scope == ROOT_POLICY) {
            return Err(Error::invalid("scopes name the policies of the key's tokens: at least one, and never root"));
        }
        let now = self.now();
        let expires_at = match i64::try_from(new.ttl).ok().and_then(TimeDelta::try_seconds) {
            Some(ttl) if ttl > TimeDelta::zero() => {
                Some(now.checked_add_signed(ttl).ok_or_else(|| Error::invalid("ttl is too long"))?)
            }
            Some(_) => None,
            None => return Err(Error::invalid("ttl is too long")),
        };
        let prefix = random_base62(PREFIX)?;
        let text = SecretString::from(format!("{}.{}", prefix.as_str(), random_base62(SECRET)?.as_str()));
        let mut key = ApiKey {
            id: Uuid::now_v7(),
            organization_id: mount.organization_id,
            mount_id: mount.id,
            user_id: user.id,
            key_name: new.key_name,
            key_hash: self.api_key_hmac(&text).await?,
            key_prefix: prefix.to_string(),
            scopes,
            is_active: true,
            last_used_at: None,
            last_used_ip: None,
            usage_count: 0,
            expires_at,
            created_at: now,
            revoked_at: None,
            revoked_by_user_id: None,
            revision: 1,
            row_mac: [0; 32],
        };
        key.row_mac = self.row_mac(api_keys::bound_bytes(&key)).await?;
        let mut event = self.api_key_event(caller, "api_key.create", "create", &key);
        let mut rows = vec![(api_keys::TABLE, key.id, key.revision, key.row_mac)];
        // Whoever gives a person a key says that the person may act through programs.
        let opened = !user.api_access_enabled;
        if opened {
            user.api_access_enabled = true;
            user.revision += 1;
            user.row_mac = self.row_mac(users::bound_bytes(&user)).await?;
            rows.push((users::TABLE, user.id, user.revision, user.row_mac));
        }
        add_rows(&mut event, rows);
        let (row, mount_id) = (key.clone(), mount.id);
        self.change(mount.organization_id, move |connection| {
            Box::pin(async move {
                crate::store::mounts::expect_there(connection, mount_id).await?;
                if opened {
                    users::put(connection, &user).await?;
                }
                api_keys::insert(connection, &row).await.map(|()| ((), event))
            })
        })
        .await?;
        Ok((key, text))
    }

    /// A key of this method, if its row is ours.
    pub async fn api_key(&self, mount: &Mount, id: Uuid) -> Result<Option<ApiKey>> {
        let found = self.store().api_key(mount.organization_id, Some(id), None).await?;
        Ok(self.checked_api_key(found).await?.filter(|key| key.mount_id == mount.id))
    }

    /// All keys of this method, those that were revoked too.
    pub async fn list_api_keys(&self, mount: &Mount) -> Result<Vec<ApiKey>> {
        Ok(self.store().api_keys(mount.organization_id, mount.id).await?)
    }

    /// Has a key open nothing any more: its tokens end with it, and what lives below them. `false`: there was none, or it was revoked before.
    pub async fn revoke_api_key(&self, caller: &Caller, mount: &Mount, id: Uuid) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            let Some(mut key) = self.api_key(mount, id).await?.filter(|key| key.is_active) else { return Ok(false) };
            key.is_active = false;
            key.revoked_at = Some(self.now());
            key.revoked_by_user_id = caller.user_id;
            // What was revoked is not brought back by changing a column.
            key.key_hash = Sha256::new().chain_update(key.id.as_bytes()).chain_update(key.key_hash).finalize().into();
            key.revision += 1;
            key.row_mac = self.row_mac(api_keys::bound_bytes(&key)).await?;
            let mut event = self.api_key_event(caller, "api_key.revoke", "revoke", &key);
            let own = (api_keys::TABLE, key.id, key.revision, key.row_mac);
            let now = self.now();
            let revoked = self
                .change(mount.organization_id, move |connection| {
                    Box::pin(async move {
                        // First the key: a login that is under way waits for it, and finds it changed.
                        api_keys::revoke(connection, &key).await?;
                        let given = tokens::of_api_key(connection, key.user_id, &key.key_prefix).await?;
                        let ended = tokens::revoke_trees(connection, &given, now).await?;
                        add_revoked(&mut event, &ended);
                        add_rows(&mut event, [own].into_iter().chain(rows_of_revoked(&ended)));
                        Ok((ended, event))
                    })
                })
                .await;
            match revoked {
                Err(Error::Conflict(_)) => {}
                other => {
                    other?.iter().for_each(|token| self.cache().forget(token.id));
                    return Ok(true);
                }
            }
        }
        Err(Error::Conflict("API key"))
    }

    pub(super) async fn checked_api_key(&self, found: Option<ApiKey>) -> Result<Option<ApiKey>> {
        let Some(key) = found else { return Ok(None) };
        let which = (api_keys::TABLE, key.organization_id, key.id);
        self.check_row(which, api_keys::bound_bytes(&key), &key.row_mac).await?;
        Ok(Some(key))
    }

    fn api_key_event(&self, caller: &Caller, event_type: &'static str, action: &'static str, key: &ApiKey) -> Event {
        let mut event =
            self.event(caller, event_type, "user_management", ("api_key", Some(key.id.to_string())), action);
        event.data.insert("key_prefix".into(), Value::Text(key.key_prefix.clone().into()));
        event.data.insert("user_id".into(), Value::Text(key.user_id.to_string().into()));
        event
    }
}
