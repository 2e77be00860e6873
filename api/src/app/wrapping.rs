//! Answers on their way in a wrapping token, and what tokens keep for themselves.
//!
//! The content belongs to `clm_secure_db`, the token to `clm_core_db`. It is kept before its token is written, and the token ends before it is
//! handed out: killed in between, a process leaves content that nobody can reach, which goes with its time.

use super::{Context, Error, Result, Services};
use crate::crash::CrashPoint;
use audit_chain::Caller;
use clm_core::{IssuedToken, Token};
use keyvault::EntryName;
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Where a wrapped answer is in its token's storage; clients of old read it there.
pub(crate) const RESPONSE: &str = "response";
const LONGEST_PATH: usize = 512;
/// Tokens looked at in one step of the sweep, and entries deleted.
const STEP: i64 = 500;

/// Puts an answer into a new wrapping token. `path`: of the request that was answered.
pub(crate) async fn wrap(
    services: &Services,
    caller: &Caller,
    answer: &Value,
    path: &str,
    ttl: u64,
) -> Result<IssuedToken> {
    let issued = services.core.prepare_wrapping(caller.organization_id, path, ttl).await?;
    keep(services, caller, &issued.token, answer).await?;
    CrashPoint::ContentKept.reached();
    services.core.write_wrapping(caller, &issued, None).await?;
    Ok(issued)
}

/// What a wrapping token holds; it ends, and nobody else is given it.
pub(crate) async fn unwrap(services: &Services, caller: &Caller, token: &Token) -> Result<Value> {
    // First read: while the HSM is away the token stays good.
    let answer = kept(services, caller, token).await?;
    services.core.end_wrapping(caller, token).await?;
    CrashPoint::WrappingEnded.reached();
    services.vault.delete_entry(caller, entry(token, RESPONSE)).await?;
    Ok(answer)
}

/// The same content in a new token, for as long as the first one was made for; the old one ends.
pub(crate) async fn rewrap(services: &Services, caller: &Caller, old: &Token) -> Result<IssuedToken> {
    let answer = kept(services, caller, old).await?;
    let core = &services.core;
    let issued = core.prepare_wrapping(old.organization_id, &old.path, old.creation_ttl).await?;
    keep(services, caller, &issued.token, &answer).await?;
    core.write_wrapping(caller, &issued, Some(old)).await?;
    CrashPoint::ContentRewrapped.reached();
    services.vault.delete_entry(caller, entry(old, RESPONSE)).await?;
    Ok(issued)
}

async fn keep(services: &Services, caller: &Caller, token: &Token, answer: &Value) -> Result<()> {
    let content = Zeroizing::new(serde_json::to_vec(answer).map_err(|error| Error::Internal(error.to_string()))?);
    Ok(services.vault.put_entry(caller, entry(token, RESPONSE), &content, token.expire_time).await?)
}

async fn kept(services: &Services, caller: &Caller, token: &Token) -> Result<Value> {
    let content = services.vault.entry(caller, entry(token, RESPONSE)).await?;
    let content = content.ok_or_else(|| Error::invalid("wrapping token is not valid or does not exist"))?;
    serde_json::from_slice(&content).map_err(|error| Error::Internal(format!("a wrapped answer: {error}")))
}

fn entry<'n>(token: &Token, path: &'n str) -> EntryName<'n> {
    EntryName { token_id: token.id, path }
}

impl Context {
    /// What the caller's token keeps under a path.
    pub(crate) async fn read_cubbyhole(&self, path: &str) -> Result<Option<Value>> {
        let token = self.own_storage(path)?;
        let Some(content) = self.services.vault.entry(&self.caller, entry(&token, path)).await? else {
            return Ok(None);
        };
        if !token.is_wrapping() {
            let data = serde_json::from_slice(&content);
            return data.map(Some).map_err(|error| Error::Internal(format!("a cubbyhole's entry: {error}")));
        }
        // Its one use is spent with this request.
        self.services.vault.delete_entry(&self.caller, entry(&token, path)).await?;
        let text = std::str::from_utf8(&content).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Some(serde_json::json!({ RESPONSE: text })))
    }

    /// Keeps data under a path.
    pub(crate) async fn write_cubbyhole(&self, path: &str, data: &Map<String, Value>) -> Result<()> {
        let token = self.own_storage(path)?;
        if data.is_empty() {
            return Err(Error::invalid("missing data fields"));
        }
        let content = Zeroizing::new(serde_json::to_vec(data).map_err(|error| Error::Internal(error.to_string()))?);
        Ok(self.services.vault.put_entry(&self.caller, entry(&token, path), &content, None).await?)
    }

    /// Deletes what is kept under a path.
    pub(crate) async fn delete_cubbyhole(&self, path: &str) -> Result<()> {
        let token = self.own_storage(path)?;
        Ok(self.services.vault.delete_entry(&self.caller, entry(&token, path)).await?)
    }

    /// Names below a path.
    pub(crate) async fn list_cubbyhole(&self, path: &str) -> Result<Vec<String>> {
        let token = self.own_storage("list")?;
        let path = path.trim_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        Ok(self.services.vault.entry_names(token.organization_id, token.id, &prefix).await?)
    }

    fn own_storage(&self, path: &str) -> Result<Arc<Token>> {
        let token = &self.authority.token;
        if self.authority.is_from_above() {
            return Err(Error::invalid("a token has its cubbyhole in its own namespace, and none in those below"));
        }
        if token.batch {
            return Err(Error::invalid("cubbyhole operations are only supported by \"service\" type tokens"));
        }
        if path.is_empty() || path.len() > LONGEST_PATH {
            return Err(Error::invalid(format!("a path in the cubbyhole has 1 to {LONGEST_PATH} bytes")));
        }
        Ok(Arc::clone(token))
    }
}

/// Deletes what has ended, and what belongs to tokens that are gone. Both databases say their part; done twice it does no harm.
pub(crate) async fn sweep(services: &Services) -> Result<()> {
    for organization_id in services.core.active_organizations().await? {
        while services.vault.sweep_entries(organization_id, STEP).await? > 0 {}
        let mut after = Uuid::nil();
        loop {
            let owners = services.vault.entry_owners(organization_id, after, STEP).await?;
            let Some(last) = owners.last() else { break };
            after = *last;
            let living = services.core.living_tokens(organization_id, &owners).await?;
            let gone: Vec<Uuid> = owners.into_iter().filter(|owner| !living.contains(owner)).collect();
            if !gone.is_empty() {
                services.vault.delete_entries_of(organization_id, gone).await?;
            }
        }
    }
    Ok(())
}
