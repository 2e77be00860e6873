//! Aliases: names that stand for keys. They give nobody anything: whoever uses one must be allowed on the key's own path, too.

use super::change::ATTEMPTS;
use super::{Key, KeyName};
use crate::row_mac::MacDomain;
use crate::store::key_aliases::{self, AliasRow};
use crate::store::{closed_mounts, named_keys, read_as_of_now};
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Value};
use std::sync::Arc;
use uuid::Uuid;

/// What a name in a mount is.
#[derive(Clone, Debug)]
pub enum Named {
    /// An alias of the key of this name.
    Alias(KeyName),
    /// A key's own.
    Key(Arc<Key>),
    /// Nobody's.
    Nothing,
}

impl Vault {
    /// The key that a name stands for; `None`: it is no alias. A key's own name is none, whatever aliases there are.
    pub async fn aliased(&self, organization_id: Uuid, mount_id: Uuid, name: &KeyName) -> Result<Option<KeyName>> {
        match self.named(organization_id, mount_id, name).await? {
            Named::Alias(target) => Ok(Some(target)),
            Named::Key(_) | Named::Nothing => Ok(None),
        }
    }

    /// What a name is. A key's own name goes before an alias, so that a key that is in the cache costs no look for one.
    pub async fn named(&self, organization_id: Uuid, mount_id: Uuid, name: &KeyName) -> Result<Named> {
        let cached = (organization_id, mount_id, name.clone());
        if let Some(key) = self.inner.cache.get(&cached) {
            return Ok(Named::Key(key));
        }
        if let Some(target) = self.inner.cache.aliased(&cached) {
            return Ok(Named::Alias(target));
        }
        // Boxed: it is rare, and its size would be every caller's.
        Box::pin(self.look_up(cached)).await
    }

    async fn look_up(&self, cached: (Uuid, Uuid, KeyName)) -> Result<Named> {
        let (organization_id, mount_id, name) = &cached;
        if let Some(key) = self.key(*organization_id, *mount_id, name).await? {
            return Ok(Named::Key(key));
        }
        let read_at = self.inner.cache.epoch();
        let Some((row, target)) = self.read_alias(*organization_id, *mount_id, name).await? else {
            return Ok(Named::Nothing);
        };
        let target = target.and_then(|target| KeyName::parse(&target)).ok_or_else(|| {
            Error::NotFound(format!(
                "alias {name} stands for a key that was deleted: point it to another, or delete it"
            ))
        })?;
        // The name came from a row whose MAC nobody has looked at.
        if self.key(*organization_id, *mount_id, &target).await?.is_none_or(|key| key.id != row.named_key_id) {
            return Err(Error::Conflict);
        }
        self.inner.cache.put_alias(cached, target.clone(), read_at);
        Ok(Named::Alias(target))
    }

    /// Names of a mount's aliases, of that key alone if one is given; sorted.
    pub async fn aliases(&self, organization_id: Uuid, mount_id: Uuid, of: Option<&Key>) -> Result<Vec<String>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let names = key_aliases::names(&mut transaction, organization_id, mount_id, of.map(|key| key.id)).await?;
        transaction.rollback().await?;
        Ok(names)
    }

    /// Has an alias stand for a key from now on, whether it is new or stood for another.
    pub async fn point_alias(&self, caller: &Caller, mount_id: Uuid, alias: &KeyName, target: &KeyName) -> Result<()> {
        let organization_id = caller.organization_id;
        for _ in 0..ATTEMPTS {
            let (key, _) = self
                .read_key(organization_id, mount_id, target)
                .await?
                .ok_or_else(|| Error::NotFound(format!("there is no key {target} that the alias could stand for")))?;
            let before = self.read_alias(organization_id, mount_id, alias).await?.map(|(row, _)| row);
            let is_new = before.is_none();
            let old = before.as_ref().map(|row| row.named_key_id);
            let mut row = before.unwrap_or_else(|| AliasRow {
                id: Uuid::now_v7(),
                organization_id,
                mount_id,
                alias: alias.as_str().to_owned(),
                named_key_id: key.id,
                revision: 0,
                row_mac: Vec::new(),
            });
            row.named_key_id = key.id;
            row.revision += 1;
            row.row_mac = self.mac(MacDomain::SecureRow, &row.row_bytes(false)).await?.to_vec();
            let mut event = self.alias_event(caller, "key_alias.point", alias, &row);
            event.data.insert("key".into(), Value::Text(target.to_string().into()));
            if let Some(old) = old {
                event.data.insert("before".into(), Value::Text(old.to_string().into()));
            }
            let (alias, target, now) = (alias.clone(), target.clone(), event.timestamp);
            let written = self
                .inner
                .audit
                .commit(organization_id, move |connection| {
                    Box::pin(async move {
                        if !closed_mounts::is_open(&mut *connection, mount_id).await? {
                            return Err(Error::NotFound("the mount was disabled meanwhile".into()));
                        }
                        if named_keys::by_name(&mut *connection, organization_id, mount_id, &alias).await?.is_some() {
                            return Err(Error::Invalid(format!("{alias} is a key's own name")));
                        }
                        let still = named_keys::by_name(&mut *connection, organization_id, mount_id, &target).await?;
                        let written = match still.filter(|still| still.id == row.named_key_id) {
                            None => false,
                            Some(_) if is_new => key_aliases::insert(connection, &row, now).await?,
                            Some(_) => key_aliases::update(connection, &row, None).await?,
                        };
                        if written { Ok(((), event)) } else { Err(Error::Conflict) }
                    })
                })
                .await
                .map_err(Error::from);
            match written {
                Err(Error::Conflict) => {}
                other => {
                    self.inner.cache.clear();
                    return other;
                }
            }
        }
        Err(Error::Conflict)
    }

    /// The name stands for nothing any more.
    pub async fn delete_alias(&self, caller: &Caller, mount_id: Uuid, alias: &KeyName) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let read = self.read_alias(caller.organization_id, mount_id, alias).await?;
            let (mut row, _) = read.ok_or_else(|| Error::NotFound(format!("there is no alias {alias}")))?;
            row.revision += 1;
            row.row_mac = self.mac(MacDomain::SecureRow, &row.row_bytes(true)).await?.to_vec();
            let event = self.alias_event(caller, "key_alias.delete", alias, &row);
            let now = event.timestamp;
            let written = self.inner.audit.commit(caller.organization_id, move |connection| {
                Box::pin(async move {
                    match key_aliases::update(connection, &row, Some(now)).await? {
                        true => Ok(((), event)),
                        false => Err(Error::Conflict),
                    }
                })
            });
            match written.await.map_err(Error::from) {
                Err(Error::Conflict) => {}
                other => {
                    self.inner.cache.clear();
                    return other;
                }
            }
        }
        Err(Error::Conflict)
    }

    async fn read_alias(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        alias: &KeyName,
    ) -> Result<Option<(AliasRow, Option<String>)>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let read = key_aliases::by_alias(&mut transaction, organization_id, mount_id, alias).await?;
        transaction.rollback().await?;
        if let Some((row, _)) = &read {
            let checked = (key_aliases::TABLE, row.id, row.row_bytes(false), row.row_mac.as_slice());
            self.check_rows(organization_id, &[checked]).await?;
        }
        Ok(read)
    }

    fn alias_event(
        &self,
        caller: &Caller,
        event_type: &'static str,
        alias: &KeyName,
        row: &AliasRow,
    ) -> audit_chain::Event {
        let mut event = record::event(caller, self.inner.clock.now(), "key_access", event_type);
        event.resource_id = Some(row.named_key_id.to_string());
        event.data.insert("alias".into(), Value::Text(alias.to_string().into()));
        let written = [(key_aliases::TABLE, row.id, row.revision, row.row_mac.as_slice())];
        event.data.insert("rows".into(), record::rows(written));
        event
    }
}
