//! Kinds of second factors: codes by time, and what they are like.

use crate::attempts::Attempts;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::namespace::namespace_id;
use crate::record::add_rows;
use crate::store::{mfa_secrets, system_entries};
use crate::system_entry::{EntryKind, SystemEntry};
use crate::totp::{CodeSettings, checked_issuer};
use audit_chain::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Bytes of a secret: 128 bits at least (RFC 4226, 4), and no more than a hash takes as they are.
const KEY_SIZES: std::ops::RangeInclusive<u64> = 16..=64;
const USUAL_KEY_SIZE: u64 = 20;
const USUAL_ATTEMPTS: u32 = 5;

/// A kind of second factor.
#[derive(Clone, Debug)]
pub struct MfaMethod {
    /// Names it.
    pub id: Uuid,
    /// Its row of `system_entries`.
    pub(super) entry_id: Uuid,
    pub(super) says: MethodDocument,
}

/// What its row says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MethodDocument {
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) key_size: u64,
    pub(super) max_validation_attempts: u32,
    pub(super) codes: CodeSettings,
}

/// Fields of `POST identity/mfa/method/totp`; `None`: as it is, or as usual.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct MfaMethodChange {
    pub method_name: Option<String>,
    pub issuer: Option<String>,
    pub period: Option<u64>,
    pub key_size: Option<u64>,
    pub algorithm: Option<String>,
    pub digits: Option<u64>,
    pub skew: Option<u64>,
    pub max_validation_attempts: Option<u64>,
}

impl MethodDocument {
    fn new() -> Self {
        Self {
            name: String::new(),
            issuer: String::new(),
            key_size: USUAL_KEY_SIZE,
            max_validation_attempts: USUAL_ATTEMPTS,
            codes: CodeSettings::default(),
        }
    }

    fn changed(mut self, change: &MfaMethodChange) -> Result<Self> {
        if let Some(name) = &change.method_name {
            self.name.clone_from(name);
        }
        if let Some(issuer) = &change.issuer {
            self.issuer.clone_from(issuer);
        }
        if self.issuer.is_empty() {
            return Err(Error::invalid("issuer must be set"));
        }
        checked_issuer(&self.issuer)?;
        if self.name.len() > 256 || self.name.contains(':') || self.name.chars().any(char::is_control) {
            return Err(Error::invalid("method_name has at most 256 bytes, no colon and no control characters"));
        }
        if let Some(algorithm) = &change.algorithm {
            self.codes.algorithm.clone_from(algorithm);
        }
        if self.codes.algorithm().is_none() {
            return Err(Error::invalid("algorithm must be one of SHA1, SHA256, SHA512"));
        }
        self.codes.digits = match change.digits {
            None => self.codes.digits,
            Some(6) => 6,
            Some(8) => 8,
            Some(_) => return Err(Error::invalid("digits can only be 6 or 8")),
        };
        self.codes.skew = match change.skew {
            None => self.codes.skew,
            Some(0) => 0,
            Some(1) => 1,
            Some(_) => return Err(Error::invalid("skew must be 0 or 1")),
        };
        self.codes.period = change.period.unwrap_or(self.codes.period);
        if !(1..=3600).contains(&self.codes.period) {
            return Err(Error::invalid("period must be greater than zero, and no longer than an hour"));
        }
        self.key_size = change.key_size.unwrap_or(self.key_size);
        if !KEY_SIZES.contains(&self.key_size) {
            return Err(Error::invalid("key_size must be between 16 and 64 bytes"));
        }
        let attempts = change.max_validation_attempts.map(u32::try_from).transpose();
        let attempts = attempts.map_err(|_| Error::invalid("max_validation_attempts is too large"))?;
        // 0 is the usual, as the clients know it.
        self.max_validation_attempts = match attempts {
            None => self.max_validation_attempts,
            Some(0) => USUAL_ATTEMPTS,
            Some(attempts) => attempts,
        };
        Ok(self)
    }
}

impl MfaMethod {
    pub(super) fn read(entry: &SystemEntry) -> Result<Self> {
        let unreadable = || Error::Internal(format!("the stored MFA method {} cannot be read", entry.id).into());
        let id = Uuid::try_parse(&entry.name).map_err(|_| unreadable())?;
        let says = serde_json::from_value(entry.document.clone()).map_err(|_| unreadable())?;
        Ok(Self { id, entry_id: entry.id, says })
    }

    /// What people call it; may be empty.
    pub fn name(&self) -> &str {
        &self.says.name
    }

    /// As reading it shows it.
    pub fn data(&self, core: &Core, organization_id: Uuid) -> Value {
        let MethodDocument { name, issuer, key_size, max_validation_attempts, codes } = &self.says;
        json!({
            "algorithm": codes.algorithm,
            "digits": codes.digits,
            "id": self.id,
            "issuer": issuer,
            "key_size": key_size,
            "max_validation_attempts": max_validation_attempts,
            "name": name,
            "namespace_id": namespace_id(organization_id),
            "namespace_path": &*core.namespace_path(organization_id),
            "period": codes.period,
            "qr_size": 0,
            "skew": codes.skew,
            "type": "totp",
        })
    }
}

impl Core {
    /// Makes a method, or changes the one with that id, which must be there; its id. Secrets that were given stay what they are.
    pub async fn put_mfa_method(&self, caller: &Caller, id: Option<Uuid>, change: MfaMethodChange) -> Result<Uuid> {
        let organization_id = caller.organization_id;
        let others = self.mfa_methods(organization_id).await?;
        if id.is_some_and(|id| others.iter().all(|method| method.id != id)) {
            return Err(Error::NotFound("no MFA method has that method_id".into()));
        }
        let taken =
            |method: &&MfaMethod| Some(method.id) != id && Some(&method.says.name) == change.method_name.as_ref();
        if let Some(other) = others.iter().find(taken).filter(|other| !other.says.name.is_empty()) {
            return Err(Error::invalid(format!("the method_name {:?} belongs to another method", other.says.name)));
        }
        let id = id.unwrap_or_else(Uuid::new_v4);
        self.put_system_entry(caller, EntryKind::MfaMethod, &id.to_string(), |old| {
            let old = old.map(MfaMethod::read).transpose()?.map_or_else(MethodDocument::new, |method| method.says);
            Ok(json!(old.changed(&change)?))
        })
        .await?;
        self.note_system_change();
        Ok(id)
    }

    /// All methods, by id.
    pub async fn mfa_methods(&self, organization_id: Uuid) -> Result<Vec<MfaMethod>> {
        self.trusted_entries(organization_id, EntryKind::MfaMethod).await?.iter().map(MfaMethod::read).collect()
    }

    /// One.
    pub async fn mfa_method(&self, organization_id: Uuid, id: Uuid) -> Result<Option<MfaMethod>> {
        Ok(self.mfa_methods(organization_id).await?.into_iter().find(|method| method.id == id))
    }

    /// Deletes a method that no enforcement names, with all secrets for it. `false`: there was none.
    pub async fn delete_mfa_method(&self, caller: &Caller, id: Uuid) -> Result<bool> {
        let mut attempts = Attempts::default();
        loop {
            match self.delete_method_once(caller, id).await {
                // Somebody was given a secret for it meanwhile.
                Err(error) if attempts.again(&error) => {}
                other => return other,
            }
        }
    }

    async fn delete_method_once(&self, caller: &Caller, id: Uuid) -> Result<bool> {
        let organization_id = caller.organization_id;
        let Some(method) = self.mfa_method(organization_id, id).await? else { return Ok(false) };
        let enforcements = self.login_enforcements(organization_id).await?;
        if let Some(user) = enforcements.iter().find(|enforcement| enforcement.says.mfa_method_ids.contains(&id)) {
            return Err(Error::invalid(format!(
                "methodID is still used by an enforcement configuration with ID {:?}, name {:?}",
                user.id.to_string(),
                user.name
            )));
        }
        let row = self.store().system_entry(organization_id, EntryKind::MfaMethod.name(), &id.to_string()).await?;
        let Some(row) = row else { return Ok(false) };
        let mut event = self.system_entry_event(caller, "mfa_method.delete", "delete", &row);
        let gone = (system_entries::TABLE, row.id, row.revision + 1, [0; 32]);
        self.change(organization_id, move |connection| {
            Box::pin(async move {
                let mut rows = mfa_secrets::delete_of(connection, method.entry_id).await?;
                rows.push(gone);
                add_rows(&mut event, rows);
                system_entries::delete(connection, &row).await?;
                Ok(((), event))
            })
        })
        .await?;
        self.note_system_change();
        Ok(true)
    }
}
