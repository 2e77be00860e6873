//! Tokens that hold an answer: good for one unwrapping, and for nothing else.
//!
//! What they hold is a row of the other database, written before the token and read by its id. Whoever ends the token, which only one
//! request can, may hand out what it held.

use super::draft::Draft;
use super::lifetime::{System, Wanted};
use super::new::IssuedToken;
use super::{Token, WRAPPING_POLICY};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::{add_rows, rows_of_revoked};
use crate::store::tokens;
use audit_chain::{Caller, Event, Value};
use std::sync::Arc;
use uuid::Uuid;

/// As far as a time-to-live can be asked for, seconds: 68 years.
const LONGEST: u64 = i32::MAX as u64;

impl Token {
    /// Whether it holds an answer.
    pub fn is_wrapping(&self) -> bool {
        self.policies == [WRAPPING_POLICY]
    }
}

impl Core {
    /// A wrapping token, not written yet. `path`: of the request whose answer it will hold.
    pub async fn prepare_wrapping(&self, organization_id: Uuid, path: &str, ttl: u64) -> Result<IssuedToken> {
        if ttl == 0 || ttl > LONGEST {
            return Err(Error::invalid(format!("a wrapping token lives for 1 to {LONGEST} seconds")));
        }
        let draft = Draft {
            organization_id,
            user_id: None,
            entity_id: None,
            parent_id: None,
            batch: false,
            id: None,
            policies: vec![WRAPPING_POLICY.to_owned()],
            display_name: "wrapping".to_owned(),
            meta: None,
            path: path.to_owned(),
            role: None,
            wanted: Wanted { ttl, period: 0, explicit_max_ttl: ttl, age: 0 },
            max_ttl: 0,
            num_uses: 1,
            renewable: false,
            bound_cidrs: Vec::new(),
            system: System { default_ttl: ttl, max_ttl: ttl },
        };
        self.prepare_token(draft, &mut Vec::new()).await
    }

    /// Writes a prepared one; in the place of `old`, which ends, if that is still alive.
    pub async fn write_wrapping(&self, caller: &Caller, issued: &IssuedToken, old: Option<&Token>) -> Result<()> {
        let event_type = if old.is_some() { "wrapping.rewrap" } else { "wrapping.wrap" };
        let mut event = self.token_event(caller, event_type, &issued.token);
        event.data.insert("creation_path".into(), Value::Text(issued.token.path.clone().into()));
        let (row, old, now) = (Arc::clone(&issued.token), old.map(|old| old.id), self.now());
        let written = self
            .change(issued.token.organization_id, move |connection| {
                Box::pin(async move {
                    let mut rows = vec![(tokens::TABLE, row.id, row.revision, row.row_mac)];
                    if let Some(old) = old {
                        let ended = tokens::revoke_trees(connection, &[old], now).await?;
                        if ended.is_empty() {
                            return Err(crate::store::StoreError::Conflict { what: "wrapping token" });
                        }
                        rows.extend(rows_of_revoked(&ended));
                    }
                    tokens::insert(connection, &row).await?;
                    add_rows(&mut event, rows);
                    Ok(((), event))
                })
            })
            .await;
        match written {
            Err(Error::Conflict(_)) => Err(invalid_wrapping()),
            other => other,
        }
    }

    /// The wrapping token that a text is, if it can still be unwrapped. Spends nothing.
    pub async fn wrapping_token(&self, organization_id: Uuid, text: &str) -> Result<Arc<Token>> {
        let found = self.live_token_by_text(organization_id, text).await?;
        found.filter(|token| token.is_wrapping() && token.uses_left != Some(0)).ok_or_else(invalid_wrapping)
    }

    /// Has it on record that somebody asks what a wrapping token is. Durable when this returns: answer then.
    pub async fn record_wrapping_lookup(&self, caller: &Caller, token: &Token) -> Result<()> {
        let event = self.wrapping_event(caller, "wrapping.lookup", "lookup", token);
        self.audit().append(event).await.map_err(Error::Audit)
    }

    fn wrapping_event(&self, caller: &Caller, event_type: &'static str, action: &'static str, token: &Token) -> Event {
        let accessor = Some(token.accessor.to_string());
        let mut event = self.event(caller, event_type, "authentication", ("token", accessor), action);
        event.data.insert("creation_path".into(), Value::Text(token.path.clone().into()));
        event
    }

    /// Ends a wrapping token; an error if another request was faster.
    pub async fn end_wrapping(&self, caller: &Caller, token: &Token) -> Result<()> {
        let mut event = self.wrapping_event(caller, "wrapping.unwrap", "unwrap", token);
        let (id, now) = (token.id, self.now());
        let ended = self
            .change(token.organization_id, move |connection| {
                Box::pin(async move {
                    let ended = tokens::revoke_trees(connection, &[id], now).await?;
                    if ended.is_empty() {
                        return Err(crate::store::StoreError::Conflict { what: "wrapping token" });
                    }
                    add_rows(&mut event, rows_of_revoked(&ended));
                    Ok(((), event))
                })
            })
            .await;
        self.cache().forget(token.id);
        match ended {
            Err(Error::Conflict(_)) => Err(invalid_wrapping()),
            other => other,
        }
    }

    /// Which of these are rows of living tokens.
    pub async fn living_tokens(&self, organization_id: Uuid, ids: &[Uuid]) -> Result<Vec<Uuid>> {
        Ok(self.store().living_tokens(organization_id, ids, self.now()).await?)
    }
}

fn invalid_wrapping() -> Error {
    Error::invalid("wrapping token is not valid or does not exist")
}
