//! Making SecretIDs.

use super::{AppRole, SecretId};
use crate::cidr;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::login::count;
use crate::mount::Mount;
use crate::record::add_rows;
use crate::store::{StoreError, app_role_secret_ids};
use audit_chain::{Caller, Value};
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::net::IpAddr;
use uuid::Uuid;

/// Fields of `role/:name/secret-id` and `custom-secret-id`.
#[derive(Clone, Debug, Default)]
pub struct NewSecretId {
    /// The caller's own text; none: a random one.
    pub text: Option<SecretString>,
    /// Goes onto the tokens.
    pub metadata: BTreeMap<String, String>,
    /// Addresses that it may be used from, within the role's.
    pub cidr_list: Vec<String>,
    /// Addresses that its tokens may be used from, within the role's.
    pub token_bound_cidrs: Vec<String>,
    /// Logins; `None`: the role's.
    pub num_uses: Option<i64>,
    /// Seconds; `None`: the role's.
    pub ttl: Option<u64>,
}

/// A SecretID and, this once, its text.
#[derive(Clone, Debug)]
pub struct IssuedSecretId {
    /// The text; leaves with the answer and is nowhere else.
    pub text: SecretString,
    /// Names it without being it.
    pub accessor: String,
    /// How long it lives, seconds; 0: without end.
    pub ttl: u64,
    /// Logins it is good for; 0: any number.
    pub num_uses: u32,
}

impl Core {
    /// Makes a SecretID of a role that is there. Its record is durable when this returns.
    pub async fn create_secret_id(
        &self,
        caller: &Caller,
        mount: &Mount,
        role: &str,
        new: NewSecretId,
    ) -> Result<IssuedSecretId> {
        let role = self.expect_role(mount, role).await?;
        if !role.bind_secret_id {
            return Err(Error::invalid("bind_secret_id is not set on the role"));
        }
        let text = new.text.clone().unwrap_or_else(|| SecretString::from(Uuid::new_v4().to_string()));
        let mut secret = self.drafted(&role, &new)?;
        secret.hash = self.secret_hash(role.id, text.expose_secret()).await?;
        secret.row_mac = self.row_mac(app_role_secret_ids::bound_bytes(&secret)).await?;
        let mut event = self.app_role_event(caller, "secret_id.create", "create", &role);
        event.data.insert("secret_id_accessor".into(), Value::Text(secret.accessor.clone().into()));
        add_rows(&mut event, [(app_role_secret_ids::TABLE, secret.id, secret.revision, secret.row_mac)]);
        let issued =
            IssuedSecretId { text, accessor: secret.accessor.clone(), ttl: secret.ttl(), num_uses: secret.num_uses };
        let written = self
            .change(role.organization_id, move |connection| {
                Box::pin(async move {
                    app_role_secret_ids::insert(connection, &secret, role.revision).await.map(|()| ((), event))
                })
            })
            .await;
        match written {
            Err(Error::Database(StoreError::Taken { .. })) => Err(Error::invalid("SecretID is already registered")),
            other => other.map(|()| issued),
        }
    }

    /// Everything but hash and MAC.
    fn drafted(&self, role: &AppRole, new: &NewSecretId) -> Result<SecretId> {
        let num_uses = match new.num_uses {
            None => role.secret_id_num_uses,
            Some(uses) => count(uses, "num_uses")?,
        };
        let limit = role.secret_id_num_uses;
        if limit > 0 && (num_uses == 0 || num_uses > limit) {
            return Err(Error::invalid("num_uses cannot be higher than the role's secret_id_num_uses"));
        }
        let ttl = new.ttl.unwrap_or(role.secret_id_ttl);
        let limit = role.secret_id_ttl;
        if limit > 0 && (ttl == 0 || ttl > limit) {
            return Err(Error::invalid("ttl cannot be longer than the role's secret_id_ttl"));
        }
        let within = |networks: &[String], outer: &[ipnet::IpNet], what: &str| {
            let networks = cidr::parse_all(networks)?;
            if cidr::is_subset(&networks, outer) {
                return Ok(networks);
            }
            Err(Error::invalid(format!("{what} must be a subset of what the role allows")))
        };
        let now = self.now();
        let lifetime = i64::try_from(ttl).ok().and_then(TimeDelta::try_seconds);
        let end = lifetime.and_then(|lifetime| now.checked_add_signed(lifetime));
        Ok(SecretId {
            id: Uuid::now_v7(),
            organization_id: role.organization_id,
            app_role_id: role.id,
            hash: [0; 32],
            accessor: Uuid::new_v4().to_string(),
            num_uses,
            uses_left: (num_uses > 0).then_some(num_uses),
            bound_cidrs: within(&new.cidr_list, &role.secret_id_bound_cidrs, "cidr_list")?,
            token_bound_cidrs: within(&new.token_bound_cidrs, &role.token.bound_cidrs, "token_bound_cidrs")?,
            metadata: new.metadata.clone(),
            expires_at: if ttl == 0 { None } else { Some(end.ok_or_else(|| Error::invalid("ttl is too long"))?) },
            created_at: now,
            updated_at: now,
            revision: 1,
            row_mac: [0; 32],
        })
    }
}

impl SecretId {
    /// Whether a login may come from there by this SecretID and its role.
    pub(super) fn permits(&self, role: &AppRole, source: Option<IpAddr>) -> bool {
        cidr::permits(&role.secret_id_bound_cidrs, source) && cidr::permits(&self.bound_cidrs, source)
    }
}
