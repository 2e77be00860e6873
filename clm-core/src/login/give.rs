//! A login that was found good: who it is, what it spends, its token and its record are one transaction.

use super::{Login, Visitor};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::store::{GoneRow, StoreError, mounts, tokens};
use crate::token::{IssuedToken, Warning};
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

impl Core {
    /// Gives the token. `spend` writes what the method takes for it, and gives the rows; what it finds changed is [`Error::Conflict`].
    pub(crate) async fn give<F>(
        &self,
        visitor: &Visitor,
        login: Login<'_>,
        record: LoginRecord,
        spend: F,
    ) -> Result<(IssuedToken, Vec<Warning>)>
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
    ) -> Result<(IssuedToken, Vec<Warning>)>
    where
        F: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<Vec<GoneRow>, StoreError>> + Send + 'static,
    {
        let (mount_id, organization_id, user_id) = (login.mount.id, login.mount.organization_id, login.claim.user_id);
        let recognised = self.recognise(login.mount, &login.claim).await?;
        let mut warnings = Vec::new();
        let mut issued = self.prepare_login(visitor, login, recognised.entity_id, &mut warnings).await?;
        let mut caller = visitor.caller();
        caller.user_id = user_id;
        let mut event = self.token_event(&caller, record.event_type, &issued.token);
        for (name, text) in record.data {
            event.data.insert(name.into(), Value::Text(text.into()));
        }
        let token = Arc::clone(&issued.token);
        self.change(organization_id, move |connection| {
            Box::pin(async move {
                mounts::expect_there(connection, mount_id).await?;
                let mut rows = spend(connection).await?;
                rows.extend(recognised.write(connection).await?);
                if !token.batch {
                    tokens::insert(connection, &token).await?;
                    rows.push((tokens::TABLE, token.id, token.revision, token.row_mac));
                }
                add_rows(&mut event, rows);
                Ok(((), event))
            })
        })
        .await?;
        issued.identity_policies = self.identity_policies(&issued.token).await?;
        Ok((issued, warnings))
    }
}
