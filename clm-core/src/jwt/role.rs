//! Roles: which tokens are good, and what logins with them give.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::login::{TokenSettings, TokenSettingsChange};
use crate::mount::Mount;
use crate::roles::{RoleEvent, RoleKey};
use audit_chain::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const EVENTS: RoleEvent = RoleEvent { write: "jwt_role.write", delete: "jwt_role.delete", resource: "jwt_role" };

const OIDC: &str = "oidc";

/// What tokens must be like, and what they give. Times in seconds, 0: the usual, below: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct JwtRole {
    /// `jwt`: somebody brings a token; `oidc`: a browser is sent for one. Empty: `jwt`.
    pub role_type: String,
    /// Where a browser may be sent back to.
    pub allowed_redirect_uris: Vec<String>,
    /// Asked for beside `openid`.
    pub oidc_scopes: Vec<String>,
    /// How long ago the provider may have asked for a password, seconds; 0: any time.
    pub max_age: u64,
    pub bound_audiences: Vec<String>,
    pub bound_subject: String,
    /// Values by claim, or by JSON pointer.
    pub bound_claims: Map<String, Value>,
    /// `string` or `glob`; empty: `string`.
    pub bound_claims_type: String,
    pub user_claim: String,
    pub groups_claim: String,
    /// Keys of metadata by claim.
    pub claim_mappings: BTreeMap<String, String>,
    pub expiration_leeway: i64,
    pub not_before_leeway: i64,
    pub clock_skew_leeway: i64,
    pub token: TokenSettings,
}

/// Fields of `POST role/:name`; `None`: as it is.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct JwtRoleChange {
    pub role_type: Option<String>,
    pub allowed_redirect_uris: Option<Vec<String>>,
    pub oidc_scopes: Option<Vec<String>>,
    pub max_age: Option<u64>,
    pub bound_audiences: Option<Vec<String>>,
    pub bound_subject: Option<String>,
    pub bound_claims: Option<Map<String, Value>>,
    pub bound_claims_type: Option<String>,
    pub user_claim: Option<String>,
    pub groups_claim: Option<String>,
    pub claim_mappings: Option<BTreeMap<String, String>>,
    pub expiration_leeway: Option<i64>,
    pub not_before_leeway: Option<i64>,
    pub clock_skew_leeway: Option<i64>,
    pub token: TokenSettingsChange,
}

impl JwtRole {
    fn changed(mut self, change: JwtRoleChange) -> Result<Self> {
        self.allowed_redirect_uris = change.allowed_redirect_uris.unwrap_or(self.allowed_redirect_uris);
        self.oidc_scopes = change.oidc_scopes.unwrap_or(self.oidc_scopes);
        self.max_age = change.max_age.unwrap_or(self.max_age);
        match change.role_type.filter(|role_type| !role_type.is_empty()) {
            Some(role_type) => self.role_type = role_type,
            // Whoever says where browsers come back to means that they are sent.
            None if self.role_type.is_empty() && !self.allowed_redirect_uris.is_empty() => {
                OIDC.clone_into(&mut self.role_type)
            }
            None => {}
        }
        self.bound_audiences = change.bound_audiences.unwrap_or(self.bound_audiences);
        self.bound_subject = change.bound_subject.unwrap_or(self.bound_subject);
        self.bound_claims = change.bound_claims.unwrap_or(self.bound_claims);
        self.bound_claims_type = change.bound_claims_type.unwrap_or(self.bound_claims_type);
        self.user_claim = change.user_claim.unwrap_or(self.user_claim);
        self.groups_claim = change.groups_claim.unwrap_or(self.groups_claim);
        self.claim_mappings = change.claim_mappings.unwrap_or(self.claim_mappings);
        self.expiration_leeway = change.expiration_leeway.unwrap_or(self.expiration_leeway);
        self.not_before_leeway = change.not_before_leeway.unwrap_or(self.not_before_leeway);
        self.clock_skew_leeway = change.clock_skew_leeway.unwrap_or(self.clock_skew_leeway);
        self.token = self.token.changed(change.token)?;
        self.check()
    }

    fn check(self) -> Result<Self> {
        if !matches!(self.role_type.as_str(), "" | "jwt" | OIDC) {
            return Err(Error::invalid(format!("invalid 'role_type': {}", self.role_type)));
        }
        if self.is_oidc() && self.allowed_redirect_uris.is_empty() {
            return Err(Error::invalid("'allowed_redirect_uris' must be set if 'role_type' is 'oidc'"));
        }
        if let Some(scope) = self.oidc_scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(Error::invalid(format!("{scope:?} is no scope (RFC 6749, 3.3)")));
        }
        if self.user_claim.is_empty() {
            return Err(Error::invalid("a user claim must be defined on the role"));
        }
        if !matches!(self.bound_claims_type.as_str(), "" | "string" | "glob") {
            return Err(Error::invalid(format!("invalid 'bound_claims_type': {}", self.bound_claims_type)));
        }
        let is_value = |value: &Value| !value.is_object() && !value.is_null();
        let fits =
            |value: &Value| value.as_array().map_or_else(|| is_value(value), |values| values.iter().all(is_value));
        if let Some((name, _)) = self.bound_claims.iter().find(|(_, value)| !fits(value)) {
            return Err(Error::invalid(format!("bound claim {name:?} should be a value, or a list of values")));
        }
        let bound = !self.bound_audiences.is_empty()
            || !self.bound_subject.is_empty()
            || !self.bound_claims.is_empty()
            || !self.token.bound_cidrs.is_empty();
        // The ID token of a browser's login is for this service and for nobody else, whatever the role says.
        if !bound && !self.is_oidc() {
            return Err(Error::invalid("must have at least one bound constraint when creating/updating a role"));
        }
        let mut keys: Vec<&String> = self.claim_mappings.values().collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) || keys.iter().any(|key| *key == "role") {
            return Err(Error::invalid("claim_mappings: each key of metadata may be named once, and `role` is taken"));
        }
        Ok(self)
    }

    pub(super) fn is_oidc(&self) -> bool {
        self.role_type == OIDC
    }

    /// As reading it shows it.
    pub fn data(&self) -> Map<String, Value> {
        let listed = |texts: &[String]| if texts.is_empty() { Value::Null } else { json!(texts) };
        let Value::Object(mut data) = json!({
            "allowed_redirect_uris": self.allowed_redirect_uris,
            "bound_audiences": self.bound_audiences,
            "bound_claims": self.bound_claims,
            "bound_claims_type": if self.bound_claims_type.is_empty() { "string" } else { &self.bound_claims_type },
            "bound_subject": self.bound_subject,
            "claim_mappings": self.claim_mappings,
            "clock_skew_leeway": self.clock_skew_leeway,
            "expiration_leeway": self.expiration_leeway,
            "groups_claim": self.groups_claim,
            "max_age": self.max_age,
            "not_before_leeway": self.not_before_leeway,
            "oidc_scopes": listed(&self.oidc_scopes),
            "role_type": if self.role_type.is_empty() { "jwt" } else { &self.role_type },
            "user_claim": self.user_claim,
            "user_claim_json_pointer": self.user_claim.starts_with('/'),
            "verbose_oidc_logging": false,
        }) else {
            return Map::new();
        };
        data.extend(self.token.data());
        data
    }
}

/// NQCHAR but for quotes, RFC 6749, A.4.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
}

impl Core {
    /// Makes a role or changes it; it counts for the next login.
    pub async fn put_jwt_role(&self, caller: &Caller, mount: &Mount, name: &str, change: JwtRoleChange) -> Result<()> {
        let change = |old: Option<JwtRole>| old.unwrap_or_default().changed(change.clone());
        self.put_role(caller, &RoleKey::new(mount, name), EVENTS, change).await
    }

    /// A role, if its row is ours.
    pub async fn jwt_role(&self, mount: &Mount, name: &str) -> Result<Option<JwtRole>> {
        self.role(&RoleKey::new(mount, name)).await
    }

    /// Deletes a role. `false`: there was none.
    pub async fn delete_jwt_role(&self, caller: &Caller, mount: &Mount, name: &str) -> Result<bool> {
        self.delete_role(caller, &RoleKey::new(mount, name), EVENTS).await
    }
}
