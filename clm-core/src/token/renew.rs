//! Renewing tokens.

use super::batch::refuse_batch;
use super::draft::end_after;
use super::lifetime::{self, Wanted};
use super::lookup::invalid_accessor;
use super::new::Warning;
use super::{Authority, Token};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::Mount;
use crate::record::add_rows;
use crate::roles::RoleKey;
use crate::store::{self, StoreError};
use audit_chain::{Caller, Value};
use std::sync::Arc;

/// How often a renewal is tried anew when somebody else changes the same token.
const ATTEMPTS: usize = 5;

impl Core {
    /// Renews a token by its text. `increment` in seconds; 0: as long as it was made for.
    pub async fn renew_token(
        &self,
        caller: &Caller,
        token: &str,
        increment: u64,
    ) -> Result<(Arc<Token>, Vec<Warning>)> {
        refuse_batch(token, "renewed")?;
        let token_hmac = self.token_hmac(token).await?;
        self.renew(caller, token_hmac, increment).await?.ok_or_else(|| Error::invalid("token not found"))
    }

    /// Renews the caller's own token.
    pub async fn renew_self(
        &self,
        caller: &Caller,
        own: &Authority,
        increment: u64,
    ) -> Result<(Arc<Token>, Vec<Warning>)> {
        if own.token.batch {
            return Err(Error::invalid("batch tokens cannot be renewed"));
        }
        let renewed = self.renew(&own.at_home(caller), own.token.token_hmac, increment).await?;
        renewed.ok_or_else(|| Error::invalid("token not found"))
    }

    /// Renews a token by its accessor.
    pub async fn renew_accessor(
        &self,
        caller: &Caller,
        accessor: &str,
        increment: u64,
    ) -> Result<(Arc<Token>, Vec<Warning>)> {
        let token_hmac = self.store().token_hmac_by_accessor(caller.organization_id, accessor).await?;
        let token_hmac = token_hmac.ok_or_else(invalid_accessor)?;
        self.renew(caller, token_hmac, increment).await?.ok_or_else(invalid_accessor)
    }

    async fn renew(
        &self,
        caller: &Caller,
        token_hmac: [u8; 32],
        increment: u64,
    ) -> Result<Option<(Arc<Token>, Vec<Warning>)>> {
        for _ in 0..ATTEMPTS {
            let Some(token) = self.live_token(caller.organization_id, token_hmac).await? else { return Ok(None) };
            match self.renew_once(caller, &token, increment).await {
                Err(Error::Conflict(_) | Error::Database(StoreError::Taken { .. })) => {}
                other => return other.map(Some),
            }
        }
        Err(Error::Conflict("token"))
    }

    async fn renew_once(&self, caller: &Caller, token: &Token, increment: u64) -> Result<(Arc<Token>, Vec<Warning>)> {
        if token.expire_time.is_none() {
            return Err(Error::invalid("invalid lease ID"));
        }
        if !token.renewable {
            return Err(Error::invalid("lease is not renewable"));
        }
        let role = match &token.role {
            None => None,
            Some(name) => Some(self.token_role(token.organization_id, name).await?.ok_or_else(|| {
                Error::invalid(format!("original token role {name:?} could not be found, not renewing"))
            })?),
        };
        let now = self.now();
        let wanted = Wanted {
            ttl: if increment > 0 { increment } else { token.creation_ttl },
            period: role.map(|role| role.token_period).filter(|period| *period > 0).unwrap_or(token.period),
            explicit_max_ttl: token.explicit_max_ttl,
            age: u64::try_from((now - token.creation_time).num_seconds()).unwrap_or(0),
        };
        // Where it was made: a login method may have times of its own, and goes on vouching for whom it let in.
        let made_at = self.resolve(token.organization_id, &token.path).map(|(mount, _)| mount);
        if let Some(mount) = &made_at {
            self.expect_role_of_login(token, mount).await?;
        }
        let system = made_at.map_or_else(|| self.system_ttl(), |mount| self.mount_ttl(&mount));
        let (ttl, warning) = lifetime::time_to_live(wanted, system.bounded(token.max_ttl))
            .ok_or_else(|| Error::invalid("past the max TTL, cannot renew"))?;
        let mut renewed = Token {
            lease_ttl: ttl,
            expire_time: end_after(now, ttl),
            last_renewal: Some(now),
            revision: token.revision + 1,
            ..token.clone()
        };
        renewed.row_mac = self.row_mac(store::tokens::bound_bytes(&renewed)).await?;
        let accessor = Some(renewed.accessor.to_string());
        let mut event = self.event(caller, "token.renew", "authentication", ("token", accessor), "renew");
        event.data.insert("ttl".into(), Value::Integer(i64::try_from(ttl).unwrap_or(i64::MAX)));
        let (entity_id, moves) = self.regroup(token).await?.unzip();
        let row = renewed.clone();
        self.change(renewed.organization_id, move |connection| {
            Box::pin(async move {
                store::tokens::update(connection, &row).await?;
                let mut rows = vec![(store::tokens::TABLE, row.id, row.revision, row.row_mac)];
                if let Some(moves) = &moves {
                    rows.extend(moves.write(connection).await?);
                }
                add_rows(&mut event, rows);
                Ok(((), event))
            })
        })
        .await?;
        [Some(renewed.id), entity_id].into_iter().flatten().for_each(|id| self.cache().forget(id));
        Ok((Arc::new(renewed), warning.into_iter().collect()))
    }

    /// What a login gave is renewed while the role, or the person, that it was for is there; an API key's tokens end with it anyhow.
    async fn expect_role_of_login(&self, token: &Token, mount: &Mount) -> Result<()> {
        let told_as = match mount.mount_type.as_str() {
            "approle" => "role_name",
            "cert" => "cert_name",
            "jwt" | "kubernetes" | "oidc" => "role",
            "userpass" => "username",
            _ => return Ok(()),
        };
        let Some(name) = token.meta.as_ref().and_then(|meta| meta.get(told_as)) else { return Ok(()) };
        let is_there = match mount.mount_type.as_str() {
            "approle" => self.app_role(mount, name).await?.is_some(),
            _ => self.role_row::<serde_json::Value>(&RoleKey::new(mount, name)).await?.is_some(),
        };
        if is_there { Ok(()) } else { Err(Error::invalid(format!("role {name:?} does not exist during renewal"))) }
    }
}
