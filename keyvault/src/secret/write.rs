//! Writing a version: whole, or as a change of the newest.

use super::data_key::Place;
use super::disable::expect_open;
use super::find::{Found, Which};
use super::{ATTEMPTS, SecretName, SecretProfile, SecretVersion, rules};
use crate::row_mac::{MacDomain, RowBytes};
use crate::store::secret_versions::{self, SecretVersionRow};
use crate::store::secrets::{self, SecretRow};
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Event, Value};
use chrono::{DateTime, SubsecRound, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use uuid::Uuid;
use zeroize::Zeroizing;

/// What came of a change of the newest version.
#[derive(Debug)]
pub enum Patched {
    /// There is no such secret.
    Absent,
    /// Its newest version is deleted or destroyed.
    Gone(SecretVersion),
    /// The new version.
    Written(SecretVersion),
}

impl Vault {
    /// Writes a new version. `cas`: the version that it must follow; 0: none.
    pub async fn write_secret(
        &self,
        caller: &Caller,
        name: &SecretName,
        cas: Option<i64>,
        content: &[u8],
    ) -> Result<SecretVersion> {
        let _turn = self.inner.turns.of(name).await;
        for _ in 0..ATTEMPTS {
            let event = self.secret_event(caller, "secret.write", name);
            if let Some(reason) = rules::refuse_name(name).or_else(|| rules::refuse_length(content.len())) {
                return Err(self.refuse_secret(event, reason).await);
            }
            let found = self.find_secret(caller.organization_id, name, Which::Dropped, false).await?;
            let cas = rules::refuse_cas(cas, is_cas_required(&found), found.current()).map(str::to_owned);
            if let Some(reason) = cas.or_else(|| rules::refuse_expired(&found, self.inner.clock.now())) {
                return Err(self.refuse_secret(event, reason).await);
            }
            match self.add_version(caller, name, found, content, event).await {
                Err(Error::Conflict) => {}
                other => return other,
            }
        }
        Err(Error::Conflict)
    }

    /// Writes a new version that `merge` makes of the newest one.
    pub async fn patch_secret(
        &self,
        caller: &Caller,
        name: &SecretName,
        cas: Option<i64>,
        merge: impl Fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, String> + Send + Sync,
    ) -> Result<Patched> {
        let _turn = self.inner.turns.of(name).await;
        for _ in 0..ATTEMPTS {
            let mut event = self.secret_event(caller, "secret.patch", name);
            let mut found = self.find_secret(caller.organization_id, name, Which::NewestAndDropped, true).await?;
            let (Some(secret), Some(newest)) = (&found.secret, found.version(found.current())) else {
                self.absent(event).await?;
                return Ok(Patched::Absent);
            };
            let newest = SecretVersion::of(secret, newest);
            event.resource_id = Some(secret.id.to_string());
            if let Some(reason) = rules::refuse_cas(cas, is_cas_required(&found), found.current()) {
                return Err(self.refuse_secret(event, reason).await);
            }
            let Some(old) = self.content(caller.organization_id, &found, self.inner.clock.now()).await? else {
                let reason = "the newest version is deleted or destroyed";
                self.inner.audit.append(record::failed(event, reason)).await?;
                return Ok(Patched::Gone(newest));
            };
            let content = match merge(&old).map(|content| (rules::refuse_length(content.len()), content)) {
                Ok((None, content)) => content,
                Ok((Some(reason), _)) | Err(reason) => return Err(self.refuse_secret(event, reason).await),
            };
            // Whether the newest one is dropped for the next depends on how many are kept.
            let oldest = self.oldest_after_next(&found);
            found.versions.retain(|row| row.version < oldest);
            match self.add_version(caller, name, found, &content, event).await {
                Err(Error::Conflict) => {}
                other => return other.map(Patched::Written),
            }
        }
        Err(Error::Conflict)
    }

    pub(super) fn oldest_after_next(&self, found: &Found) -> i32 {
        let (oldest, settings) =
            found.secret.as_ref().map_or((0, Default::default()), |secret| (secret.oldest_version, secret.settings));
        rules::oldest_after(found.current().saturating_add(1), oldest, found.mount_settings(), settings)
    }

    /// Adds a version to what was found; the versions found are dropped for it.
    pub(super) async fn add_version(
        &self,
        caller: &Caller,
        name: &SecretName,
        found: Found,
        content: &[u8],
        mut event: Event,
    ) -> Result<SecretVersion> {
        let now = self.inner.clock.now().trunc_subsecs(6);
        let oldest_version = self.oldest_after_next(&found);
        let mount = found.mount_settings();
        let is_new = found.secret.is_none();
        let mut secret = found.secret.unwrap_or_else(|| new_secret(caller, name, now));
        secret.version = secret.version.checked_add(1).ok_or_else(|| Error::Invalid("no more versions".into()))?;
        (secret.oldest_version, secret.written_at) = (oldest_version, now);
        if secret.profile.rotation.enabled {
            secret.profile.rotation.last_at = Some(now);
        }
        if !is_new {
            secret.revision += 1;
        }
        let (mut version, ciphertext) = match self.new_version(caller, &secret, content, now).await {
            // The data key is spent.
            Err(Error::Invalid(reason)) => return Err(self.refuse_secret(event, reason).await),
            other => other?,
        };
        version.deleted_at = rules::deletion_time(now, mount, secret.settings);
        let mut dropped = found.versions;
        for row in &mut dropped {
            row.revision += 1;
            row.destroy(now);
        }
        let mut changed: Vec<&mut SecretVersionRow> = dropped.iter_mut().chain([&mut version]).collect();
        self.bind_secret(Some(&mut secret), &mut changed).await?;
        event.resource_id = Some(secret.id.to_string());
        event.data.insert("version".into(), Value::Integer(version.version.into()));
        describe(&mut event, &secret, dropped.iter().chain([&version]), version.value_hmac.as_deref());
        let written = SecretVersion::of(&secret, &version);
        self.inner
            .audit
            .commit(caller.organization_id, move |connection| {
                Box::pin(async move {
                    put(&mut *connection, &secret, is_new).await?;
                    if !secret_versions::update_states(&mut *connection, &dropped).await? {
                        return Err(Error::Conflict);
                    }
                    secret_versions::insert(connection, &version, &ciphertext).await?;
                    Ok((written, event))
                })
            })
            .await
            .map_err(Error::from)
    }

    /// The row of a secret's newest version, not yet bound, and its ciphertext.
    pub(super) async fn new_version(
        &self,
        caller: &Caller,
        secret: &SecretRow,
        content: &[u8],
        now: DateTime<Utc>,
    ) -> Result<(SecretVersionRow, Vec<u8>)> {
        let organization_id = caller.organization_id;
        let key = self.newest_data_key(organization_id).await?;
        let place = Place { organization_id, name: &secret.name, secret_id: secret.id, version: secret.version };
        let value = Zeroizing::new(RowBytes::new("value").id(Some(organization_id)).bytes(Some(content)).finish());
        let (ciphertext, value_hmac) =
            tokio::try_join!(self.seal_version(&key, place, content), self.mac(MacDomain::SecretValue, &value))?;
        let version = SecretVersionRow {
            id: Uuid::now_v7(),
            organization_id,
            secret_id: secret.id,
            version: secret.version,
            digest: Some(Sha256::digest(&ciphertext).to_vec()),
            value_hmac: Some(value_hmac.to_vec()),
            encryption_key_id: key.id(),
            revision: 1,
            row_mac: Vec::new(),
            created_by_user_id: caller.user_id,
            created_at: now,
            deleted_at: None,
            destroyed_at: None,
        };
        Ok((version, ciphertext))
    }
}

fn is_cas_required(found: &Found) -> bool {
    found.mount_settings().cas_required || found.secret.as_ref().is_some_and(|secret| secret.settings.cas_required)
}

/// Writes a secret's row, a new one only where the mount is open; [`Error::Conflict`]: somebody else was faster.
pub(super) async fn put(connection: &mut PgConnection, secret: &SecretRow, is_new: bool) -> Result<()> {
    let is_first = if is_new {
        expect_open(&mut *connection, secret.name.mount_id).await?;
        secrets::insert(connection, secret).await?
    } else {
        secrets::update(connection, secret).await?
    };
    if is_first { Ok(()) } else { Err(Error::Conflict) }
}

/// A secret without a version, not yet bound.
pub(super) fn new_secret(caller: &Caller, name: &SecretName, now: DateTime<Utc>) -> SecretRow {
    SecretRow {
        id: Uuid::now_v7(),
        organization_id: caller.organization_id,
        name: name.clone(),
        version: 0,
        oldest_version: 0,
        settings: Default::default(),
        custom_metadata: BTreeMap::new(),
        profile: SecretProfile::default(),
        revision: 1,
        row_mac: Vec::new(),
        created_by_user_id: caller.user_id,
        created_at: now,
        written_at: now,
        deleted_at: None,
    }
}

/// Says which rows were written, and by its HMAC which value.
pub(super) fn describe<'v>(
    event: &mut Event,
    secret: &SecretRow,
    versions: impl IntoIterator<Item = &'v SecretVersionRow>,
    value_hmac: Option<&[u8]>,
) {
    let rows = [(secrets::TABLE, secret.id, secret.revision, secret.row_mac.as_slice())];
    let versions =
        versions.into_iter().map(|row| (secret_versions::TABLE, row.id, row.revision, row.row_mac.as_slice()));
    event.data.insert("rows".into(), record::rows(rows.into_iter().chain(versions)));
    if let Some(hmac) = value_hmac {
        event.data.insert("value_hmac".into(), Value::Text(hex::encode(hmac).into()));
    }
}
