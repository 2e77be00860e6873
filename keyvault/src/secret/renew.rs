//! Rotation of secrets: a new value that the service makes, or that people bring when they were told.
//!
//! What is due is due by the clock of the database and stays due until its row says otherwise; the row changes in the transaction of the new
//! version, or after people were told. Whoever is killed in between leaves it due, for the same time.

use super::find::Which;
use super::generator::{Generated, Generator};
use super::write::{describe, put};
use super::{ATTEMPTS, SecretName, SecretVersion, rules};
use crate::store::read_as_of_now;
use crate::store::secrets::{self, SecretRow};
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Value};
use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;
use zeroize::Zeroizing;

/// A secret whose time has come.
#[derive(Clone, Debug)]
pub struct DueSecret {
    /// Its row.
    pub id: Uuid,
    /// Which.
    pub name: SecretName,
    /// Since when.
    pub due_at: DateTime<Utc>,
}

/// How a secret is to be rotated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Renewal<'r> {
    /// Only if this is the time that is due; `None`: now, whether or not.
    pub due_at: Option<DateTime<Utc>>,
    /// What it is to hold; `None`: what its generator makes.
    pub content: Option<&'r [u8]>,
    /// No key pairs are made.
    pub fips: bool,
}

impl Vault {
    /// Secrets that are to be rotated, the longest due first.
    pub async fn due_secrets(&self, organization_id: Uuid, limit: i64) -> Result<Vec<DueSecret>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let due = secrets::search::due(&mut transaction, organization_id, limit).await?;
        transaction.rollback().await?;
        Ok(due.into_iter().map(|due| DueSecret { id: due.id, name: due.name, due_at: due.due_at }).collect())
    }

    /// Whether the service makes its next value; `None`: it is not due at that time any more.
    pub async fn has_generator(&self, organization_id: Uuid, due: &DueSecret) -> Result<Option<bool>> {
        let found = self.find_secret(organization_id, &due.name, Which::None, false).await?;
        let secret = found.secret.filter(|secret| is_due(secret, Some(due.due_at)));
        Ok(secret.map(|secret| secret.profile.rotation.generator.is_some()))
    }

    /// Writes a new version with another value. `merge` makes it of the newest one and of what the generator made. `None`: there is no such
    /// secret, or it is not due any more.
    pub async fn renew_secret(
        &self,
        caller: &Caller,
        name: &SecretName,
        renewal: Renewal<'_>,
        merge: impl Fn(Option<&[u8]>, &Generated) -> Result<Zeroizing<Vec<u8>>, String> + Send + Sync,
    ) -> Result<Option<SecretVersion>> {
        for _ in 0..ATTEMPTS {
            let mut event = self.secret_event(caller, "secret.rotate", name);
            let found = self.find_secret(caller.organization_id, name, Which::None, false).await?;
            let Some(secret) = found.secret.filter(|secret| is_due(secret, renewal.due_at)) else {
                self.absent(event).await?;
                return Ok(None);
            };
            event.resource_id = Some(secret.id.to_string());
            // Before its turn comes: a key pair may take seconds.
            let generator = secret.profile.rotation.generator;
            let made = match (renewal.content, &generator) {
                (Some(_), _) => None,
                (None, None) => {
                    let reason = "the secret has no generator: send its new `data`, or give it a generator first";
                    return Err(self.refuse_secret(event, reason).await);
                }
                (None, Some(generator)) => {
                    match self.generate_value(caller.organization_id, generator, renewal.fips).await {
                        Err(Error::Invalid(reason)) => return Err(self.refuse_secret(event, reason).await),
                        other => Some(other?),
                    }
                }
            };
            match self.write_renewed(caller, name, renewal, (generator, made), &merge).await {
                Err(Error::Conflict) => {}
                other => return other,
            }
        }
        Err(Error::Conflict)
    }

    async fn write_renewed(
        &self,
        caller: &Caller,
        name: &SecretName,
        renewal: Renewal<'_>,
        (generator, made): (Option<Generator>, Option<Generated>),
        merge: &(impl Fn(Option<&[u8]>, &Generated) -> Result<Zeroizing<Vec<u8>>, String> + Send + Sync),
    ) -> Result<Option<SecretVersion>> {
        let _turn = self.inner.turns.of(name).await;
        let mut event = self.secret_event(caller, "secret.rotate", name);
        let mut found = self.find_secret(caller.organization_id, name, Which::NewestAndDropped, true).await?;
        let now = self.inner.clock.now().trunc_subsecs(6);
        let old = self.content(caller.organization_id, &found, now).await?;
        let refusal = rules::refuse_expired(&found, now);
        let Some(secret) = found.secret.as_mut().filter(|secret| is_due(secret, renewal.due_at)) else {
            self.absent(event).await?;
            return Ok(None);
        };
        if made.is_some() && secret.profile.rotation.generator != generator {
            return Err(Error::Conflict);
        }
        event.resource_id = Some(secret.id.to_string());
        let content = match (&made, renewal.content) {
            (Some(made), _) => merge(old.as_ref().map(|old| old.as_slice()), made),
            (None, content) => Ok(Zeroizing::new(content.unwrap_or_default().to_vec())),
        };
        let content = content.and_then(|content| {
            let refusal = refusal.or_else(|| rules::refuse_length(content.len()));
            refusal.map_or(Ok(content), Err)
        });
        let content = match content {
            Ok(content) => content,
            Err(reason) => return Err(self.refuse_secret(event, reason).await),
        };
        if let Some(made) = &made {
            event.data.insert("generated".into(), Value::Bool(true));
            secret.profile.public_key.clone_from(&made.public_key);
        }
        secret.profile.rotation.last_at = Some(now);
        go_on(secret, now);
        let oldest = self.oldest_after_next(&found);
        found.versions.retain(|row| row.version < oldest);
        self.add_version(caller, name, found, &content, event).await.map(Some)
    }

    /// People were told that it is due: the schedule's next time is the next.
    pub async fn put_off_renewal(&self, caller: &Caller, due: &DueSecret) -> Result<()> {
        let _turn = self.inner.turns.of(&due.name).await;
        for _ in 0..ATTEMPTS {
            let mut event = self.secret_event(caller, "secret.rotation_due", &due.name);
            let found = self.find_secret(caller.organization_id, &due.name, Which::None, false).await?;
            let Some(mut secret) = found.secret.filter(|secret| is_due(secret, Some(due.due_at))) else {
                return Ok(());
            };
            go_on(&mut secret, self.inner.clock.now());
            secret.revision += 1;
            self.bind_secret(Some(&mut secret), &mut []).await?;
            event.resource_id = Some(secret.id.to_string());
            event.data.insert("due_at".into(), Value::Text(due.due_at.to_rfc3339().into()));
            describe(&mut event, &secret, [], None);
            let done = self
                .inner
                .audit
                .commit(caller.organization_id, move |connection| {
                    Box::pin(async move {
                        put(connection, &secret, false).await?;
                        Ok(((), event))
                    })
                })
                .await;
            match done.map_err(Error::from) {
                Err(Error::Conflict) => {}
                other => return other,
            }
        }
        Err(Error::Conflict)
    }
}

/// Whether it is to be rotated because of that time; `None`: because somebody says so.
fn is_due(secret: &SecretRow, due_at: Option<DateTime<Utc>>) -> bool {
    due_at.is_none_or(|due_at| secret.profile.rotation.next_at == Some(due_at))
}

/// To the schedule's next time, which is after the one that is due also where the database's clock is ahead of ours; it ends where there is none.
fn go_on(secret: &mut SecretRow, now: DateTime<Utc>) {
    let after = secret.profile.rotation.next_at.map_or(now, |due_at| due_at.max(now));
    if secret.profile.plan(after).is_err() {
        secret.profile.rotation.enabled = false;
        secret.profile.rotation.next_at = None;
    }
}
