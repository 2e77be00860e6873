//! What ends by itself: tokens (a login's lease is `auth/<mount>/login/<who>/h<64 hex>`), and what engines lend.

use crate::core::Core;
use crate::error::{Error, Result};
use audit_chain::Caller;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Leases that one answer can name.
const LISTED: i64 = 100_000;

/// A lease as `sys/leases/lookup` shows it.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Path and what tells it from others there.
    pub id: String,
    /// Where it was made.
    pub path: String,
    /// When.
    pub issue_time: DateTime<Utc>,
    /// When it ends.
    pub expire_time: DateTime<Utc>,
    /// When it was renewed last.
    pub last_renewal: Option<DateTime<Utc>>,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Seconds that remain.
    pub ttl: u64,
    /// Whether it is a token's, which has ways of its own to be renewed.
    pub is_token: bool,
}

impl Core {
    /// A living lease by its id.
    pub async fn lease(&self, organization_id: Uuid, id: &str) -> Result<Option<Lease>> {
        if let Some((path, token_hmac)) = of_token(id) {
            let token = self.live_token(organization_id, token_hmac).await?.filter(|token| token.path == path);
            let Some(token) = token else { return Ok(None) };
            let Some(expire_time) = token.expire_time else { return Ok(None) };
            return Ok(Some(Lease {
                id: id.to_owned(),
                path: token.path.clone(),
                issue_time: token.creation_time,
                expire_time,
                last_renewal: token.last_renewal,
                renewable: token.renewable,
                ttl: token.ttl(self.now()),
                is_token: true,
            }));
        }
        let found = self.store().engine_leases(organization_id, id, LISTED).await?;
        let Some(row) = found.into_iter().find(|row| row.lease_id == id) else { return Ok(None) };
        Ok(Some(Lease {
            path: id.rsplit_once('/').map_or(id, |(path, _)| path).to_owned(),
            id: row.lease_id,
            issue_time: row.issued_at,
            expire_time: row.expires_at,
            last_renewal: row.last_renewed_at,
            renewable: false,
            ttl: u64::try_from((row.expires_at - self.now()).num_seconds()).unwrap_or(0),
            is_token: false,
        }))
    }

    /// What follows `prefix` in the ids of living leases, up to the next slash; sorted.
    pub async fn lease_keys(&self, organization_id: Uuid, prefix: &str) -> Result<Vec<String>> {
        let prefix = format!("{}/", prefix.trim_matches('/'));
        let prefix = if prefix == "/" { "" } else { &prefix };
        let mut keys = BTreeSet::new();
        let mut add = |id: &str| {
            if let Some(rest) = id.strip_prefix(prefix) {
                keys.insert(rest.split_inclusive('/').next().unwrap_or_default().to_owned());
            }
        };
        // A path that is the prefix without its slash has the lease directly below.
        let above = prefix.trim_end_matches('/');
        for (path, token_hmac) in self.store().token_leases(organization_id, above, self.now(), LISTED).await? {
            add(&token_lease(&path, &token_hmac));
        }
        for row in self.store().engine_leases(organization_id, prefix, LISTED).await? {
            add(&row.lease_id);
        }
        Ok(keys.into_iter().collect())
    }

    /// Ends a lease; `false`: there is none.
    pub async fn revoke_lease(&self, caller: &Caller, id: &str) -> Result<bool> {
        match self.lease(caller.organization_id, id).await? {
            None => Ok(false),
            Some(lease) if lease.is_token => match of_token(id) {
                Some((_, token_hmac)) => self.revoke_by_hmac(caller, token_hmac).await,
                None => Ok(false),
            },
            Some(_) => Err(Error::invalid("no engine of this server can undo that lease: it ends with its time")),
        }
    }

    /// Ends all tokens that were made at `prefix` or below it; one record at least.
    pub async fn revoke_leases(&self, caller: &Caller, prefix: &str) -> Result<()> {
        // One lease by its whole id, as clients also ask.
        if of_token(prefix).is_some() && self.revoke_lease(caller, prefix).await? {
            return Ok(());
        }
        // What only begins like it is somebody else's: `login/bob` says nothing of `login/bobby`.
        self.revoke_made_at(caller, &format!("{prefix}/")).await
    }

    /// How many entities the organization has.
    pub async fn count_entities(&self, organization_id: Uuid) -> Result<i64> {
        Ok(self.store().count_entities(organization_id).await?)
    }

    /// How many tokens of the organization live.
    pub async fn count_tokens(&self, organization_id: Uuid) -> Result<i64> {
        Ok(self.store().count_living_tokens(organization_id, self.now()).await?)
    }
}

/// The lease that a token is.
fn token_lease(path: &str, token_hmac: &[u8; 32]) -> String {
    format!("{path}/h{}", hex::encode(token_hmac))
}

fn of_token(id: &str) -> Option<(&str, [u8; 32])> {
    let (path, name) = id.rsplit_once('/')?;
    let bytes = hex::decode(name.strip_prefix('h')?).ok()?;
    Some((path, bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokens_lease_names_its_path_and_its_hmac() {
        let id = token_lease("auth/userpass/login/bob", &[7; 32]);
        assert_eq!(of_token(&id), Some(("auth/userpass/login/bob", [7; 32])));
        for other in ["bad", "auth/x/h00", "auth/x/77", "aws/creds/a/AbC"] {
            assert_eq!(of_token(other), None, "{other}");
        }
    }
}
