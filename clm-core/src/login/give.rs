//! A login that was found good: who it is, what it spends, its token and its record are one transaction.

use super::found::Spend;
use super::{Basis, Login, Visitor};
use crate::attempts::Attempts;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::Recognised;
use crate::mfa::{MfaRequirement, RequiredFactor, Spent, spend_all};
use crate::record::add_rows;
use crate::store::{GoneRow, LoginRows, StoreError, expect_unchanged, mounts, tokens};
use crate::token::{IssuedToken, Token, Warning, warn_of_others};
use audit_chain::{Caller, Event, Value};
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// What a login that was found good gives.
#[derive(Clone, Debug)]
pub enum Admitted {
    /// A token.
    Token(IssuedToken),
    /// Nothing yet: a second factor is needed.
    Waits(MfaRequirement),
}

/// What must hold, and what is taken, in the transaction that writes what a login gives.
pub(crate) struct Grounds {
    mount_id: Uuid,
    spend: Option<Spend>,
    rests_on: Vec<Basis>,
}

impl Grounds {
    pub(crate) fn of(login: &Login<'_>) -> Self {
        let rests_on = login.terms.rests_on.iter().chain(&login.rests_on_now).copied().collect();
        Self { mount_id: login.mount.id, spend: login.spend.clone(), rests_on }
    }

    /// Rows of what was taken; what was changed or taken away meanwhile is [`StoreError::Conflict`].
    pub(crate) async fn take(&self, connection: &mut PgConnection) -> Result<Vec<GoneRow>, StoreError> {
        let rows = match &self.spend {
            Some(spend) => {
                // As whoever takes the login method or its role away: in this order, or each could wait for the other.
                mounts::expect_there(connection, self.mount_id).await?;
                spend(connection).await?
            }
            None => Vec::new(),
        };
        expect_unchanged(connection, self.mount_id, &self.rests_on).await?;
        Ok(rows)
    }
}

impl Core {
    /// Gives the token, or has the login wait for a second factor.
    pub(crate) async fn give(&self, visitor: &Visitor, mut login: Login<'_>) -> Result<(Admitted, Vec<Warning>)> {
        let mut attempts = Attempts::default();
        loop {
            let seen = login.seen.take();
            return match self.give_once(visitor, &login, seen).await {
                Err(error) if attempts.again(&error) => continue,
                Err(Error::Conflict(what)) => Err(login.refusal.map_or(Error::Conflict(what), Error::invalid)),
                // Others who came by the same name were quicker: nothing that this login rests on was changed, and it may come again.
                Err(Error::Database(StoreError::Taken { .. })) => Err(Error::Conflict("entity")),
                other => other,
            };
        }
    }

    async fn give_once(
        &self,
        visitor: &Visitor,
        login: &Login<'_>,
        seen: Option<LoginRows>,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let rows = match seen {
            Some(rows) => rows,
            None => self.meet(login.mount, &login.terms.claim, &login.terms.settings.token_policies()?).await?,
        };
        let recognised = self.recognise(login.mount, &login.terms.claim, rows).await?;
        let required = self.required_factors(login.mount, &recognised).await?;
        let mut spent = Spent::new();
        if !required.is_empty() {
            if !brings(visitor, &required) {
                // Boxed: few logins wait.
                let (told, warnings) = Box::pin(self.suspend(visitor, login, recognised, required)).await?;
                return Ok((Admitted::Waits(told), warnings));
            }
            let caller = visitor.caller();
            spent = self.satisfied(&caller, recognised.entity_id, &required, &visitor.mfa).await?;
        }
        let (issued, warnings) = self.issue(visitor, login, recognised, spent).await?;
        Ok((Admitted::Token(issued), warnings))
    }

    /// The token, by rows that were read for an earlier login of the same; `None`: that is no more good for one, or a second factor is needed, and
    /// it is to be judged by what there is now.
    pub(crate) async fn give_again(
        &self,
        visitor: &Visitor,
        login: &Login<'_>,
        rows: LoginRows,
    ) -> Result<Option<(Admitted, Vec<Warning>)>> {
        let given = async {
            let recognised = self.recognise(login.mount, &login.terms.claim, rows).await?;
            if !self.required_factors(login.mount, &recognised).await?.is_empty() {
                return Ok(None);
            }
            self.issue(visitor, login, recognised, Spent::new()).await.map(Some)
        };
        match given.await {
            Ok(given) => Ok(given.map(|(issued, warnings)| (Admitted::Token(issued), warnings))),
            Err(Error::Conflict(_) | Error::Invalid(_) | Error::Forbidden(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The token, with what is taken for it, who it is, and the record.
    pub(crate) async fn issue(
        &self,
        visitor: &Visitor,
        login: &Login<'_>,
        recognised: Recognised,
        spent: Spent,
    ) -> Result<(IssuedToken, Vec<Warning>)> {
        let mut warnings = Vec::new();
        let mut issued = self.prepare_login(visitor, login, recognised.entity_id, &mut warnings).await?;
        warn_of_others(&issued.token.policies, &recognised.known_policies, &mut warnings);
        issued.identity_policies.clone_from(&recognised.policies);
        let mut event = self.login_event(&login.caller(visitor), login, &issued.token);
        if !spent.is_empty() {
            event.data.insert("second_factor".into(), Value::Text("mfa".into()));
        }
        let (token, grounds) = (Arc::clone(&issued.token), Grounds::of(login));
        self.change(login.mount.organization_id, move |connection| {
            Box::pin(async move {
                let mut rows = grounds.take(connection).await?;
                spend_all(connection, &spent).await?;
                rows.extend(recognised.write(connection).await?);
                rows.extend(tokens::keep(connection, &token).await?);
                add_rows(&mut event, rows);
                Ok(((), event))
            })
        })
        .await?;
        Ok((issued, warnings))
    }

    fn login_event(&self, caller: &Caller, login: &Login<'_>, token: &Token) -> Event {
        let mut event = self.token_event(caller, "login", token);
        event.event_type = login.terms.event_type.clone();
        event.action = event.event_type.split_once('.').map_or("login", |(_, action)| action).to_owned().into();
        login.tell(&mut event);
        event
    }
}

/// Whether the request brings a code for any of what is required.
fn brings(visitor: &Visitor, required: &[RequiredFactor]) -> bool {
    let methods = || required.iter().flat_map(|required| &required.methods);
    visitor.mfa.iter().any(|presented| methods().any(|(id, name)| presented.names(*id, name)))
}
