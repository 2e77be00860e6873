//! An entity's secret for a method: made, taken away, and held against what was typed.

use super::enforcement::RequiredFactor;
use super::method::MfaMethod;
use crate::attempts::Attempts;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::store::{SecretRow, StoreError, mfa_secrets};
use crate::totp::{CodeSettings, TotpEnrolment, random};
use audit_chain::{Caller, Event, Outcome, Severity, Value};
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

/// A code that somebody sent, and for what.
#[derive(Clone, Debug)]
pub struct PresentedFactor {
    /// Id or name of a method; of a header it may be empty.
    pub method: String,
    /// As typed.
    pub code: SecretString,
}

/// What is sealed: later changes of the method leave it what it is.
#[derive(Serialize, Deserialize)]
struct Sealed {
    /// Hexadecimal.
    secret: Zeroizing<String>,
    codes: CodeSettings,
}

/// Codes that a login takes: whose, and of which time step.
pub(crate) type Spent = Vec<(SecretRow, i64)>;

impl PresentedFactor {
    /// Whether it is for the method with that id and name.
    pub(crate) fn names(&self, id: Uuid, name: &str) -> bool {
        !self.method.is_empty() && (self.method == name || Uuid::try_parse(&self.method).is_ok_and(|named| named == id))
    }
}

impl Core {
    /// A secret of an entity for a method, shown this once. `None`: it has one, which must be taken away first.
    pub async fn generate_mfa_secret(
        &self,
        caller: &Caller,
        method_id: Uuid,
        entity_id: Uuid,
    ) -> Result<Option<TotpEnrolment>> {
        let mut attempts = Attempts::default();
        loop {
            match self.generate_once(caller, method_id, entity_id).await {
                // It became another, whose secret it is then; or it is no more, nor maybe the method.
                Err(error) if attempts.again(&error) => {}
                other => return other,
            }
        }
    }

    async fn generate_once(&self, caller: &Caller, method_id: Uuid, entity_id: Uuid) -> Result<Option<TotpEnrolment>> {
        let organization_id = caller.organization_id;
        let method = self.method_for(organization_id, method_id).await?;
        let entity =
            self.entity(organization_id, entity_id).await?.ok_or_else(|| Error::invalid("invalid entity ID"))?;
        let secret = random(usize::try_from(method.says.key_size).unwrap_or(20))?;
        let codes = method.says.codes.clone();
        let enrolment = codes.enrolment(&secret, &method.says.issuer, &entity.name)?;
        let sealed = Sealed { secret: Zeroizing::new(hex::encode(&*secret)), codes };
        let sealed = serde_json::to_vec(&sealed).map_err(|_| Error::Internal("second factor".into()))?;
        let mut row = SecretRow {
            id: Uuid::now_v7(),
            organization_id,
            entity_id: entity.id,
            method_id: method.entry_id,
            secret: Vec::new(),
            last_step: None,
            failed_attempts: 0,
            last_failed_at: None,
            revision: 1,
            row_mac: [0; 32],
        };
        row.secret = self.sealed(organization_id, &row.context(), sealed).await?;
        row.row_mac = self.row_mac(row.bound_bytes()).await?;
        let mut event = self.factor_event(caller, ("mfa_secret.generate", "generate"), method_id, entity.id);
        add_rows(&mut event, [(mfa_secrets::TABLE, row.id, row.revision, row.row_mac)]);
        let made = self
            .change(organization_id, move |connection| {
                Box::pin(async move { mfa_secrets::insert(connection, &row).await.map(|()| ((), event)) })
            })
            .await;
        match made {
            Err(Error::Database(StoreError::Taken { .. })) => Ok(None),
            other => other.map(|()| Some(enrolment)),
        }
    }

    /// Takes an entity's secret away. `false`: it had none.
    pub async fn destroy_mfa_secret(&self, caller: &Caller, method_id: Uuid, entity_id: Uuid) -> Result<bool> {
        let mut attempts = Attempts::default();
        loop {
            match self.destroy_once(caller, method_id, entity_id).await {
                Err(error) if attempts.again(&error) => {}
                other => return other,
            }
        }
    }

    async fn destroy_once(&self, caller: &Caller, method_id: Uuid, entity_id: Uuid) -> Result<bool> {
        let organization_id = caller.organization_id;
        let method = self.method_for(organization_id, method_id).await?;
        let entity =
            self.entity(organization_id, entity_id).await?.ok_or_else(|| Error::invalid("invalid entity ID"))?;
        let Some(row) = self.store().mfa_secret(organization_id, entity.id, method.entry_id).await? else {
            return Ok(false);
        };
        let mut event = self.factor_event(caller, ("mfa_secret.destroy", "destroy"), method_id, entity.id);
        self.change(organization_id, move |connection| {
            Box::pin(async move {
                let gone = mfa_secrets::delete(connection, &row).await?;
                add_rows(&mut event, [gone]);
                Ok(((), event))
            })
        })
        .await?;
        Ok(true)
    }

    /// The codes that satisfy all that is required; a wrong one is counted, and refused without saying which it was.
    pub(crate) async fn satisfied(
        &self,
        caller: &Caller,
        entity_id: Uuid,
        required: &[RequiredFactor],
        presented: &[PresentedFactor],
    ) -> Result<Spent> {
        let methods = self.mfa_methods(caller.organization_id).await?;
        let mut spent = Spent::new();
        for required in required {
            let mut good = false;
            for method in required.among(&methods) {
                good = good || spent.iter().any(|(row, _)| row.method_id == method.entry_id);
                // One try for each.
                if !good
                    && let Some(typed) = presented.iter().find(|presented| presented.names(method.id, method.name()))
                {
                    let taken = self.taken_code(caller, entity_id, method, &typed.code).await?;
                    good = taken.is_some();
                    spent.extend(taken);
                }
            }
            if !good {
                let ids: Vec<_> = required.methods.iter().map(|(id, _)| id.to_string()).collect();
                return Err(Error::Forbidden(
                    format!("login MFA validation failed for methodID: [{}]", ids.join(" ")).into(),
                ));
            }
        }
        Ok(spent)
    }

    /// The secret whose code it is, and the time step. Too many wrong ones, and none is taken for a while.
    async fn taken_code(
        &self,
        caller: &Caller,
        entity_id: Uuid,
        method: &MfaMethod,
        typed: &SecretString,
    ) -> Result<Option<(SecretRow, i64)>> {
        let organization_id = caller.organization_id;
        let Some(row) = self.store().mfa_secret(organization_id, entity_id, method.entry_id).await? else {
            return Ok(None);
        };
        self.check_row((mfa_secrets::TABLE, organization_id, row.id), row.bound_bytes(), &row.row_mac).await?;
        let (now, most) = (self.now(), method.says.max_validation_attempts);
        let pause = i64::try_from(self.settings().lockout_seconds).ok().and_then(TimeDelta::try_seconds);
        let pause = pause.unwrap_or(TimeDelta::days(36_500));
        let is_recent = row.last_failed_at.is_some_and(|last| now - last < pause);
        if row.failed_attempts >= most && is_recent {
            return Ok(None);
        }
        let opened = self.opened(organization_id, &row.context(), row.secret.clone()).await?;
        let unreadable = || Error::Internal("a second factor's secret cannot be read".into());
        let Sealed { secret, codes } = serde_json::from_slice(&opened).map_err(|_| unreadable())?;
        let secret = Zeroizing::new(hex::decode(&*secret).map_err(|_| unreadable())?);
        let step = codes.taken(&secret, typed.expose_secret().trim(), now)?;
        if let Some(step) = step.filter(|step| row.last_step.is_none_or(|last| last < *step)) {
            return Ok(Some((row, step)));
        }
        let failures = self.store().count_wrong_code(organization_id, row.id, now, now - pause).await?;
        if failures == most {
            tracing::warn!(entity = %entity_id, alarm = "login_lockout", "a second factor is locked after too many wrong codes");
            let mut event = self.factor_event(caller, ("mfa_secret.lock", "lock"), method.id, entity_id);
            // It tells of many logins, not how this one ended: that is counted.
            event.arrival = None;
            event.outcome = Outcome::Failure;
            event.severity = Severity::Warning;
            event.error_message = Some("too many wrong codes".into());
            event.data.insert("failures".into(), Value::Integer(failures.into()));
            self.audit().append(event).await.map_err(Error::Audit)?;
        }
        Ok(None)
    }

    async fn method_for(&self, organization_id: Uuid, id: Uuid) -> Result<MfaMethod> {
        let method = self.mfa_method(organization_id, id).await?;
        method.ok_or_else(|| Error::invalid("no MFA method has that method_id"))
    }

    fn factor_event(
        &self,
        caller: &Caller,
        (event_type, action): (&'static str, &'static str),
        method_id: Uuid,
        entity_id: Uuid,
    ) -> Event {
        let who = ("entity", Some(entity_id.to_string()));
        let mut event = self.event(caller, event_type, "user_management", who, action);
        event.data.insert("method_id".into(), Value::Text(method_id.to_string().into()));
        event
    }
}
