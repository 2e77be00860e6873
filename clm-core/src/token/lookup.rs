//! Looking at tokens.

use super::{Authority, ROOT_POLICY, Token};
use crate::core::Core;
use crate::error::{Error, Result};
use audit_chain::Caller;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::sync::Arc;

/// A token as `lookup` shows it.
#[derive(Clone, Debug)]
pub struct TokenInfo {
    /// The token.
    pub token: Arc<Token>,
    /// Seconds that remain.
    pub ttl: u64,
    /// Policies that it has because of who bears it.
    pub identity_policies: Vec<String>,
    /// The path of its namespace; empty: the root namespace's.
    pub namespace_path: Arc<str>,
}

impl TokenInfo {
    pub(crate) fn new(core: &Core, token: Arc<Token>, identity_policies: Vec<String>) -> Self {
        let namespace_path = core.namespace_path(token.organization_id);
        Self { ttl: token.ttl(core.now()), token, identity_policies, namespace_path }
    }

    /// The answer's `data`. `id` is the token's text where the caller gave it, else empty.
    pub fn data(&self, id: &str) -> Value {
        let token = &*self.token;
        // The use that asks is spent; the last one shows -1, as clients know it.
        let num_uses = match token.uses_left {
            Some(0) => -1,
            Some(left) => i64::from(left),
            None => 0,
        };
        let mut data = json!({
            "accessor": &*token.accessor,
            "creation_time": token.creation_time.timestamp(),
            "creation_ttl": token.creation_ttl,
            "display_name": &*token.display_name,
            "entity_id": token.entity_id.map_or_else(String::new, |id| id.to_string()),
            "expire_time": token.expire_time.map(rfc3339),
            "explicit_max_ttl": token.explicit_max_ttl,
            "id": id,
            "meta": token.meta,
            "num_uses": num_uses,
            "orphan": token.orphan,
            "path": token.path,
            "policies": token.policies,
            "ttl": self.ttl,
            "type": token.token_type(),
        });
        if !self.identity_policies.is_empty() {
            data["external_namespace_policies"] = json!({});
            data["identity_policies"] = json!(self.identity_policies);
        }
        let never_ends = token.expire_time.is_none() && token.policies == [ROOT_POLICY];
        if !never_ends {
            data["issue_time"] = rfc3339(token.creation_time).into();
            data["renewable"] = token.renewable.into();
        }
        if !self.namespace_path.is_empty() {
            data["namespace_path"] = (*self.namespace_path).into();
        }
        if let Some(renewal) = token.last_renewal {
            data["last_renewal"] = rfc3339(renewal).into();
            data["last_renewal_time"] = renewal.timestamp().into();
        }
        if token.period > 0 {
            data["period"] = token.period.into();
        }
        if let Some(role) = &token.role {
            data["role"] = role.as_str().into();
        }
        if !token.bound_cidrs.is_empty() {
            data["bound_cidrs"] = token.bound_cidrs.iter().map(crate::cidr::shown).collect::<Vec<_>>().into();
        }
        data
    }
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}

impl Core {
    /// The caller's own token, as this request found it.
    pub fn info(&self, own: &Authority) -> TokenInfo {
        let identity_policies = own.persona.as_ref().map(|persona| persona.policies()).unwrap_or_default();
        TokenInfo::new(self, Arc::clone(&own.token), identity_policies)
    }

    /// A token by its text; unknown: 403 `bad token`.
    pub async fn lookup_token(&self, caller: &Caller, token: &str) -> Result<TokenInfo> {
        let found = self.live_token_by_text(caller.organization_id, token).await?;
        let found = found.ok_or(Error::Forbidden("bad token".into()))?;
        self.found_info(found).await
    }

    /// A token by its accessor; unknown: 400.
    pub async fn lookup_accessor(&self, caller: &Caller, accessor: &str) -> Result<TokenInfo> {
        let found = self.live_token_by_accessor(caller.organization_id, accessor).await?;
        let found = found.ok_or_else(invalid_accessor)?;
        self.found_info(found).await
    }

    async fn found_info(&self, token: Arc<Token>) -> Result<TokenInfo> {
        let identity_policies = self.identity_policies(&token).await?;
        Ok(TokenInfo::new(self, token, identity_policies))
    }

    /// Accessors of all live tokens of the caller's organization, sorted.
    pub async fn list_accessors(&self, caller: &Caller) -> Result<Vec<String>> {
        Ok(self.store().accessors(caller.organization_id, self.now()).await?)
    }
}

pub(super) fn invalid_accessor() -> Error {
    Error::invalid("1 error occurred:\n\t* invalid accessor\n\n")
}
