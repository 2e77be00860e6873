//! From what a token shall be to its row, or, of a batch token, to its text.

use super::lifetime::{self, System, Wanted};
use super::new::{IssuedToken, Warning};
use super::{ROOT_POLICY, Secret28, Token, WRAPPING_POLICY, batch, random_base62};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::store::{self, StoreError};
use audit_chain::{Caller, Event, Value};
use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// What a token shall be; whoever makes one of these has decided that it may be so.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) organization_id: Uuid,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) entity_id: Option<Uuid>,
    /// The token it dies with; none: an orphan.
    pub(crate) parent_id: Option<Uuid>,
    pub(crate) batch: bool,
    /// Its text, if the caller chose one.
    pub(crate) id: Option<SecretString>,
    /// Sorted, lower case.
    pub(crate) policies: Vec<String>,
    pub(crate) display_name: String,
    pub(crate) meta: Option<BTreeMap<String, String>>,
    pub(crate) path: String,
    pub(crate) role: Option<String>,
    pub(crate) wanted: Wanted,
    /// Renewals never bring it past this age, seconds; 0: the system's.
    pub(crate) max_ttl: u64,
    pub(crate) num_uses: u32,
    pub(crate) renewable: bool,
    pub(crate) bound_cidrs: Vec<IpNet>,
    /// The system's times, or those of the mount it is made at.
    pub(crate) system: System,
}

impl Core {
    /// Draws text and accessor and makes the MACs; nothing is written yet.
    pub(crate) async fn prepare_token(&self, draft: Draft, warnings: &mut Vec<Warning>) -> Result<IssuedToken> {
        let life = life(&draft, warnings)?;
        let now = self.now();
        let mut token = Token {
            id: Uuid::now_v7(),
            organization_id: draft.organization_id,
            user_id: draft.user_id,
            entity_id: draft.entity_id,
            accessor: if draft.batch { Arc::from("") } else { Arc::from(random_base62(24)?.as_str()) },
            token_hmac: [0; 32],
            parent_id: draft.parent_id,
            policies: draft.policies,
            display_name: draft.display_name.into(),
            meta: draft.meta,
            path: draft.path,
            role: draft.role,
            creation_time: now,
            creation_ttl: life.ttl,
            lease_ttl: life.ttl,
            period: life.period,
            explicit_max_ttl: life.explicit_max_ttl,
            max_ttl: draft.max_ttl,
            expire_time: end_after(now, life.ttl),
            last_renewal: None,
            num_uses: draft.num_uses,
            uses_left: (draft.num_uses > 0).then_some(draft.num_uses),
            renewable: draft.renewable && !draft.batch && life.ttl > 0,
            orphan: draft.parent_id.is_none(),
            bound_cidrs: draft.bound_cidrs,
            batch: draft.batch,
            revision: 1,
            row_mac: [0; 32],
        };
        if token.batch {
            let client_token = self.batch_text(&token).await?;
            return Ok(IssuedToken { client_token, token: Arc::new(token), identity_policies: Vec::new() });
        }
        let client_token = match draft.id {
            Some(id) => id,
            None => Secret28::random()?.into_secret(),
        };
        token.token_hmac = self.token_hmac(client_token.expose_secret()).await?;
        token.row_mac = self.row_mac(store::tokens::bound_bytes(&token)).await?;
        Ok(IssuedToken { client_token, token: Arc::new(token), identity_policies: Vec::new() })
    }

    /// Writes a prepared token with its record.
    pub(crate) async fn write_token(&self, token: &Arc<Token>, event: Event) -> Result<()> {
        if token.batch {
            return self.audit().append(event).await.map_err(Error::Audit);
        }
        let row = Arc::clone(token);
        let written = self
            .change(token.organization_id, move |connection| {
                Box::pin(async move { store::tokens::insert(connection, &row).await.map(|()| ((), event)) })
            })
            .await;
        match written {
            Err(Error::Database(StoreError::Taken { .. })) => {
                Err(Error::invalid("cannot create a token with a duplicate ID"))
            }
            // The parent was revoked while its request was under way.
            Err(Error::Conflict(_)) => Err(Error::Forbidden("permission denied".into())),
            other => other,
        }
    }

    /// The record of a new token.
    pub(crate) fn token_event(&self, caller: &Caller, event_type: &'static str, token: &Token) -> Event {
        let accessor = Some(token.accessor.to_string()).filter(|accessor| !accessor.is_empty());
        let action = event_type.split_once('.').map_or(event_type, |(_, action)| action);
        let mut event = self.event(caller, event_type, "authentication", ("token", accessor), action);
        let policies = token.policies.iter().map(|policy| Value::Text(policy.clone().into())).collect();
        let mut add = |name: &str, value| event.data.insert(name.into(), value);
        // `policies` are those that let the request pass.
        add("token_policies", Value::List(policies));
        add("ttl", Value::Integer(i64::try_from(token.creation_ttl).unwrap_or(i64::MAX)));
        add("num_uses", Value::Integer(token.num_uses.into()));
        add("token_display_name", Value::Text(token.display_name.to_string().into()));
        add("orphan", Value::Bool(token.orphan));
        if let Some(entity_id) = token.entity_id {
            add("entity_id", Value::Text(entity_id.to_string().into()));
        }
        if let Some(role) = &token.role {
            add("role", Value::Text(role.clone().into()));
        }
        if token.batch {
            // It has no row and no accessor: this id is in its text.
            add("batch_token", Value::Text(token.id.to_string().into()));
        } else {
            add_rows(&mut event, [(store::tokens::TABLE, token.id, token.revision, token.row_mac)]);
        }
        event
    }

    async fn batch_text(&self, token: &Token) -> Result<SecretString> {
        let payload = batch::payload(token)?;
        let mac = self.batch_mac(payload.clone()).await?;
        batch::text(&payload, &mac)
    }

    /// Says which of a new token's policies there are not.
    pub(crate) async fn warn_of_unknown_policies(&self, token: &Token, warnings: &mut Vec<Warning>) -> Result<()> {
        if !token.policies.iter().all(|policy| is_built_in(policy)) {
            let known = self.store().known_policies(token.organization_id, &token.policies).await?;
            warn_of_others(&token.policies, &known, warnings);
        }
        Ok(())
    }
}

fn is_built_in(policy: &str) -> bool {
    policy == ROOT_POLICY || policy == WRAPPING_POLICY
}

/// The same, where it is known which there are.
pub(crate) fn warn_of_others(policies: &[String], known: &[String], warnings: &mut Vec<Warning>) {
    let others = policies.iter().filter(|name| !is_built_in(name) && !known.contains(name));
    warnings.extend(others.map(|name| format!("Policy \"{name}\" does not exist")));
}

/// How long it lives.
fn life(draft: &Draft, warnings: &mut Vec<Warning>) -> Result<Wanted> {
    let system = draft.system.bounded(draft.max_ttl);
    let mut wanted = draft.wanted;
    if wanted.explicit_max_ttl > system.max_ttl && wanted.period == 0 {
        let (asked, max) = (wanted.explicit_max_ttl, system.max_ttl);
        warnings.push(format!(
            "Explicit max TTL of {asked} seconds is greater than system/mount allowed value; value is being capped at {max} seconds"
        ));
        wanted.explicit_max_ttl = max;
    }
    if wanted.ttl == 0 && wanted.period == 0 && draft.policies == [ROOT_POLICY] {
        // A root token ends only when somebody said so.
        wanted.ttl = wanted.explicit_max_ttl;
        return Ok(wanted);
    }
    let (ttl, warning) =
        lifetime::time_to_live(wanted, system).ok_or_else(|| Error::invalid("ttl must be positive"))?;
    warnings.extend(warning);
    Ok(Wanted { ttl, ..wanted })
}

/// `None` for 0: never.
pub(super) fn end_after(now: DateTime<Utc>, ttl: u64) -> Option<DateTime<Utc>> {
    let ttl = i64::try_from(ttl).ok().filter(|ttl| *ttl > 0)?;
    now.checked_add_signed(TimeDelta::try_seconds(ttl)?)
}
