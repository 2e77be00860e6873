//! Making many keys at once: as many a transaction and a record as are asked for, and the token asked for many things at a time. For loading a
//! deployment with keys, each of which is as good as one that was made alone.

use super::create::{HMAC_KEY_BYTES, change_event, empty_version, rows};
use super::{Key, KeyName, NewKey};
use crate::row_mac::MacDomain;
use crate::store::key_versions::{self, KeyVersionRow};
use crate::store::{closed_mounts, named_keys};
use crate::{Error, Result, Vault, quota};
use audit_chain::{Caller, Value};
use chrono::SubsecRound;
use futures_util::{StreamExt, TryStreamExt, stream};
use hsm_bridge::{KeyRef, KeyType, Purpose};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Pairs that the token is asked for at a time.
const AT_ONCE: usize = 64;

impl Vault {
    /// Makes wrapped keys of these names, of which none may be taken: all or nothing, with one record.
    pub async fn create_keys(&self, caller: &Caller, mount_id: Uuid, names: Vec<KeyName>, new: NewKey) -> Result<()> {
        if new.on_token {
            return Err(Error::Invalid("objects on the token are made one by one".into()));
        }
        self.check_offered(&new).await?;
        let mut made = if new.algorithm.is_symmetric() {
            self.many_secret_keys(caller, mount_id, names, new).await?
        } else {
            let made = stream::iter(names).map(|name| self.one_of_many(caller, mount_id, name, new)).buffered(AT_ONCE);
            made.try_collect::<Vec<_>>().await?
        };
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
        let (keys, versions): (Vec<Key>, Vec<KeyVersionRow>) = made.into_iter().unzip();
        let keys: Vec<(Key, [u8; 32])> = keys.into_iter().zip(macs.chunks_exact(2).map(|pair| pair[0])).collect();
        let now = event.timestamp;
        let organization_id = caller.organization_id;
        let most = self.max_keys(organization_id);
        let inserted = self.inner.audit.commit(organization_id, move |connection| {
            Box::pin(async move {
                if !closed_mounts::is_open(&mut *connection, mount_id).await? {
                    return Err(Error::NotFound("the mount was disabled meanwhile".into()));
                }
                let keys: Vec<(&Key, &[u8])> = keys.iter().map(|(key, mac)| (key, mac.as_slice())).collect();
                if !named_keys::insert_all(&mut *connection, &keys, now).await? {
                    return Err(Error::Exists);
                }
                quota::expect_room(&mut *connection, organization_id, most).await?;
                key_versions::insert_all(connection, &versions).await?;
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
        let key = of_many(caller, mount_id, name, new);
        let version = self.generate_version(&key, 1, false).await?;
        Ok((key, version))
    }

    /// Secret keys and the HMAC keys beside them, each kind asked for at once.
    async fn many_secret_keys(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        names: Vec<KeyName>,
        new: NewKey,
    ) -> Result<Vec<(Key, KeyVersionRow)>> {
        let organization_key = self.organization_key(caller.organization_id).await?;
        let (encryption_key_id, wrapped_by) = (organization_key.id, KeyRef::Wrapped(organization_key));
        let keys: Vec<Key> = names.into_iter().map(|name| of_many(caller, mount_id, name, new)).collect();
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        let bridge = &self.inner.bridge;
        let blobs = bridge.generate_wrapped_keys(first.key_type(), first.purpose(), &wrapped_by, keys.len());
        let is_hmac = new.algorithm.key_size().is_some();
        let beside = if is_hmac { 0 } else { keys.len() };
        let hmac = KeyType::Hmac(HMAC_KEY_BYTES);
        let hmac_blobs = bridge.generate_wrapped_keys(hmac, Purpose::Mac, &wrapped_by, beside);
        let (blobs, hmac_blobs) = tokio::try_join!(blobs, hmac_blobs)?;
        let mut hmac_blobs = hmac_blobs.into_iter();
        let now = self.inner.clock.now().trunc_subsecs(6);
        let with_version = |(key, blob): (Key, Vec<u8>)| {
            let version = KeyVersionRow {
                blob: Some(blob),
                hmac_blob: hmac_blobs.next(),
                encryption_key_id: Some(encryption_key_id),
                ..empty_version(&key, 1, "wrapped", now)
            };
            (key, version)
        };
        Ok(keys.into_iter().zip(blobs).map(with_version).collect())
    }
}

fn of_many(caller: &Caller, mount_id: Uuid, name: KeyName, new: NewKey) -> Key {
    Key {
        id: Uuid::now_v7(),
        organization_id: caller.organization_id,
        mount_id,
        name,
        algorithm: new.algorithm,
        derivation: new.derivation,
        settings: new.settings(),
        revision: 1,
        versions: BTreeMap::new(),
    }
}
