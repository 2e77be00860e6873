//! What an organization keeps by code, where making it needs both databases: organizations have a key, the inventory has certificates.

use super::{Context, Error, Result};
use crate::crash::CrashPoint;
use audit_chain::Caller;
use clm_core::{Core, RegisteredKind};
use keyvault::Deletable;
use secrecy::SecretString;
use serde_json::{Map, Value};
use uuid::Uuid;

impl Context {
    /// Makes or changes what is kept under a code.
    pub(crate) async fn register(&self, kind: RegisteredKind, code: &str, fields: Map<String, Value>) -> Result<()> {
        let core = &self.services.core;
        match kind {
            RegisteredKind::Organization if !core.organization_is_known(code).await? => {
                core.may_create_organization(&self.caller, code, &fields)?;
                // First its key: an organization that is there can be worked in. Cut off in between, the same again goes on.
                let caller = Caller { organization_id: Core::organization_id(code), ..self.caller.clone() };
                self.services.vault.create_organization_key(&caller).await?;
                CrashPoint::NewOrganizationKeyMade.reached();
                core.create_organization(&self.caller, code, &fields).await?;
            }
            RegisteredKind::Inventory => {
                let fields = self.of_certificate(code, fields).await?;
                core.register(&self.caller, kind, code, &fields).await?;
            }
            _ => core.register(&self.caller, kind, code, &fields).await?,
        }
        Ok(())
    }

    /// A root token of an organization, this once.
    pub(crate) async fn organization_token(&self, code: &str) -> Result<SecretString> {
        Ok(self.services.core.create_organization_token(&self.caller, code).await?)
    }

    /// The fields of the inventory that the certificate says itself, over what people say of it. It must be there.
    async fn of_certificate(&self, code: &str, mut fields: Map<String, Value>) -> Result<Map<String, Value>> {
        let organization = self.caller.organization_id;
        let found = match Uuid::try_parse(code) {
            Ok(id) => self.services.vault.shown(organization, Deletable::Certificate, id).await?,
            Err(_) => None,
        };
        let Some(certificate) = found else {
            return Err(Error::invalid(format!("this organization has no certificate {code}")));
        };
        for name in ["common_name", "certificate_type", "status", "not_before", "not_after"] {
            let said = certificate.get(name).cloned();
            fields
                .insert(name.to_owned(), said.ok_or_else(|| Error::Internal(format!("a certificate without {name}")))?);
        }
        Ok(fields)
    }
}
