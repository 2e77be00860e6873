//! Why somebody may do something or not, for whoever looks after policies.

use crate::access::{AccessRequest, Acl, Circumstances, Explanation, ROLE_PREFIX};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::policies::policy_name;
use crate::token::{ROOT_POLICY, Sources, WRAPPING_POLICY};
use audit_chain::Caller;
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Who would ask.
#[derive(Clone, Debug)]
pub enum Whose {
    /// The bearer of the token with this accessor.
    Accessor(String),
    /// The bearer of this token.
    Token(SecretString),
    /// Whoever has these policies, and roles as `role:CODE`, and nothing else.
    Policies(Vec<String>),
}

/// The explanation, and what it had to leave out.
#[derive(Clone, Debug)]
pub struct Explained {
    /// What is decided, and how.
    pub explanation: Explanation,
    /// Policies that were named and do not exist, or are for somebody else.
    pub left_out: Vec<String>,
}

impl Core {
    /// What is decided about a request of somebody else's, from an address if that is known, and how; no use of a token is spent.
    pub async fn explain(
        &self,
        caller: &Caller,
        whose: Whose,
        request: &AccessRequest<'_>,
        source: Option<IpAddr>,
    ) -> Result<Explained> {
        let organization_id = caller.organization_id;
        let (acl, token_made, left_out) = match whose {
            Whose::Policies(names) => {
                let (acl, left_out) = self.acl_of_policies(organization_id, &names).await?;
                (acl, self.now(), left_out)
            }
            Whose::Accessor(accessor) => {
                let token = self.live_token_by_accessor(organization_id, &accessor).await?;
                let authority = self.at_rest(token).await?.ok_or_else(|| Error::invalid("invalid accessor"))?;
                (authority.acl, authority.token.creation_time, Vec::new())
            }
            Whose::Token(text) => {
                let token = self.live_token_by_text(organization_id, text.expose_secret()).await?;
                let authority = self.at_rest(token).await?.ok_or_else(|| Error::invalid("invalid token"))?;
                (authority.acl, authority.token.creation_time, Vec::new())
            }
        };
        let explanation = acl.explain(request, &Circumstances { now: self.now(), source, token_made });
        Ok(Explained { explanation, left_out })
    }

    /// Policies by their names, and roles as `role:CODE`, as for a token without a bearer; and those of the names that give it nothing.
    async fn acl_of_policies(&self, organization_id: Uuid, names: &[String]) -> Result<(Arc<Acl>, Vec<String>)> {
        let (codes, names): (Vec<&str>, Vec<&str>) =
            names.iter().map(|name| name.trim()).partition(|name| name.starts_with(ROLE_PREFIX));
        let mut names = names.into_iter().map(policy_name).collect::<Result<Vec<_>>>()?;
        names.sort_unstable();
        names.dedup();
        if names.is_empty() && codes.is_empty() {
            return Err(Error::invalid("policies must name at least one policy, or a role as role:CODE"));
        }
        if names.iter().any(|name| name == ROOT_POLICY) {
            return Ok((Arc::new(Acl::root()), Vec::new()));
        }
        let found = self.store().policies(organization_id, &names, &[]).await?;
        let has = |name: &String| found.iter().any(|row| row.name == *name && row.is_for(&[]));
        let mut left_out: Vec<String> =
            names.iter().filter(|name| !has(name) && *name != WRAPPING_POLICY).cloned().collect();
        let mut roles = Vec::new();
        for code in codes {
            match self.held_role(organization_id, code.trim_start_matches(ROLE_PREFIX)).await? {
                Some(held) => roles.extend(held),
                None => left_out.push(code.to_owned()),
            }
        }
        let sources = Sources { policies: &names, bearers: &[], roles: &roles };
        let compiled = self.compiled(organization_id, sources, self.cache().moment()).await?;
        Ok((Arc::new(compiled.acl(None)), left_out))
    }
}
