//! Ending tokens: what lives below one ends with it, orphans do not.

use super::batch::refuse_batch;
use super::{Authority, Token};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::{add_revoked, add_rows, rows_of_revoked};
use crate::store::tokens;
use audit_chain::{Caller, Event, Value};
use uuid::Uuid;

/// How often it is tried anew when somebody else changes the same tokens.
const ATTEMPTS: usize = 5;

impl Core {
    /// Revokes a token and all below it. `false`: there is no such token (the answer is 204 all the same).
    pub async fn revoke_token(&self, caller: &Caller, token: &str) -> Result<bool> {
        refuse_batch(token, "revoked")?;
        let token_hmac = self.token_hmac(token).await?;
        self.revoke_by_hmac(caller, token_hmac).await
    }

    /// Revokes the caller's own token and all below it.
    pub async fn revoke_self(&self, caller: &Caller, own: &Authority) -> Result<()> {
        if own.token.batch {
            return Err(Error::invalid("batch tokens cannot be revoked"));
        }
        self.revoke_by_hmac(&own.at_home(caller), own.token.token_hmac).await.map(drop)
    }

    /// Revokes a token by its accessor. `false`: there is none (the answer is a warning).
    pub async fn revoke_accessor(&self, caller: &Caller, accessor: &str) -> Result<bool> {
        match self.store().token_hmac_by_accessor(caller.organization_id, accessor).await? {
            Some(token_hmac) => self.revoke_by_hmac(caller, token_hmac).await,
            None => Ok(false),
        }
    }

    /// Revokes a token; its direct children live on as orphans.
    pub async fn revoke_orphan(&self, caller: &Caller, token: &str, sudo: bool) -> Result<()> {
        if !sudo {
            return Err(Error::invalid("root or sudo privileges required to revoke and orphan"));
        }
        refuse_batch(token, "revoked")?;
        let token_hmac = self.token_hmac(token).await?;
        for _ in 0..ATTEMPTS {
            let Some(id) = self.revocable(caller.organization_id, token_hmac).await? else {
                return Err(Error::invalid("token to revoke not found"));
            };
            let orphans = self.orphaned_children(caller.organization_id, id).await?;
            match self.revoke_rows(caller, id, orphans).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
        Err(Error::Conflict("token"))
    }

    pub(crate) async fn revoke_by_hmac(&self, caller: &Caller, token_hmac: [u8; 32]) -> Result<bool> {
        match self.revocable(caller.organization_id, token_hmac).await? {
            Some(id) => self.revoke_rows(caller, id, Vec::new()).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// The row to revoke; its MAC does not matter, ending authority is always right.
    async fn revocable(&self, organization_id: Uuid, token_hmac: [u8; 32]) -> Result<Option<Uuid>> {
        let found = self.store().find_token(token_hmac).await?;
        Ok(found
            .map(|found| found.token)
            .filter(|token| token.organization_id == organization_id)
            .map(|token| token.id))
    }

    async fn orphaned_children(&self, organization_id: Uuid, parent: Uuid) -> Result<Vec<Token>> {
        let mut orphans = Vec::new();
        for token_hmac in tokens::children(self.store(), organization_id, parent).await? {
            if let Some(found) = self.find_checked(token_hmac).await? {
                let mut orphan = found.token;
                orphan.parent_id = None;
                orphan.orphan = true;
                orphan.revision += 1;
                orphan.row_mac = self.row_mac(tokens::bound_bytes(&orphan)).await?;
                orphans.push(orphan);
            }
        }
        Ok(orphans)
    }

    async fn revoke_rows(&self, caller: &Caller, id: Uuid, orphans: Vec<Token>) -> Result<()> {
        let now = self.now();
        let mut event = self.event(caller, "token.revoke", "authentication", ("token", None), "revoke");
        let orphan_ids: Vec<Uuid> = orphans.iter().map(|orphan| orphan.id).collect();
        let revoked = self
            .change(caller.organization_id, move |connection| {
                Box::pin(async move {
                    for orphan in &orphans {
                        tokens::update(connection, orphan).await?;
                    }
                    let revoked = tokens::revoke_trees(connection, &[id], now).await?;
                    describe(&mut event, &revoked, &orphans);
                    Ok((revoked, event))
                })
            })
            .await?;
        revoked.iter().map(|row| row.id).chain(orphan_ids).for_each(|id| self.cache().forget(id));
        Ok(())
    }
}

fn describe(event: &mut Event, revoked: &[tokens::RevokedRow], orphans: &[Token]) {
    event.resource_id = revoked.first().map(|row| row.accessor.clone());
    add_revoked(event, revoked);
    if orphans.is_empty() {
        return;
    }
    let rows = rows_of_revoked(revoked)
        .chain(orphans.iter().map(|token| (tokens::TABLE, token.id, token.revision, token.row_mac)));
    let rows: Vec<_> = rows.collect();
    add_rows(event, rows);
    let accessors = orphans.iter().map(|token| Value::Text(token.accessor.to_string().into())).collect();
    event.data.insert("orphaned".into(), Value::List(accessors));
}
