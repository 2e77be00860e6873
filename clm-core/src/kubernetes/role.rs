//! Roles: which service accounts, and what logins of them give.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::jwt::pattern;
use crate::login::{TokenSettings, TokenSettingsChange};
use crate::mount::Mount;
use crate::roles::{RoleEvent, RoleKey};
use audit_chain::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const EVENTS: RoleEvent =
    RoleEvent { write: "kubernetes_role.write", delete: "kubernetes_role.delete", resource: "kubernetes_role" };

/// Which service accounts, and what tokens are like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct KubernetesRole {
    /// `*` stands for any text.
    pub bound_service_account_names: Vec<String>,
    pub bound_service_account_namespaces: Vec<String>,
    /// Empty: the API server's own.
    pub audience: String,
    /// `serviceaccount_uid` or `serviceaccount_name`; empty: the first.
    pub alias_name_source: String,
    pub token: TokenSettings,
}

/// Fields of `POST role/:name`; `None`: as it is.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct KubernetesRoleChange {
    pub bound_service_account_names: Option<Vec<String>>,
    pub bound_service_account_namespaces: Option<Vec<String>>,
    pub audience: Option<String>,
    pub alias_name_source: Option<String>,
    pub token: TokenSettingsChange,
}

impl KubernetesRole {
    fn changed(mut self, change: KubernetesRoleChange) -> Result<Self> {
        self.bound_service_account_names =
            change.bound_service_account_names.unwrap_or(self.bound_service_account_names);
        self.bound_service_account_namespaces =
            change.bound_service_account_namespaces.unwrap_or(self.bound_service_account_namespaces);
        self.audience = change.audience.unwrap_or(self.audience);
        self.alias_name_source = change.alias_name_source.unwrap_or(self.alias_name_source);
        self.token = self.token.changed(change.token)?;
        for (name, bound) in [
            ("bound_service_account_names", &self.bound_service_account_names),
            ("bound_service_account_namespaces", &self.bound_service_account_namespaces),
        ] {
            if bound.is_empty() {
                return Err(Error::invalid(format!("{name:?} can not be empty")));
            }
            if bound.len() > 1 && bound.iter().any(|one| one == "*") {
                return Err(Error::invalid(format!("can not mix \"*\" with values in {name}")));
            }
        }
        let any = |bound: &[String]| bound.iter().any(|one| one == "*");
        if any(&self.bound_service_account_names) && any(&self.bound_service_account_namespaces) {
            return Err(Error::invalid("service_account_names and service_account_namespaces can not both be \"*\""));
        }
        if !matches!(self.alias_name_source.as_str(), "" | "serviceaccount_uid" | "serviceaccount_name") {
            return Err(Error::invalid(
                "invalid alias_name_source, must be one of: serviceaccount_uid, serviceaccount_name",
            ));
        }
        Ok(self)
    }

    pub(super) fn names_by_name(&self) -> bool {
        self.alias_name_source == "serviceaccount_name"
    }

    /// What keeps a service account out.
    pub(super) fn refuses(&self, namespace: &str, name: &str) -> Option<&'static str> {
        let fits = |bound: &[String], text: &str| bound.iter().any(|one| pattern(one, text));
        if !fits(&self.bound_service_account_names, name) {
            return Some("service account name not authorized");
        }
        (!fits(&self.bound_service_account_namespaces, namespace)).then_some("namespace not authorized")
    }

    /// As reading it shows it.
    pub fn data(&self) -> Map<String, Value> {
        let source = if self.names_by_name() { "serviceaccount_name" } else { "serviceaccount_uid" };
        let Value::Object(mut data) = json!({
            "alias_name_source": source,
            "bound_service_account_names": self.bound_service_account_names,
            "bound_service_account_namespaces": self.bound_service_account_namespaces,
        }) else {
            return Map::new();
        };
        if !self.audience.is_empty() {
            data.insert("audience".into(), json!(self.audience));
        }
        data.extend(self.token.data());
        data
    }
}

impl Core {
    /// Makes a role or changes it; it counts for the next login.
    pub async fn put_kubernetes_role(
        &self,
        caller: &Caller,
        mount: &Mount,
        name: &str,
        change: KubernetesRoleChange,
    ) -> Result<()> {
        let change = |old: Option<KubernetesRole>| old.unwrap_or_default().changed(change.clone());
        self.put_role(caller, &RoleKey::new(mount, name), EVENTS, change).await
    }

    /// A role, if its row is ours.
    pub async fn kubernetes_role(&self, mount: &Mount, name: &str) -> Result<Option<KubernetesRole>> {
        self.role(&RoleKey::new(mount, name)).await
    }

    /// Deletes a role. `false`: there was none.
    pub async fn delete_kubernetes_role(&self, caller: &Caller, mount: &Mount, name: &str) -> Result<bool> {
        self.delete_role(caller, &RoleKey::new(mount, name), EVENTS).await
    }
}
