//! Making tokens.

use super::lifetime::{self, System, Wanted};
use super::new::{IssuedToken, NewToken, Warning};
use super::{Authority, DEFAULT_POLICY_NAME, ROOT_POLICY, Secret28, Token, random_base62};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::store::{self, StoreError};
use audit_chain::{Caller, Value};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use uuid::Uuid;

impl Core {
    /// Makes a token under `parent`. Its text leaves with the value; its record is durable by then.
    pub async fn create_token(
        &self,
        caller: &Caller,
        parent: &Authority,
        new: NewToken,
    ) -> Result<(IssuedToken, Vec<Warning>)> {
        let mut warnings = Vec::new();
        check(&new, &parent.token)?;
        let policies = policies_of_child(&new, &parent.token.policies)?;
        let text = match &new.id {
            Some(id) => {
                warnings.push("A token with a chosen id is only as hard to guess as that id".to_owned());
                id.clone()
            }
            None => Secret28::random()?.into_secret(),
        };
        let mut token = self.child(&new, &parent.token, policies, &mut warnings)?;
        token.token_hmac = self.token_hmac(text.expose_secret()).await?;
        token.row_mac = self.row_mac(store::tokens::bound_bytes(&token)).await?;
        self.warn_of_unknown_policies(&token, &mut warnings).await?;
        self.write_new(caller, &token).await?;
        Ok((IssuedToken { client_token: text, token: Arc::new(token) }, warnings))
    }

    /// Everything but HMAC and MAC.
    fn child(
        &self,
        new: &NewToken,
        parent: &Token,
        policies: Vec<String>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Token> {
        let now = self.now();
        let life = self.lifetime(new, &policies, warnings)?;
        let orphan = new.no_parent || new.orphan_path;
        let num_uses = count(new.num_uses)?;
        Ok(Token {
            id: Uuid::now_v7(),
            organization_id: parent.organization_id,
            user_id: parent.user_id.filter(|_| !orphan),
            accessor: Arc::from(random_base62(24)?.as_str()),
            token_hmac: [0; 32],
            parent_id: (!orphan).then_some(parent.id),
            policies,
            display_name: display_name(new.display_name.as_deref()).into(),
            meta: new.meta.clone(),
            path: new.path.clone(),
            creation_time: now,
            creation_ttl: life.ttl,
            lease_ttl: life.ttl,
            period: life.period,
            explicit_max_ttl: life.explicit_max_ttl,
            expire_time: end_after(now, life.ttl),
            last_renewal: None,
            num_uses,
            uses_left: (num_uses > 0).then_some(num_uses),
            renewable: new.renewable && life.ttl > 0,
            orphan,
            bound_cidrs: Vec::new(),
            revision: 1,
            row_mac: [0; 32],
        })
    }

    fn lifetime(&self, new: &NewToken, policies: &[String], warnings: &mut Vec<Warning>) -> Result<Wanted> {
        let system = self.system_ttl();
        let mut wanted = Wanted {
            ttl: positive(new.ttl, "ttl must be positive")?,
            period: positive(new.period, "period must be positive")?,
            explicit_max_ttl: positive(new.explicit_max_ttl, "explicit_max_ttl must be positive")?,
            age: 0,
        };
        if wanted.explicit_max_ttl > system.max_ttl && wanted.period == 0 {
            let (asked, max) = (wanted.explicit_max_ttl, system.max_ttl);
            warnings.push(format!(
                "Explicit max TTL of {asked} seconds is greater than system/mount allowed value; value is being capped at {max} seconds"
            ));
            wanted.explicit_max_ttl = max;
        }
        let is_root = policies == [ROOT_POLICY];
        if wanted.ttl == 0 && wanted.period == 0 && is_root {
            // A root token ends only when somebody said so.
            wanted.ttl = wanted.explicit_max_ttl;
            return Ok(wanted);
        }
        let (ttl, warning) =
            lifetime::time_to_live(wanted, system).ok_or_else(|| Error::invalid("ttl must be positive"))?;
        warnings.extend(warning);
        Ok(Wanted { ttl, ..wanted })
    }

    pub(super) fn system_ttl(&self) -> System {
        System { default_ttl: self.settings().default_lease_ttl, max_ttl: self.settings().max_lease_ttl }
    }

    async fn warn_of_unknown_policies(&self, token: &Token, warnings: &mut Vec<Warning>) -> Result<()> {
        let known = self.store().policies(token.organization_id, &token.policies).await?;
        let is_known = |name: &String| name == ROOT_POLICY || known.iter().any(|row| row.name == *name);
        for name in token.policies.iter().filter(|name| !is_known(name)) {
            warnings.push(format!("Policy \"{name}\" does not exist"));
        }
        Ok(())
    }

    async fn write_new(&self, caller: &Caller, token: &Token) -> Result<()> {
        let accessor = Some(token.accessor.to_string());
        let mut event = self.event(caller, "token.create", "authentication", ("token", accessor), "create");
        let policies = token.policies.iter().map(|policy| Value::Text(policy.clone().into())).collect();
        event.data.insert("policies".into(), Value::List(policies));
        event.data.insert("ttl".into(), Value::Integer(i64::try_from(token.creation_ttl).unwrap_or(i64::MAX)));
        event.data.insert("num_uses".into(), Value::Integer(token.num_uses.into()));
        event.data.insert("token_display_name".into(), Value::Text(token.display_name.to_string().into()));
        event.data.insert("orphan".into(), Value::Bool(token.orphan));
        add_rows(&mut event, [(store::tokens::TABLE, token.id, token.revision, token.row_mac)]);
        let row = token.clone();
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
}

/// What needs no database to be refused.
fn check(new: &NewToken, parent: &Token) -> Result<()> {
    let sudo = parent.is_root() || new.sudo;
    let needs_sudo = |what: &str| Err(Error::invalid(format!("root or sudo privileges required to {what}")));
    if parent.num_uses > 0 {
        return Err(Error::invalid("restricted use token cannot generate child tokens"));
    }
    match new.token_type.as_deref() {
        None | Some("" | "service") => {}
        Some("batch") => {
            return Err(Error::invalid("batch tokens are not supported by this server; ask for type \"service\""));
        }
        Some(other) => return Err(Error::invalid(format!("invalid 'type' value {other:?}: service or batch"))),
    }
    if let Some(id) = &new.id {
        if !sudo {
            return needs_sudo("specify token id");
        }
        check_id(id)?;
    }
    if new.no_parent && !new.orphan_path && !sudo {
        return needs_sudo("create orphan token");
    }
    if new.period > 0 && !sudo {
        return needs_sudo("create periodic token");
    }
    Ok(())
}

fn check_id(id: &SecretString) -> Result<()> {
    let id = id.expose_secret();
    if id.contains('.') {
        return Err(Error::invalid("custom token ID cannot have a '.' character"));
    }
    if id.is_empty()
        || id.len() > 512
        || id.chars().any(|character| character.is_whitespace() || character.is_control())
    {
        return Err(Error::invalid(
            "custom token ID must have 1 to 512 characters, none of them blank or a control character",
        ));
    }
    Ok(())
}

/// The child's policies: those asked for, or the parent's; within the parent's, unless it has sudo; `default` added.
fn policies_of_child(new: &NewToken, parent: &[String]) -> Result<Vec<String>> {
    let parent_is_root = parent.iter().any(|policy| policy == ROOT_POLICY);
    let sudo = parent_is_root || new.sudo;
    let parent_has_default = parent.iter().any(|policy| policy == DEFAULT_POLICY_NAME);
    let mut policies = if new.policies.is_empty() { parent.to_vec() } else { sanitized(&new.policies) };
    let inherited = new.policies.is_empty();
    if !inherited && !sudo && !policies.iter().all(|policy| parent.contains(policy)) {
        return Err(Error::invalid("child policies must be subset of parent"));
    }
    if policies.iter().any(|policy| policy == ROOT_POLICY) {
        if !parent_is_root {
            return Err(Error::invalid("root tokens may not be created without parent token being root"));
        }
        return Ok(vec![ROOT_POLICY.to_owned()]);
    }
    if new.no_default_policy && inherited {
        policies.retain(|policy| policy != DEFAULT_POLICY_NAME);
    }
    let add_default = !new.no_default_policy && !inherited && (sudo || parent_has_default);
    if add_default && !policies.iter().any(|policy| policy == DEFAULT_POLICY_NAME) {
        policies.push(DEFAULT_POLICY_NAME.to_owned());
    }
    policies.sort_unstable();
    Ok(policies)
}

/// Trimmed, lower case, sorted, each once.
fn sanitized(policies: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        policies.iter().map(|policy| policy.trim().to_lowercase()).filter(|policy| !policy.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// `token`, or `token-<name>` with `-` for what is no letter, digit or `-`.
fn display_name(name: Option<&str>) -> String {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return "token".to_owned() };
    let mut full = String::from("token-");
    let mut replaced = false;
    for character in name.chars() {
        let keep = character.is_ascii_alphanumeric() || character == '-';
        if keep || !replaced {
            full.push(if keep { character } else { '-' });
        }
        replaced = !keep;
    }
    full.strip_suffix('-').unwrap_or(&full).to_owned()
}

/// `None` for 0: never.
pub(super) fn end_after(now: DateTime<Utc>, ttl: u64) -> Option<DateTime<Utc>> {
    let ttl = i64::try_from(ttl).ok().filter(|ttl| *ttl > 0)?;
    now.checked_add_signed(TimeDelta::try_seconds(ttl)?)
}

fn positive(seconds: i64, refusal: &'static str) -> Result<u64> {
    u64::try_from(seconds).map_err(|_| Error::invalid(refusal))
}

fn count(uses: i64) -> Result<u32> {
    if uses < 0 {
        return Err(Error::invalid("number of uses cannot be negative"));
    }
    i32::try_from(uses)
        .ok()
        .and_then(|uses| u32::try_from(uses).ok())
        .ok_or_else(|| Error::invalid("number of uses is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn asked(policies: &[&str]) -> NewToken {
        NewToken { policies: names(policies), ..NewToken::at("auth/token/create") }
    }

    #[test]
    fn a_child_has_no_more_than_its_parent() {
        let parent = names(&["default", "p1", "p2"]);
        assert_eq!(policies_of_child(&asked(&[]), &parent).expect("inherits"), parent);
        assert_eq!(policies_of_child(&asked(&["p2"]), &parent).expect("a subset"), names(&["default", "p2"]));
        let refused = policies_of_child(&asked(&["su"]), &parent).expect_err("not a subset");
        assert_eq!(refused.to_string(), "child policies must be subset of parent");
        assert!(policies_of_child(&asked(&["root"]), &parent).is_err());
        let sudo = NewToken { sudo: true, ..asked(&["su"]) };
        assert_eq!(policies_of_child(&sudo, &parent).expect("sudo may"), names(&["default", "su"]));
        let root_by_sudo = NewToken { sudo: true, ..asked(&["root"]) };
        assert!(policies_of_child(&root_by_sudo, &parent).is_err());
        assert_eq!(policies_of_child(&asked(&["p1"]), &names(&["p1"])).expect("a subset"), names(&["p1"]));
    }

    #[test]
    fn roots_children() {
        let root = names(&["root"]);
        assert_eq!(policies_of_child(&asked(&[]), &root).expect("inherits"), root);
        assert_eq!(policies_of_child(&asked(&["root", "p1"]), &root).expect("root"), root);
        assert_eq!(policies_of_child(&asked(&["P1", " p2 "]), &root).expect("any"), names(&["default", "p1", "p2"]));
        let bare = NewToken { no_default_policy: true, ..asked(&["p1"]) };
        assert_eq!(policies_of_child(&bare, &root).expect("any"), names(&["p1"]));
    }

    #[test]
    fn display_names() {
        assert_eq!(display_name(None), "token");
        assert_eq!(display_name(Some("My App!")), "token-My-App");
        assert_eq!(display_name(Some("a.b-c")), "token-a-b-c");
    }
}
