//! What tokens keep for themselves, and answers on their way in a wrapping token: encrypted in the HSM under a key of the organization.
//!
//! The token is a row of the other database, named here by its id alone. An entry is read with the id of a token that was found
//! good, and the ciphertext is bound to organization, token and path: moved to another token it does not decrypt. Entries with an
//! end of their own go with it; the others when their token is gone, which whoever knows both sides finds out.

use crate::record;
use crate::row_mac::RowBytes;
use crate::store::cubbyhole_entries::{self as entries, EntryRow};
use crate::store::read_as_of_now;
use crate::vault::system;
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Value};
use chrono::{DateTime, TimeDelta, Utc};
use hsm_bridge::Ciphertext;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Bytes of an IV of AES-GCM (SP 800-38D).
const IV: usize = 12;

/// Which entry.
#[derive(Clone, Copy, Debug)]
pub struct EntryName<'n> {
    /// Row id of the token.
    pub token_id: Uuid,
    /// Path below the mount.
    pub path: &'n str,
}

impl Vault {
    /// Keeps `content` under a name, in place of what was there. Durable with its record when this returns.
    pub async fn put_entry(
        &self,
        caller: &Caller,
        name: EntryName<'_>,
        content: &[u8],
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<()> {
        let key = self.spent_cubbyhole_key(caller.organization_id).await?;
        let aad = bound(caller.organization_id, &name, key.id());
        let sealed = self.inner.bridge.aes_gcm_encrypt(&key.reference(), content.to_vec(), aad).await?;
        let row = EntryRow {
            id: Uuid::now_v7(),
            organization_id: caller.organization_id,
            token_id: name.token_id,
            path: name.path.to_owned(),
            encrypted_data: [sealed.iv.as_slice(), &sealed.ciphertext_and_tag].concat(),
            cubbyhole_key_id: key.id(),
            created_at: self.inner.clock.now(),
            expires_at,
        };
        let event = self.entry_event(caller, "cubbyhole.write", &name);
        self.inner
            .audit
            .commit(caller.organization_id, move |connection| {
                Box::pin(async move { entries::put(connection, &row).await.map(|()| ((), event)).map_err(Error::from) })
            })
            .await
            .map_err(Error::from)
    }

    /// What is kept under a name and has not ended.
    pub async fn entry(&self, caller: &Caller, name: EntryName<'_>) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let mut transaction = read_as_of_now(&self.inner.pool, caller.organization_id).await?;
        let row = entries::by_path(&mut transaction, name.token_id, name.path).await?;
        transaction.rollback().await?;
        let now = self.inner.clock.now();
        let Some(row) = row.filter(|row| row.expires_at.is_none_or(|end| now < end)) else { return Ok(None) };
        let key = self.stored_cubbyhole_key(caller.organization_id, Some(row.cubbyhole_key_id)).await?;
        let Some(key) = key else {
            return Err(self.refuse_row(caller.organization_id, entries::TABLE, row.id).await);
        };
        let Some((iv, ciphertext_and_tag)) = row.encrypted_data.split_first_chunk::<IV>() else {
            return Err(self.refuse_row(caller.organization_id, entries::TABLE, row.id).await);
        };
        let sealed = Ciphertext { iv: *iv, ciphertext_and_tag: ciphertext_and_tag.to_vec() };
        let aad = bound(caller.organization_id, &name, key.id());
        match self.inner.bridge.aes_gcm_decrypt(&key.reference(), sealed, aad).await {
            Ok(content) => Ok(Some(Zeroizing::new(content))),
            // The tag does not fit what was read: somebody else wrote the row.
            Err(hsm_bridge::Error::Refused { .. }) => {
                Err(self.refuse_row(caller.organization_id, entries::TABLE, row.id).await)
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Names below `prefix` (empty, or ending in `/`), sorted; what lies deeper as `name/`.
    pub async fn entry_names(&self, organization_id: Uuid, token_id: Uuid, prefix: &str) -> Result<Vec<String>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let paths = entries::paths(&mut transaction, token_id, prefix).await?;
        transaction.rollback().await?;
        let mut names: Vec<String> = paths
            .iter()
            .filter_map(|path| path.strip_prefix(prefix))
            .map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(name, _)| format!("{name}/")))
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Deletes one; a record is written whether or not it was there.
    pub async fn delete_entry(&self, caller: &Caller, name: EntryName<'_>) -> Result<()> {
        let event = self.entry_event(caller, "cubbyhole.delete", &name);
        let (token_id, path) = (name.token_id, name.path.to_owned());
        self.inner
            .audit
            .commit(caller.organization_id, move |connection| {
                Box::pin(async move {
                    entries::delete(connection, token_id, &path).await.map(|()| ((), event)).map_err(Error::from)
                })
            })
            .await
            .map_err(Error::from)
    }

    /// Tokens that have entries since five minutes or longer, after `after` in the order of their ids. Five minutes: an answer is kept
    /// before its wrapping token is written.
    pub async fn entry_owners(&self, organization_id: Uuid, after: Uuid, limit: i64) -> Result<Vec<Uuid>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let before = self.inner.clock.now() - TimeDelta::minutes(5);
        let owners = entries::owners(&mut transaction, after, before, limit).await?;
        transaction.rollback().await?;
        Ok(owners)
    }

    /// Deletes the entries of tokens that are gone, with one record.
    pub async fn delete_entries_of(&self, organization_id: Uuid, tokens: Vec<Uuid>) -> Result<()> {
        let mut event =
            record::event(&system(organization_id), self.inner.clock.now(), "key_access", "cubbyhole.sweep");
        let named = tokens.iter().map(|id| Value::Text(id.to_string().into())).collect();
        event.data.insert("token_ids".into(), Value::List(named));
        self.inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    let deleted = entries::delete_of(connection, &tokens).await?;
                    event.data.insert("deleted".into(), Value::Integer(i64::try_from(deleted).unwrap_or(i64::MAX)));
                    Ok::<_, Error>(((), event))
                })
            })
            .await
            .map_err(Error::from)
    }

    /// Deletes entries whose own time is over, some at a time; how many went.
    pub async fn sweep_entries(&self, organization_id: Uuid, limit: i64) -> Result<u64> {
        let now = self.inner.clock.now();
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let has_ended = entries::has_ended(&mut transaction, now).await?;
        transaction.rollback().await?;
        if !has_ended {
            return Ok(0);
        }
        let mut event = record::event(&system(organization_id), now, "key_access", "cubbyhole.expire");
        self.inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    let deleted = entries::delete_ended(connection, now, limit).await?;
                    event.data.insert("deleted".into(), Value::Integer(i64::try_from(deleted).unwrap_or(i64::MAX)));
                    Ok::<_, Error>((deleted, event))
                })
            })
            .await
            .map_err(Error::from)
    }

    fn entry_event(&self, caller: &Caller, event_type: &'static str, name: &EntryName<'_>) -> audit_chain::Event {
        let mut event = record::event(caller, self.inner.clock.now(), "key_access", event_type);
        event.data.insert("token_id".into(), Value::Text(name.token_id.to_string().into()));
        event.data.insert("entry".into(), Value::Text(name.path.to_owned().into()));
        event
    }
}

/// What a ciphertext is bound to.
fn bound(organization_id: Uuid, name: &EntryName<'_>, key_id: Uuid) -> Vec<u8> {
    RowBytes::new("cubbyhole_entries")
        .id(Some(organization_id))
        .id(Some(name.token_id))
        .text(name.path)
        .id(Some(key_id))
        .finish()
}
