//! Logins whose first factor was good, and which wait for the second one: five minutes, for whoever began, at any server, once.

use super::enforcement::RequiredFactor;
use super::factor::{PresentedFactor, Spent};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::Recognised;
use crate::login::{Awaited, Grounds, Login, Terms, Visitor};
use crate::record::add_rows;
use crate::store::{StoreError, mfa_secrets, pending_logins};
use crate::token::{IssuedToken, Warning};
use audit_chain::Value;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::net::IpAddr;
use uuid::Uuid;

const WAITS: TimeDelta = TimeDelta::minutes(5);
/// What clients are told beside it.
const WARNING: &str = "A login request was issued that is subject to MFA validation. Please make sure to validate the login by sending another request to mfa/validate endpoint.";

/// What a login that waits is told.
#[derive(Clone, Debug)]
pub struct MfaRequirement {
    /// To be shown with the codes.
    pub request_id: String,
    /// All of these are needed.
    pub required: Vec<RequiredFactor>,
}

/// Fields of `POST sys/mfa/validate`.
#[derive(Clone, Debug)]
pub struct MfaValidation {
    /// As the login was told.
    pub request_id: String,
    /// Codes, by method.
    pub presented: Vec<PresentedFactor>,
}

/// A login that waits. In a row of the database, encrypted.
#[derive(Serialize, Deserialize)]
struct Suspended {
    #[serde(flatten)]
    terms: Terms,
    source: Option<IpAddr>,
    entity_id: Uuid,
    required: Vec<RequiredFactor>,
}

impl Core {
    /// Has a login wait: what it spends and who it is are written now, and that it waits.
    pub(crate) async fn suspend(
        &self,
        visitor: &Visitor,
        login: &Login<'_>,
        recognised: Recognised,
        required: Vec<RequiredFactor>,
    ) -> Result<(MfaRequirement, Vec<Warning>)> {
        let mount = login.mount;
        if mount.mount_type == "api-key" {
            return Err(Error::Forbidden(
                "this API key's login needs a second factor in the same request: send it in the header X-Vault-MFA"
                    .into(),
            ));
        }
        let who = ("login_method", Some(mount.path.clone()));
        let mut event = self.event(&login.caller(visitor), "login.suspend", "authentication", who, "suspend");
        login.tell(&mut event);
        let mut add = |name: &str, text: String| event.data.insert(name.into(), Value::Text(text.into()));
        add("login", login.terms.event_type.to_string());
        add("entity_id", recognised.entity_id.to_string());
        let suspended = Suspended {
            terms: login.terms.clone(),
            source: visitor.source.map(|source| source.to_canonical()),
            entity_id: recognised.entity_id,
            required: required.clone(),
        };
        let request_id = Uuid::new_v4().to_string();
        let end = self.now() + WAITS;
        // What is good until then gives no token after.
        let good_until = login.secret_id.and_then(|(_, good_until)| good_until);
        let end = good_until.map_or(end, |good_until| end.min(good_until));
        let secret_id = login.secret_id.map(|(id, _)| id);
        let row = self.pending_login((mount, secret_id), Awaited::Mfa, &request_id, &suspended, end).await?;
        let (grounds, most) = (Grounds::of(login), self.room_to_wait(mount).await?);
        self.change(mount.organization_id, move |connection| {
            Box::pin(async move {
                let mut rows = grounds.take(connection).await?;
                rows.extend(recognised.write(connection).await?);
                pending_logins::insert(connection, &row, most).await?;
                add_rows(&mut event, rows);
                Ok(((), event))
            })
        })
        .await?;
        Ok((MfaRequirement { request_id, required }, vec![WARNING.to_owned()]))
    }

    /// Gives the token of a login that waits, for the codes that it waits for. A refusal is counted.
    pub async fn validate_mfa(
        &self,
        visitor: &Visitor,
        validation: MfaValidation,
    ) -> Result<(IssuedToken, Vec<Warning>)> {
        let given = self.try_validate(visitor, validation).await;
        self.counted(visitor, given).await
    }

    async fn try_validate(&self, visitor: &Visitor, validation: MfaValidation) -> Result<(IssuedToken, Vec<Warning>)> {
        let unknown = || Error::invalid("invalid request ID");
        let organization_id = visitor.organization_id;
        let found = self.waiting_login::<Suspended>(organization_id, Awaited::Mfa, &validation.request_id).await?;
        let (suspended, row) = found.ok_or_else(unknown)?;
        let mount = self.mount_table().by_id(organization_id, row.mount_id).ok_or_else(unknown)?;
        if suspended.source != visitor.source.map(|source| source.to_canonical()) {
            return Err(Error::Forbidden("the login was begun from another address".into()));
        }
        let recognised = self.still_good(organization_id, &suspended).await?;
        // The token is one of the login method's, wherever its last step was.
        let login = Login::on(&mount, suspended.terms);
        let login = login.spending(move |connection| {
            let row = row.clone();
            Box::pin(async move { pending_logins::finish(connection, &row).await.map(|()| Vec::new()) })
        });
        let (caller, required) = (login.caller(visitor), &suspended.required);
        let spent = self.satisfied(&caller, recognised.entity_id, required, &validation.presented).await?;
        match self.issue(visitor, &login, recognised, spent).await {
            // Somebody else was faster, or took the code.
            Err(Error::Conflict(pending_logins::WHAT | mfa_secrets::WHAT)) => Err(unknown()),
            Err(Error::Conflict(what)) => Err(Error::Forbidden(
                format!(
                    "permission denied: the {what} of this login was changed or taken away since it began; log in anew"
                )
                .into(),
            )),
            other => other,
        }
    }

    /// Whoever it is may have been disabled meanwhile.
    async fn still_good(&self, organization_id: Uuid, suspended: &Suspended) -> Result<Recognised> {
        let refused = || Error::Forbidden("permission denied".into());
        let persona = self.persona(organization_id, suspended.entity_id).await?;
        let persona = persona.filter(|persona| !persona.entity.disabled).ok_or_else(refused)?;
        if let Some(user_id) = suspended.terms.claim.user_id {
            let user = self.user(organization_id, user_id).await?;
            user.filter(|user| user.may_log_in()).ok_or_else(refused)?;
        }
        let policies = suspended.terms.settings.token_policies()?;
        let known = self.store().known_policies(organization_id, &policies).await?;
        // Another by now, where it was merged meanwhile: the second factor is that one's then, too.
        Ok(Recognised::before(persona.entity.id, &persona, known))
    }
}

/// Writes that these codes were taken; whoever was first has them.
pub(crate) async fn spend_all(connection: &mut PgConnection, spent: &Spent) -> Result<(), StoreError> {
    for (row, step) in spent {
        mfa_secrets::spend(connection, row, *step).await?;
    }
    Ok(())
}
