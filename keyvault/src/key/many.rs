//! Making many keys at once: as many a transaction and a record as are asked for, and the token asked for many things at a time. For loading a
//! deployment with keys, each of which is as good as one that was made alone.

use super::create::{change_event, rows};
use super::{Key, KeyName, KeySettings, KeyState, NewKey};
use crate::row_mac::MacDomain;
use crate::store::key_versions::{self, KeyVersionRow};
use crate::store::{closed_mounts, named_keys};
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Value};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Requests under way to the token.
const AT_ONCE: usize = 64;

impl Vault {
    /// Makes wrapped keys of these names, of which none may be taken: all or nothing, with one record.
    pub async fn create_keys(&self, caller: &Caller, mount_id: Uuid, names: Vec<KeyName>, new: NewKey) -> Result<()> {
        if new.on_token {
            return Err(Error::Invalid("objects on the token are made one by one".into()));
        }
        self.check_offered(&new).await?;
        let made = stream::iter(names).map(|name| self.one_of_many(caller, mount_id, name, new)).buffered(AT_ONCE);
        let mut made: Vec<(Key, KeyVersionRow)> = made.try_collect().await?;
        let Some((first, _)) = made.first() else { return Ok(()) };
        let mut event = change_event(caller, self.inner.clock.now(), "key.create", first, 1);
        let count = i64::try_from(made.len()).unwrap_or(i64::MAX);
        event.data.insert("count".into(), Value::Integer(count));
        event.data.insert("type".into(), Value::Text(new.algorithm.name().into()));

        let bytes: Vec<Vec<u8>> =
            made.iter().flat_map(|(key, version)| [key.row_bytes(false), version.row_bytes()]).collect();
        let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let macs = self.macs(self.deployment().await?.mac_key(), MacDomain::SecureRow, &bytes).await?;
        let mut written = Vec::with_capacity(2 * made.len());
        for ((key, version), macs) in made.iter_mut().zip(macs.chunks_exact(2)) {
            version.row_mac = macs[1].to_vec();
            if let Value::List(both) = rows(key, &macs[0], &[version]) {
                written.extend(both);
            }
        }
        event.data.insert("rows".into(), Value::List(written));
        let keys: Vec<(Key, [u8; 32], KeyVersionRow)> =
            made.into_iter().zip(macs.chunks_exact(2)).map(|((key, version), macs)| (key, macs[0], version)).collect();
        let now = event.timestamp;
        let inserted = self.inner.audit.commit(caller.organization_id, move |connection| {
            Box::pin(async move {
                if !closed_mounts::is_open(&mut *connection, mount_id).await? {
                    return Err(Error::NotFound("the mount was disabled meanwhile".into()));
                }
                for (key, mac, version) in &keys {
                    if !named_keys::insert(&mut *connection, key, mac, now).await? {
                        return Err(Error::Exists);
                    }
                    key_versions::insert(&mut *connection, version).await?;
                }
                Ok(((), event))
            })
        });
        inserted.await.map_err(Error::from)
    }

    async fn one_of_many(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: KeyName,
        new: NewKey,
    ) -> Result<(Key, KeyVersionRow)> {
        let key = Key {
            id: Uuid::now_v7(),
            organization_id: caller.organization_id,
            mount_id,
            name,
            algorithm: new.algorithm,
            derivation: new.derivation,
            settings: KeySettings {
                exportable: new.exportable,
                allow_plaintext_backup: new.allow_plaintext_backup,
                auto_rotate_seconds: new.auto_rotate_seconds,
                state: if new.pre_activation { KeyState::PreActivation } else { KeyState::Active },
                limits: new.limits,
                ..KeySettings::new()
            },
            revision: 1,
            versions: BTreeMap::new(),
        };
        let version = self.generate_version(&key, 1, false).await?;
        Ok((key, version))
    }
}
