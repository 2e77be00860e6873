//! Reading, writing, deleting and restoring, the same for every kind.

use super::entry::{Entry, Fields, Moment, changed, checked_code};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::store::{StoreError, references};
use audit_chain::{Caller, Event, Value};
use serde_json::Map;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How often a change is tried anew when somebody else changes the same thing.
const ATTEMPTS: usize = 5;
/// Longest JSON of one field, bytes.
const LONGEST_JSON: usize = 65_536;

impl Core {
    /// What has that code, deleted or not, if its row is ours.
    pub(super) async fn entry<F: Fields>(&self, owner: Uuid, code: &str) -> Result<Option<Entry<F>>> {
        let Some(entry) = self.store().entry::<F>(owner, code).await? else { return Ok(None) };
        self.check_row((F::KIND.table(), owner, entry.id), F::bound_bytes(&entry), &entry.row_mac).await?;
        Ok(Some(entry))
    }

    pub(super) async fn list_entries<F: Fields>(&self, owner: Uuid, deleted: bool) -> Result<Vec<String>> {
        Ok(self.store().entry_codes::<F>(owner, deleted).await?)
    }

    pub(super) async fn write_entry<F: Fields>(
        &self,
        caller: &Caller,
        owner: Uuid,
        code: &str,
        changes: &Map<String, serde_json::Value>,
    ) -> Result<()> {
        checked_code(code)?;
        for _ in 0..ATTEMPTS {
            let old = self.entry::<F>(owner, code).await?;
            let entry = self.to_be_written(caller, owner, code, old.as_ref(), changes).await?;
            let action = if old.is_some() { "update" } else { "create" };
            match self.put_entry(caller, owner, entry, action).await {
                // Changed meanwhile, or made.
                Err(Error::Conflict(_) | Error::Database(StoreError::Taken { .. })) => {}
                other => return other,
            }
        }
        Err(Error::Conflict(F::KIND.resource()))
    }

    /// `false`: nothing was there.
    pub(super) async fn delete_entry<F: Fields>(&self, caller: &Caller, owner: Uuid, code: &str) -> Result<bool> {
        let now = self.now();
        let there = |entry: &Entry<F>| !entry.is_deleted();
        self.mark(caller, owner, code, "delete", there, |entry: &mut Entry<F>| {
            F::may_go(entry)?;
            entry.deleted_at = Some(now);
            Ok(())
        })
        .await
    }

    pub(super) async fn restore_entry<F: Fields>(&self, caller: &Caller, owner: Uuid, code: &str) -> Result<()> {
        let restored = self.mark(caller, owner, code, "restore", Entry::<F>::is_deleted, |entry: &mut Entry<F>| {
            entry.deleted_at = None;
            Ok(())
        });
        if restored.await? {
            return Ok(());
        }
        Err(Error::NotFound(format!("no {} {code:?} was deleted", F::KIND.resource()).into()))
    }

    /// Marks what is as `wanted`, or leaves it. `false`: nothing is.
    async fn mark<F: Fields>(
        &self,
        caller: &Caller,
        owner: Uuid,
        code: &str,
        action: &'static str,
        wanted: impl Fn(&Entry<F>) -> bool,
        mark: impl Fn(&mut Entry<F>) -> Result<()>,
    ) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            let Some(mut entry) = self.entry::<F>(owner, code).await?.filter(|entry| wanted(entry)) else {
                return Ok(false);
            };
            mark(&mut entry)?;
            match self.put_entry(caller, owner, entry, action).await {
                Err(Error::Conflict(_)) => {}
                other => return other.map(|()| true),
            }
        }
        Err(Error::Conflict(F::KIND.resource()))
    }

    async fn to_be_written<F: Fields>(
        &self,
        caller: &Caller,
        owner: Uuid,
        code: &str,
        old: Option<&Entry<F>>,
        changes: &Map<String, serde_json::Value>,
    ) -> Result<Entry<F>> {
        if old.is_some_and(Entry::is_deleted) {
            return Err(Error::invalid(format!(
                "the {} {code:?} was deleted: restore it, or choose another code",
                F::KIND.resource()
            )));
        }
        let fields = self.spelled(changed(old.map(|old| &old.fields), changes)?).await?;
        let mut entry = match old {
            Some(old) => Entry { fields, ..old.clone() },
            None => Entry { created_by_user_id: caller.user_id, ..Entry::new(owner, code, fields) },
        };
        F::settle(&mut entry, old, self.moment(caller))?;
        Ok(entry)
    }

    pub(super) fn moment(&self, caller: &Caller) -> Moment {
        Moment { user_id: caller.user_id, now: self.now() }
    }

    /// With its JSON as the database will give it back.
    pub(super) async fn spelled<F: Fields>(&self, mut fields: F) -> Result<F> {
        let mut json = fields.json();
        if json.is_empty() {
            return Ok(fields);
        }
        if json.iter().any(|field| field.text().len() > LONGEST_JSON) {
            return Err(Error::invalid(format!("a field of JSON has at most {LONGEST_JSON} bytes")));
        }
        let texts = json.iter().map(|field| field.text().to_owned()).collect();
        let stored = self.store().spelled(texts).await?;
        for (field, stored) in json.iter_mut().zip(stored) {
            **field = super::Json::stored(stored);
        }
        drop(json);
        Ok(fields)
    }

    /// With the revision and the MAC that it is to be written with.
    pub(crate) async fn with_mac<F: Fields>(&self, mut entry: Entry<F>) -> Result<Entry<F>> {
        entry.revision += 1;
        entry.row_mac = self.row_mac(F::bound_bytes(&entry)).await?;
        Ok(entry)
    }

    pub(super) async fn put_entry<F: Fields>(
        &self,
        caller: &Caller,
        owner: Uuid,
        entry: Entry<F>,
        action: &'static str,
    ) -> Result<()> {
        let entry = self.with_mac(entry).await?;
        let event = self.entry_event(caller, &entry, action);
        let (grows, quotas) = (matches!(action, "create" | "restore"), self.organization_quotas());
        self.change(owner, move |connection| {
            Box::pin(async move {
                // What goes may name what went before.
                if action != "delete" {
                    references::expect(&mut *connection, entry.id, &entry.fields.references()).await?;
                }
                F::put(&mut *connection, &entry).await?;
                if grows {
                    F::expect_room(connection, owner, &quotas).await?;
                }
                Ok(((), event))
            })
        })
        .await
    }

    /// The record of a change of it, with the row as it is then.
    pub(super) fn entry_event<F: Fields>(&self, caller: &Caller, entry: &Entry<F>, action: &'static str) -> Event {
        let kind = F::KIND;
        let mut event = self.event(caller, "", kind.category(), (kind.resource(), Some(entry.code.clone())), action);
        event.event_type = format!("{}.{action}", kind.resource()).into();
        let fields = serde_json::to_vec(&entry.fields).unwrap_or_default();
        let digest = hex::encode(Sha256::digest(fields));
        event.data.insert("fields_sha256".into(), Value::Text(digest.into()));
        add_rows(&mut event, [entry.row()]);
        event
    }
}
