//! Roles of AppRole.

use crate::cidr;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::LONGEST_NAME as LONGEST_ALIAS;
use crate::login::{TokenSettings, TokenSettingsChange, count};
use crate::mount::Mount;
use crate::record::add_rows;
use crate::store::{StoreError, app_roles};
use crate::token::Warning;
use audit_chain::{Caller, Event, Value};
use ipnet::IpNet;
use serde_json::{Map, json};
use uuid::Uuid;

/// How often a change is tried anew when somebody else changes the same role.
const ATTEMPTS: usize = 5;
/// Bytes.
const LONGEST_NAME: usize = 4096;
/// Bytes of a name by which records call a role: closed months of the log have an index over it.
const LONGEST_CALLED: usize = 512;
const LONGER_THAN_MOUNT: &str = "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' max TTL value will be truncated";

/// A role as stored.
#[derive(Clone, Debug)]
pub struct AppRole {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) mount_id: Uuid,
    /// Lower case.
    pub name: String,
    /// What a program says it is.
    pub role_id: String,
    /// Whether a login needs a SecretID.
    pub bind_secret_id: bool,
    /// Addresses that a SecretID may be used from; none: any.
    pub secret_id_bound_cidrs: Vec<IpNet>,
    /// Logins that a SecretID is good for, at most; 0: any number.
    pub secret_id_num_uses: u32,
    /// How long a SecretID lives, at most, seconds; 0: without end.
    pub secret_id_ttl: u64,
    /// Kept and shown.
    pub local_secret_ids: bool,
    /// What its tokens are like.
    pub token: TokenSettings,
    pub(crate) enabled: bool,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

/// Fields of `POST role/:name`; `None`: as it is.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct AppRoleChange {
    pub role_id: Option<String>,
    pub bind_secret_id: Option<bool>,
    pub secret_id_bound_cidrs: Option<Vec<String>>,
    pub secret_id_num_uses: Option<i64>,
    pub secret_id_ttl: Option<u64>,
    /// When the role is made; later it stays.
    pub local_secret_ids: Option<bool>,
    pub token: TokenSettingsChange,
    /// Only a role that is there; else 404.
    pub must_exist: bool,
}

impl AppRole {
    pub(super) fn new(mount: &Mount, name: &str) -> Self {
        Self {
            id: Uuid::now_v7(),
            organization_id: mount.organization_id,
            mount_id: mount.id,
            name: name.to_owned(),
            role_id: Uuid::new_v4().to_string(),
            bind_secret_id: true,
            secret_id_bound_cidrs: Vec::new(),
            secret_id_num_uses: 0,
            secret_id_ttl: 0,
            local_secret_ids: false,
            token: TokenSettings::default(),
            enabled: true,
            revision: 0,
            row_mac: [0; 32],
        }
    }

    fn changed(mut self, change: AppRoleChange) -> Result<Self> {
        if let Some(role_id) = change.role_id {
            // It is the name of an alias as soon as somebody logs in.
            let length = role_id.chars().count();
            if !(1..=LONGEST_ALIAS).contains(&length) || role_id.chars().any(char::is_control) {
                let says =
                    format!("role_id must have 1 to {LONGEST_ALIAS} characters, none of them a control character");
                return Err(Error::invalid(says));
            }
            self.role_id = role_id;
        }
        self.bind_secret_id = change.bind_secret_id.unwrap_or(self.bind_secret_id);
        if let Some(networks) = change.secret_id_bound_cidrs {
            self.secret_id_bound_cidrs = cidr::parse_all(&networks)?;
        }
        if let Some(uses) = change.secret_id_num_uses {
            self.secret_id_num_uses = count(uses, "secret_id_num_uses")?;
        }
        self.secret_id_ttl = change.secret_id_ttl.unwrap_or(self.secret_id_ttl);
        if let Some(local) = change.local_secret_ids {
            if self.revision > 0 && local != self.local_secret_ids {
                return Err(Error::invalid("local_secret_ids can only be modified during role creation"));
            }
            self.local_secret_ids = local;
        }
        self.token = self.token.changed(change.token)?;
        if !self.bind_secret_id && self.secret_id_bound_cidrs.is_empty() && self.token.bound_cidrs.is_empty() {
            return Err(Error::invalid("at least one constraint should be enabled on the role"));
        }
        self.revision += 1;
        Ok(self)
    }

    /// What records call it: its name, or its id where that is too long for an index.
    pub(super) fn called(&self) -> String {
        if self.name.len() <= LONGEST_CALLED { self.name.clone() } else { self.id.to_string() }
    }

    /// As `GET role/:name` shows it.
    pub fn data(&self) -> Map<String, serde_json::Value> {
        let mut data = self.token.data();
        data.insert("bind_secret_id".into(), self.bind_secret_id.into());
        data.insert("local_secret_ids".into(), self.local_secret_ids.into());
        let networks: Vec<String> = self.secret_id_bound_cidrs.iter().map(ToString::to_string).collect();
        data.insert("secret_id_bound_cidrs".into(), if networks.is_empty() { json!(null) } else { json!(networks) });
        data.insert("secret_id_num_uses".into(), self.secret_id_num_uses.into());
        data.insert("secret_id_ttl".into(), self.secret_id_ttl.into());
        data
    }
}

impl Core {
    /// Makes a role, or changes the fields that are named. Counts for the next login.
    pub async fn put_app_role(
        &self,
        caller: &Caller,
        mount: &Mount,
        name: &str,
        change: AppRoleChange,
    ) -> Result<Vec<Warning>> {
        let name = role_name(name)?;
        for _ in 0..ATTEMPTS {
            let old = self.app_role(mount, &name).await?;
            let is_new = old.is_none();
            if is_new && change.must_exist {
                return Err(super::no_such_role(&name));
            }
            let role = old.unwrap_or_else(|| AppRole::new(mount, &name)).changed(change.clone())?;
            let warning = (role.token.max_ttl > self.mount_ttl(mount).max_ttl).then(|| LONGER_THAN_MOUNT.to_owned());
            match self.write_app_role(caller, role).await {
                Ok(()) => return Ok(warning.into_iter().collect()),
                Err(Error::Conflict(_)) => {}
                Err(Error::Database(StoreError::Taken { constraint })) if constraint.contains("role_id") => {
                    if is_new && self.app_role(mount, &name).await?.is_some() {
                        // Somebody else made this very role meanwhile.
                        continue;
                    }
                    return Err(Error::invalid("role_id already in use by another role"));
                }
                // Somebody else made it meanwhile.
                Err(Error::Database(StoreError::Taken { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Conflict("role"))
    }

    /// A role, if its row is ours.
    pub async fn app_role(&self, mount: &Mount, name: &str) -> Result<Option<AppRole>> {
        let Ok(name) = role_name(name) else { return Ok(None) };
        self.checked_role(self.store().app_role(mount.organization_id, mount.id, &name).await?).await
    }

    /// Names of a mount's roles, sorted.
    pub async fn list_app_roles(&self, mount: &Mount) -> Result<Vec<String>> {
        Ok(self.store().app_role_names(mount.organization_id, mount.id).await?)
    }

    pub(crate) async fn checked_role(&self, found: Option<AppRole>) -> Result<Option<AppRole>> {
        let Some(role) = found else { return Ok(None) };
        let which = (app_roles::TABLE, role.organization_id, role.id);
        self.check_known_row(which, app_roles::bound_bytes(&role), role.row_mac).await?;
        Ok(Some(role))
    }

    /// The role, or 404 in the words that clients look for.
    pub(super) async fn expect_role(&self, mount: &Mount, name: &str) -> Result<AppRole> {
        self.app_role(mount, name).await?.ok_or_else(|| super::no_such_role(name))
    }

    async fn write_app_role(&self, caller: &Caller, mut role: AppRole) -> Result<()> {
        role.row_mac = self.row_mac(app_roles::bound_bytes(&role)).await?;
        let action = if role.revision == 1 { "create" } else { "update" };
        let mut event = self.app_role_event(caller, "app_role.write", action, &role);
        add_rows(&mut event, [(app_roles::TABLE, role.id, role.revision, role.row_mac)]);
        self.change(role.organization_id, move |connection| {
            Box::pin(async move { app_roles::put(connection, &role).await.map(|()| ((), event)) })
        })
        .await
    }

    pub(super) fn app_role_event(
        &self,
        caller: &Caller,
        event_type: &'static str,
        action: &'static str,
        role: &AppRole,
    ) -> Event {
        let called = role.called();
        let long_name = (called != role.name).then(|| Value::Text(role.name.clone().into()));
        let mut event = self.event(caller, event_type, "authentication", ("app_role", Some(called)), action);
        event.data.extend(long_name.map(|name| ("role_name".into(), name)));
        event.data.insert("mount_id".into(), Value::Text(role.mount_id.to_string().into()));
        event
    }
}

/// Lower case.
fn role_name(name: &str) -> Result<String> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Error::invalid("a role's name is not empty and has no control characters"));
    }
    if name.len() > LONGEST_NAME {
        return Err(Error::invalid(format!("role_name is longer than maximum of {LONGEST_NAME} bytes")));
    }
    Ok(name.to_lowercase())
}
