//! Roles: an authority, which of its certificates, and what logins with them give.

use super::facts::Facts;
use super::verify;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::jwt::pattern;
use crate::login::{TokenSettings, TokenSettingsChange};
use crate::mount::Mount;
use crate::roles::{RoleEvent, RoleKey};
use audit_chain::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const EVENTS: RoleEvent = RoleEvent { write: "cert_role.write", delete: "cert_role.delete", resource: "cert_role" };

/// Whom a certificate makes somebody. In names `*` stands for any text; of each list one must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct CertRole {
    /// PEM: authorities, or certificates of clients themselves.
    pub certificate: String,
    pub display_name: String,
    /// Common name, or a DNS or e-mail name.
    pub allowed_names: Vec<String>,
    pub allowed_common_names: Vec<String>,
    pub allowed_dns_sans: Vec<String>,
    pub allowed_email_sans: Vec<String>,
    pub allowed_uri_sans: Vec<String>,
    pub allowed_organizational_units: Vec<String>,
    pub token: TokenSettings,
}

/// Fields of `POST certs/:name`; `None`: as it is.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct CertRoleChange {
    pub certificate: Option<String>,
    pub display_name: Option<String>,
    pub allowed_names: Option<Vec<String>>,
    pub allowed_common_names: Option<Vec<String>>,
    pub allowed_dns_sans: Option<Vec<String>>,
    pub allowed_email_sans: Option<Vec<String>>,
    pub allowed_uri_sans: Option<Vec<String>>,
    pub allowed_organizational_units: Option<Vec<String>>,
    pub token: TokenSettingsChange,
}

impl CertRole {
    fn changed(mut self, name: &str, change: CertRoleChange) -> Result<Self> {
        self.certificate = change.certificate.unwrap_or(self.certificate);
        self.display_name = change.display_name.unwrap_or(self.display_name);
        self.allowed_names = change.allowed_names.unwrap_or(self.allowed_names);
        self.allowed_common_names = change.allowed_common_names.unwrap_or(self.allowed_common_names);
        self.allowed_dns_sans = change.allowed_dns_sans.unwrap_or(self.allowed_dns_sans);
        self.allowed_email_sans = change.allowed_email_sans.unwrap_or(self.allowed_email_sans);
        self.allowed_uri_sans = change.allowed_uri_sans.unwrap_or(self.allowed_uri_sans);
        self.allowed_organizational_units =
            change.allowed_organizational_units.unwrap_or(self.allowed_organizational_units);
        self.token = self.token.changed(change.token)?;
        verify::trusted(&self.certificate)?;
        if self.display_name.is_empty() {
            name.clone_into(&mut self.display_name);
        }
        Ok(self)
    }

    /// Whether it is meant.
    pub(super) fn fits(&self, facts: &Facts) -> bool {
        let one = |allowed: &[String], names: &[String]| {
            allowed.is_empty() || names.iter().any(|name| allowed.iter().any(|allowed| pattern(allowed, name)))
        };
        let common_name = [facts.common_name.clone()];
        let all: Vec<String> = common_name.iter().chain(&facts.dns).chain(&facts.email).cloned().collect();
        one(&self.allowed_names, &all)
            && one(&self.allowed_common_names, &common_name)
            && one(&self.allowed_dns_sans, &facts.dns)
            && one(&self.allowed_email_sans, &facts.email)
            && one(&self.allowed_uri_sans, &facts.uri)
            && one(&self.allowed_organizational_units, &facts.organizational_units)
    }

    /// As reading it shows it.
    pub fn data(&self) -> Map<String, Value> {
        let Value::Object(mut data) = json!({
            "allowed_common_names": self.allowed_common_names,
            "allowed_dns_sans": self.allowed_dns_sans,
            "allowed_email_sans": self.allowed_email_sans,
            "allowed_metadata_extensions": [],
            "allowed_names": self.allowed_names,
            "allowed_organizational_units": self.allowed_organizational_units,
            "allowed_uri_sans": self.allowed_uri_sans,
            "certificate": self.certificate,
            "display_name": self.display_name,
            "ocsp_enabled": false,
            "required_extensions": [],
        }) else {
            return Map::new();
        };
        data.extend(self.token.data());
        data
    }
}

impl Core {
    /// Makes a role or changes it; it counts for the next login.
    pub async fn put_cert_role(
        &self,
        caller: &Caller,
        mount: &Mount,
        name: &str,
        change: CertRoleChange,
    ) -> Result<()> {
        let change = |old: Option<CertRole>| {
            if old.is_none() && change.certificate.as_ref().is_none_or(String::is_empty) {
                return Err(Error::invalid("failed to parse certificate: none is given"));
            }
            old.unwrap_or_default().changed(name, change.clone())
        };
        self.put_role(caller, &RoleKey::new(mount, name), EVENTS, change).await
    }

    /// A role, if its row is ours.
    pub async fn cert_role(&self, mount: &Mount, name: &str) -> Result<Option<CertRole>> {
        self.role(&RoleKey::new(mount, name)).await
    }

    /// Deletes a role. `false`: there was none.
    pub async fn delete_cert_role(&self, caller: &Caller, mount: &Mount, name: &str) -> Result<bool> {
        self.delete_role(caller, &RoleKey::new(mount, name), EVENTS).await
    }
}
