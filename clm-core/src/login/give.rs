//! A login that was found good: who it is, what it spends, its token and its record are one transaction.

use super::{Login, Visitor, expect_unchanged};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::mfa::{MfaRequirement, RequiredFactor, Spent, Waiting, spend_all};
use crate::record::add_rows;
use crate::store::{GoneRow, StoreError, mounts, tokens};
use crate::token::{IssuedToken, Warning, warn_of_others};
use audit_chain::Value;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use std::sync::Arc;

/// How often a login is tried anew when two first ones of one name, or changes of whom it is, come at once.
const ATTEMPTS: usize = 3;

/// How the record calls it.
#[derive(Clone, Debug)]
pub(crate) struct LoginRecord {
    pub(crate) event_type: &'static str,
    pub(crate) data: Vec<(&'static str, String)>,
}

/// What a login that was found good gives.
#[derive(Clone, Debug)]
pub enum Admitted {
    /// A token.
    Token(IssuedToken),
    /// Nothing yet: a second factor is needed.
    Waits(MfaRequirement),
}

impl Core {
    /// Gives the token, or has the login wait for a second factor. `spend` writes what the method takes for it, and gives the rows; what it finds changed is [`Error::Conflict`].
    pub(crate) async fn give<F>(
        &self,
        visitor: &Visitor,
        login: Login<'_>,
        record: LoginRecord,
        spend: F,
    ) -> Result<(Admitted, Vec<Warning>)>
    where
        F: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<Vec<GoneRow>, StoreError>> + Clone + Send + 'static,
    {
        let mut attempt = 1;
        loop {
            match self.give_once(visitor, login.clone(), record.clone(), spend.clone()).await {
                Err(Error::Conflict(_) | Error::Database(StoreError::Taken { .. })) if attempt < ATTEMPTS => {
                    attempt += 1
                }
                Err(Error::Database(StoreError::Taken { .. })) => return Err(Error::Conflict("entity")),
                other => return other,
            }
        }
    }

    async fn give_once<F>(
        &self,
        visitor: &Visitor,
        login: Login<'_>,
        record: LoginRecord,
        spend: F,
    ) -> Result<(Admitted, Vec<Warning>)>
    where
        F: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<Vec<GoneRow>, StoreError>> + Send + 'static,
    {
        let (mount_id, organization_id, user_id) = (login.mount.id, login.mount.organization_id, login.claim.user_id);
        let policies = login.settings.token_policies()?;
        let recognised = self.recognise(login.mount, &login.claim, &policies).await?;
        let required = self.required_factors(login.mount, &recognised).await?;
        let mut spent = Spent::new();
        if !required.is_empty() {
            if !brings(visitor, &required) {
                let waiting = Waiting { login, record, recognised, required };
                // Boxed: few logins wait.
                let (told, warnings) = Box::pin(self.suspend(visitor, waiting, spend)).await?;
                return Ok((Admitted::Waits(told), warnings));
            }
            let caller = visitor.caller();
            spent = self.satisfied(&caller, recognised.entity_id, &required, &visitor.mfa).await?;
        }
        let mut warnings = Vec::new();
        let rests_on = login.rests_on.clone();
        let mut issued = self.prepare_login(visitor, login, recognised.entity_id, &mut warnings).await?;
        warn_of_others(&issued.token.policies, &recognised.known_policies, &mut warnings);
        issued.identity_policies.clone_from(&recognised.policies);
        let mut caller = visitor.caller();
        caller.user_id = user_id;
        let mut event = self.token_event(&caller, record.event_type, &issued.token);
        for (name, text) in record.data {
            event.data.insert(name.into(), Value::Text(text.into()));
        }
        if !spent.is_empty() {
            event.data.insert("second_factor".into(), Value::Text("mfa".into()));
        }
        let token = Arc::clone(&issued.token);
        self.change(organization_id, move |connection| {
            Box::pin(async move {
                mounts::expect_there(connection, mount_id).await?;
                let mut rows = spend(connection).await?;
                expect_unchanged(connection, &rests_on).await?;
                spend_all(connection, &spent).await?;
                rows.extend(recognised.write(connection).await?);
                rows.extend(tokens::keep(connection, &token).await?);
                add_rows(&mut event, rows);
                Ok(((), event))
            })
        })
        .await?;
        Ok((Admitted::Token(issued), warnings))
    }
}

/// Whether the request brings a code for any of what is required.
fn brings(visitor: &Visitor, required: &[RequiredFactor]) -> bool {
    let methods = || required.iter().flat_map(|required| &required.methods);
    visitor.mfa.iter().any(|presented| methods().any(|(id, name)| presented.names(*id, name)))
}
