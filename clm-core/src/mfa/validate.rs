//! Logins whose first factor was good, and which wait for the second one: five minutes, for whoever began, at any server, once.

use super::enforcement::RequiredFactor;
use super::factor::{PresentedFactor, Spent};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::{Claim, Recognised};
use crate::login::{Awaited, Basis, Login, LoginRecord, TokenSettings, Visitor, expect_unchanged};
use crate::mount::Mount;
use crate::record::add_rows;
use crate::store::{GoneRow, PendingRow, StoreError, mfa_secrets, mounts, pending_logins, tokens};
use crate::token::{IssuedToken, Warning};
use audit_chain::{Event, Value};
use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
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
    path: String,
    source: Option<IpAddr>,
    entity_id: Uuid,
    settings: TokenSettings,
    bound_cidrs: Option<Vec<IpNet>>,
    claim: Claim,
    display_name: String,
    meta: BTreeMap<String, String>,
    event_type: String,
    data: Vec<(String, String)>,
    required: Vec<RequiredFactor>,
    rests_on: Vec<Basis>,
}

/// A login that has to wait.
pub(crate) struct Waiting<'l> {
    pub(crate) login: Login<'l>,
    pub(crate) record: LoginRecord,
    pub(crate) recognised: Recognised,
    pub(crate) required: Vec<RequiredFactor>,
}

impl Core {
    /// Has a login wait: what it spends and who it is are written now, and that it waits.
    pub(crate) async fn suspend<F>(
        &self,
        visitor: &Visitor,
        waiting: Waiting<'_>,
        spend: F,
    ) -> Result<(MfaRequirement, Vec<Warning>)>
    where
        F: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<Vec<GoneRow>, StoreError>> + Send + 'static,
    {
        let Waiting { login, record, recognised, required } = waiting;
        let mount = login.mount;
        if mount.mount_type == "api-key" {
            return Err(Error::Forbidden(
                "this API key's login needs a second factor in the same request: send it in the header X-Vault-MFA"
                    .into(),
            ));
        }
        let mut caller = visitor.caller();
        caller.user_id = login.claim.user_id;
        let who = ("login_method", Some(mount.path.clone()));
        let mut event = self.event(&caller, "login.suspend", "authentication", who, "suspend");
        add_texts(&mut event, record.data.iter().map(|(name, text)| (*name, text.as_str())));
        let (rests_on, secret_id) = (login.rests_on, login.secret_id);
        let entity_id = recognised.entity_id.to_string();
        add_texts(&mut event, [("login", record.event_type), ("entity_id", entity_id.as_str())]);
        let suspended = Suspended {
            path: visitor.path.to_string(),
            source: visitor.source.map(|source| source.to_canonical()),
            entity_id: recognised.entity_id,
            settings: login.settings.clone(),
            bound_cidrs: login.bound_cidrs,
            claim: login.claim,
            display_name: login.display_name,
            meta: login.meta,
            event_type: record.event_type.to_owned(),
            data: record.data.into_iter().map(|(name, text)| (name.to_owned(), text)).collect(),
            required: required.clone(),
            rests_on: rests_on.clone(),
        };
        let request_id = Uuid::new_v4().to_string();
        let end = self.now() + WAITS;
        // What is good until then gives no token after.
        let end = secret_id.and_then(|(_, good_until)| good_until).map_or(end, |good_until| end.min(good_until));
        let row = self
            .pending_login((mount, secret_id.map(|(id, _)| id)), Awaited::Mfa, &request_id, &suspended, end)
            .await?;
        let (mount_id, most) = (mount.id, self.room_to_wait(mount).await?);
        self.change(mount.organization_id, move |connection| {
            Box::pin(async move {
                mounts::expect_there(connection, mount_id).await?;
                let mut rows = spend(connection).await?;
                expect_unchanged(connection, &rests_on).await?;
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
        let identity_policies = self.expect_good(organization_id, &suspended).await?;
        let mut caller = visitor.caller();
        caller.user_id = suspended.claim.user_id;
        let required = &suspended.required;
        let spent = self.satisfied(&caller, suspended.entity_id, required, &validation.presented).await?;
        let resumed = self.resume(visitor, &mount, suspended, (row, spent)).await;
        match resumed.map(|(issued, warnings)| (IssuedToken { identity_policies, ..issued }, warnings)) {
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

    /// Whoever it is may have been disabled meanwhile; what he has of policies.
    async fn expect_good(&self, organization_id: Uuid, suspended: &Suspended) -> Result<Vec<String>> {
        let refused = || Error::Forbidden("permission denied".into());
        let persona = self.persona(organization_id, suspended.entity_id).await?;
        let persona = persona.filter(|persona| !persona.entity.disabled).ok_or_else(refused)?;
        if let Some(user_id) = suspended.claim.user_id {
            let user = self.user(organization_id, user_id).await?;
            user.filter(|user| user.may_log_in()).ok_or_else(refused)?;
        }
        Ok(persona.policies())
    }

    async fn resume(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        suspended: Suspended,
        (row, spent): (PendingRow, Spent),
    ) -> Result<(IssuedToken, Vec<Warning>)> {
        let (user_id, rests_on) = (suspended.claim.user_id, suspended.rests_on);
        let login = Login {
            mount,
            settings: &suspended.settings,
            bound_cidrs: suspended.bound_cidrs,
            claim: suspended.claim,
            display_name: suspended.display_name,
            meta: suspended.meta,
            rests_on: rests_on.clone(),
            secret_id: None,
        };
        // The token is one of the login method's, wherever its last step was.
        let there = Visitor { path: Arc::from(suspended.path), ..visitor.clone() };
        let mut warnings = Vec::new();
        let issued = self.prepare_login(&there, login, suspended.entity_id, &mut warnings).await?;
        self.warn_of_unknown_policies(&issued.token, &mut warnings).await?;
        let mut caller = visitor.caller();
        caller.user_id = user_id;
        let mut event = self.token_event(&caller, "login.mfa", &issued.token);
        let action = suspended.event_type.split_once('.').map_or("login", |(_, action)| action).to_owned();
        (event.action, event.event_type) = (action.into(), suspended.event_type.into());
        add_texts(&mut event, suspended.data.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        add_texts(&mut event, [("second_factor", "mfa")]);
        let token = Arc::clone(&issued.token);
        let mount_id = mount.id;
        self.change(mount.organization_id, move |connection| {
            Box::pin(async move {
                mounts::expect_there(connection, mount_id).await?;
                pending_logins::finish(connection, &row).await?;
                expect_unchanged(connection, &rests_on).await?;
                spend_all(connection, &spent).await?;
                add_rows(&mut event, tokens::keep(connection, &token).await?);
                Ok(((), event))
            })
        })
        .await?;
        Ok((issued, warnings))
    }
}

/// Writes that these codes were taken; whoever was first has them.
pub(crate) async fn spend_all(connection: &mut PgConnection, spent: &Spent) -> Result<(), StoreError> {
    for (row, step) in spent {
        mfa_secrets::spend(connection, row, *step).await?;
    }
    Ok(())
}

fn add_texts<'t>(event: &mut Event, texts: impl IntoIterator<Item = (&'t str, &'t str)>) {
    event.data.extend(texts.into_iter().map(|(name, text)| (name.to_owned(), Value::Text(text.to_owned().into()))));
}
