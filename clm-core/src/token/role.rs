//! Token roles: `auth/token/roles/:name`, what tokens made through one are like.

use crate::access::glob;
use crate::cidr;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::roles::{RoleEvent, RoleKey};
use audit_chain::Caller;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What a role says. Times in seconds, 0: none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct TokenRole {
    pub allowed_policies: Vec<String>,
    pub allowed_policies_glob: Vec<String>,
    pub disallowed_policies: Vec<String>,
    pub disallowed_policies_glob: Vec<String>,
    pub orphan: bool,
    pub renewable: bool,
    pub path_suffix: String,
    /// Under its old name, which clients that used it read back.
    pub period: u64,
    pub token_period: u64,
    /// Under its old name, which clients that used it read back.
    pub explicit_max_ttl: u64,
    pub token_explicit_max_ttl: u64,
    /// Under its old name, which clients that used it read back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bound_cidrs: Vec<IpNet>,
    pub token_bound_cidrs: Vec<IpNet>,
    pub token_no_default_policy: bool,
    pub token_num_uses: u32,
    /// `service`, `batch`, `default-service` or `default-batch`.
    pub token_type: String,
    /// By which names tokens may be for somebody else, lower case, `*` being any text; none: by no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_entity_aliases: Option<Vec<String>>,
}

impl Default for TokenRole {
    fn default() -> Self {
        Self {
            allowed_policies: Vec::new(),
            allowed_policies_glob: Vec::new(),
            disallowed_policies: Vec::new(),
            disallowed_policies_glob: Vec::new(),
            orphan: false,
            renewable: true,
            path_suffix: String::new(),
            period: 0,
            token_period: 0,
            explicit_max_ttl: 0,
            token_explicit_max_ttl: 0,
            bound_cidrs: Vec::new(),
            token_bound_cidrs: Vec::new(),
            token_no_default_policy: false,
            token_num_uses: 0,
            token_type: "default-service".into(),
            allowed_entity_aliases: None,
        }
    }
}

/// Fields of `POST auth/token/roles/:name`; `None`: as it is. Times in seconds.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct TokenRoleChange {
    pub allowed_policies: Option<Vec<String>>,
    pub allowed_policies_glob: Option<Vec<String>>,
    pub disallowed_policies: Option<Vec<String>>,
    pub disallowed_policies_glob: Option<Vec<String>>,
    pub orphan: Option<bool>,
    pub renewable: Option<bool>,
    pub path_suffix: Option<String>,
    pub period: Option<u64>,
    pub token_period: Option<u64>,
    pub explicit_max_ttl: Option<u64>,
    pub token_explicit_max_ttl: Option<u64>,
    pub bound_cidrs: Option<Vec<String>>,
    pub token_bound_cidrs: Option<Vec<String>>,
    pub token_no_default_policy: Option<bool>,
    pub token_num_uses: Option<u32>,
    pub token_type: Option<String>,
    pub allowed_entity_aliases: Option<Vec<String>>,
}

impl TokenRole {
    /// Whether it decides which policies a token may have.
    pub(super) fn names_policies(&self) -> bool {
        self.is_restrictive() || !self.disallowed_policies.is_empty() || !self.disallowed_policies_glob.is_empty()
    }

    pub(super) fn is_restrictive(&self) -> bool {
        !self.allowed_policies.is_empty() || !self.allowed_policies_glob.is_empty()
    }

    pub(super) fn allows(&self, policy: &str) -> bool {
        named(&self.allowed_policies, &self.allowed_policies_glob, policy)
    }

    pub(super) fn disallows(&self, policy: &str) -> bool {
        named(&self.disallowed_policies, &self.disallowed_policies_glob, policy)
    }

    /// Whether a token made through it may be for whom auth/token knows by this name.
    pub(super) fn allows_alias(&self, alias: &str) -> bool {
        let alias = alias.to_lowercase();
        self.allowed_entity_aliases.iter().flatten().any(|pattern| glob(pattern, &alias))
    }

    /// Whether a token made through it is a batch token, when its maker asked for `wanted`.
    pub(super) fn makes_batch(&self, wanted: Option<bool>) -> bool {
        match self.token_type.as_str() {
            "batch" => true,
            "service" => false,
            other => wanted.unwrap_or(other == "default-batch"),
        }
    }

    /// As `GET auth/token/roles/:name` shows it.
    pub fn data(&self, name: &str) -> Map<String, Value> {
        let Value::Object(mut data) = json!({
            "allowed_entity_aliases": self.allowed_entity_aliases,
            "allowed_policies": self.allowed_policies,
            "allowed_policies_glob": self.allowed_policies_glob,
            "disallowed_policies": self.disallowed_policies,
            "disallowed_policies_glob": self.disallowed_policies_glob,
            "explicit_max_ttl": self.explicit_max_ttl,
            "name": name,
            "orphan": self.orphan,
            "path_suffix": self.path_suffix,
            "period": self.period,
            "renewable": self.renewable,
            "token_explicit_max_ttl": self.token_explicit_max_ttl,
            "token_no_default_policy": self.token_no_default_policy,
            "token_period": self.token_period,
            "token_type": self.token_type,
        }) else {
            return Map::new();
        };
        for (name, networks) in [("bound_cidrs", &self.bound_cidrs), ("token_bound_cidrs", &self.token_bound_cidrs)] {
            if !networks.is_empty() {
                data.insert(name.into(), networks.iter().map(cidr::shown).collect::<Vec<_>>().into());
            }
        }
        if self.token_num_uses > 0 {
            data.insert("token_num_uses".into(), self.token_num_uses.into());
        }
        data
    }

    fn changed(mut self, change: TokenRoleChange) -> Result<Self> {
        let set = |field: &mut Vec<String>, value: Option<Vec<String>>| {
            if let Some(value) = value {
                *field = super::child_policies::sanitized(&value);
            }
        };
        set(&mut self.allowed_policies, change.allowed_policies);
        set(&mut self.allowed_policies_glob, change.allowed_policies_glob);
        set(&mut self.disallowed_policies, change.disallowed_policies);
        set(&mut self.disallowed_policies_glob, change.disallowed_policies_glob);
        self.orphan = change.orphan.unwrap_or(self.orphan);
        self.renewable = change.renewable.unwrap_or(self.renewable);
        if let Some(suffix) = change.path_suffix {
            if !suffix.chars().all(|character| character.is_ascii_alphanumeric() || "-_./".contains(character))
                || suffix.contains("..")
            {
                return Err(Error::invalid(
                    "path_suffix holds letters, digits and -_./ alone, and no `..`: it becomes the end of a path",
                ));
            }
            self.path_suffix = suffix;
        }
        old_and_new((&mut self.period, change.period), (&mut self.token_period, change.token_period));
        old_and_new(
            (&mut self.explicit_max_ttl, change.explicit_max_ttl),
            (&mut self.token_explicit_max_ttl, change.token_explicit_max_ttl),
        );
        let networks = |texts: Option<Vec<String>>| texts.map(|texts| cidr::parse_all(&texts)).transpose();
        old_and_new(
            (&mut self.bound_cidrs, networks(change.bound_cidrs)?),
            (&mut self.token_bound_cidrs, networks(change.token_bound_cidrs)?),
        );
        if let Some(aliases) = change.allowed_entity_aliases {
            self.allowed_entity_aliases = Some(super::child_policies::sanitized(&aliases));
        }
        self.token_no_default_policy = change.token_no_default_policy.unwrap_or(self.token_no_default_policy);
        self.token_num_uses = change.token_num_uses.unwrap_or(self.token_num_uses);
        if let Some(token_type) = change.token_type.filter(|token_type| !token_type.is_empty()) {
            if !["service", "batch", "default-service", "default-batch"].contains(&token_type.as_str()) {
                return Err(Error::invalid(format!(
                    "invalid 'token_type' value {token_type:?}: service, batch, default-service or default-batch"
                )));
            }
            self.token_type = token_type;
        }
        self.check()
    }

    fn check(self) -> Result<Self> {
        if self.token_type == "batch" {
            let unfit = [
                (!self.orphan, "non-orphan tokens"),
                (self.token_period > 0, "periodic tokens"),
                (self.renewable, "renewable tokens"),
                (self.token_explicit_max_ttl > 0, "tokens with an explicit max TTL"),
                (self.token_num_uses > 0, "tokens with limited use count"),
            ];
            if let Some((_, what)) = unfit.into_iter().find(|(is, _)| *is) {
                return Err(Error::invalid(format!(
                    "'token_type' cannot be 'batch' when role is set to generate {what}"
                )));
            }
        }
        Ok(self)
    }
}

/// The old name sets both, the new one takes the old one back.
fn old_and_new<T: Clone + Default>((old, by_old): (&mut T, Option<T>), (new, by_new): (&mut T, Option<T>)) {
    match (by_old, by_new) {
        (_, Some(value)) => (*old, *new) = (T::default(), value),
        (Some(value), None) => (*old, *new) = (value.clone(), value),
        (None, None) => {}
    }
}

fn named(names: &[String], globs: &[String], policy: &str) -> bool {
    names.iter().any(|name| name == policy) || globs.iter().any(|pattern| glob(pattern, policy))
}

const EVENTS: RoleEvent = RoleEvent { write: "token_role.write", delete: "token_role.delete", resource: "token_role" };

impl Core {
    /// Makes a role, or changes the fields that are named.
    pub async fn put_token_role(&self, caller: &Caller, name: &str, change: TokenRoleChange) -> Result<()> {
        let key = self.token_role_key(caller.organization_id, name);
        self.put_role(caller, &key, EVENTS, |old: Option<TokenRole>| old.unwrap_or_default().changed(change.clone()))
            .await
    }

    /// A role.
    pub async fn token_role(&self, organization_id: Uuid, name: &str) -> Result<Option<TokenRole>> {
        self.role(&self.token_role_key(organization_id, name)).await
    }

    /// Names of all roles, sorted.
    pub async fn list_token_roles(&self, organization_id: Uuid) -> Result<Vec<String>> {
        let key = self.token_role_key(organization_id, "");
        Ok(self.store().auth_role_names(organization_id, key.mount_id).await?)
    }

    /// Deletes a role; tokens made through it live on, but are not renewed. `false`: there was none.
    pub async fn delete_token_role(&self, caller: &Caller, name: &str) -> Result<bool> {
        self.delete_role(caller, &self.token_role_key(caller.organization_id, name), EVENTS).await
    }

    fn token_role_key(&self, organization_id: Uuid, name: &str) -> RoleKey {
        RoleKey { organization_id, mount_id: crate::mount::token_mount_id(organization_id), name: name.to_lowercase() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_read_back_until_the_new_one_is_used() {
        let role = TokenRole::default();
        let by_old = role.changed(TokenRoleChange { period: Some(60), ..Default::default() }).expect("valid");
        assert_eq!((by_old.period, by_old.token_period), (60, 60));
        let by_new = by_old.changed(TokenRoleChange { token_period: Some(90), ..Default::default() }).expect("valid");
        assert_eq!((by_new.period, by_new.token_period), (0, 90));
        let kept = by_new.clone().changed(TokenRoleChange::default()).expect("valid");
        assert_eq!(kept, by_new);
    }

    #[test]
    fn the_old_name_of_networks_bounds_tokens_as_the_new_one_does() {
        let by_old = TokenRoleChange { bound_cidrs: Some(vec!["10.0.0.1".into()]), ..Default::default() };
        let role = TokenRole::default().changed(by_old).expect("valid");
        let data = role.data("r");
        assert_eq!((&data["bound_cidrs"], &data["token_bound_cidrs"]), (&json!(["10.0.0.1"]), &json!(["10.0.0.1"])));
        let by_new = TokenRoleChange { token_bound_cidrs: Some(vec!["10.0.0.2".into()]), ..Default::default() };
        let data = role.changed(by_new).expect("valid").data("r");
        assert_eq!((data.get("bound_cidrs"), &data["token_bound_cidrs"]), (None, &json!(["10.0.0.2"])));
    }

    #[test]
    fn a_role_allows_aliases_by_name_or_pattern_in_any_case() {
        let allowing = |aliases: &[&str]| {
            let aliases = Some(aliases.iter().map(|alias| (*alias).to_owned()).collect());
            let change = TokenRoleChange { allowed_entity_aliases: aliases, ..Default::default() };
            TokenRole::default().changed(change).expect("valid")
        };
        let role = allowing(&["Bob", " team-*-x "]);
        assert_eq!(role.data("r")["allowed_entity_aliases"], json!(["bob", "team-*-x"]));
        for (alias, allowed) in [("bob", true), ("BOB", true), ("bobby", false), ("Team-A-x", true), ("team-a", false)]
        {
            assert_eq!(role.allows_alias(alias), allowed, "{alias}");
        }
        for nothing in [TokenRole::default(), allowing(&[])] {
            assert!(!nothing.allows_alias("bob") && !nothing.allows_alias(""));
        }
        assert_eq!(TokenRole::default().data("r")["allowed_entity_aliases"], json!(null));
        assert_eq!(allowing(&[]).data("r")["allowed_entity_aliases"], json!([]));
        // Rows of roles that never said anything of it are what they were.
        assert!(!serde_json::to_string(&TokenRole::default()).expect("JSON").contains("aliases"));
    }

    #[test]
    fn a_batch_role_makes_what_a_batch_token_can_be() {
        let batch = || TokenRoleChange { token_type: Some("batch".into()), ..Default::default() };
        assert!(TokenRole::default().changed(batch()).is_err());
        let fit = TokenRoleChange { orphan: Some(true), renewable: Some(false), ..batch() };
        assert!(TokenRole::default().changed(fit.clone()).expect("valid").makes_batch(Some(false)));
        assert!(TokenRole::default().changed(TokenRoleChange { token_num_uses: Some(1), ..fit }).is_err());
        let weird = TokenRoleChange { token_type: Some("weird".into()), ..Default::default() };
        assert!(TokenRole::default().changed(weird).is_err());
        for suffix in ["a b", "a/../b", "ä"] {
            let change = TokenRoleChange { path_suffix: Some(suffix.into()), ..Default::default() };
            assert!(TokenRole::default().changed(change).is_err(), "{suffix}");
        }
    }
}
