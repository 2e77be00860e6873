//! Hearing of changes, and knowing when we would not.
//!
//! Cached authority holds for a second after the listening connection last proved that it lives. When it is lost, every request
//! reads the database again (or is refused) until it is back.

use super::{Core, Inner, ROOT_ORGANIZATION};
use crate::error::{Error, Result};
use crate::store::{
    access_policies, app_role_secret_ids, app_roles, entities, entity_aliases, group_members, identity_groups, mounts,
    roles, system_entries, tokens, user_roles, users,
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgListener, PgNotification};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use uuid::Uuid;

const CHANNEL: &str = "clm_core_changed";
/// How long cached authority outlives the last proof.
const HOLDS: Duration = Duration::from_secs(1);
/// How often the proof is asked for.
const PROVE: Duration = Duration::from_millis(250);
/// A proof that takes longer is none.
const PATIENCE: Duration = Duration::from_millis(700);
/// Before the next attempt to connect.
const BACK_OFF: Duration = Duration::from_millis(200);

/// Until when what is in memory is known to be true.
#[derive(Debug)]
pub(super) struct Freshness {
    start: Instant,
    /// Milliseconds since `start`.
    until: AtomicU64,
}

impl Default for Freshness {
    fn default() -> Self {
        Self { start: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Freshness {
    pub(super) fn holds(&self) -> bool {
        self.milliseconds(Instant::now()) < self.until.load(Ordering::Acquire)
    }

    fn prove(&self, asked: Instant) {
        self.until.store(self.milliseconds(asked + HOLDS), Ordering::Release);
    }

    fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Core {
    pub(super) fn start_listening(&self) -> Result<()> {
        let settings = self.settings();
        let url = settings.listen_url.as_ref().unwrap_or(&settings.database_url).clone();
        super::connect_options(url.expose_secret())?;
        tokio::spawn(listen(Arc::downgrade(&self.0), url));
        Ok(())
    }

    /// Forgets what a changed row concerns: `table organization id`.
    fn hear(&self, payload: &str) {
        let mut words = payload.split(' ');
        let table = words.next().unwrap_or_default();
        let mut id = || words.next().and_then(|id| Uuid::try_parse(id).ok());
        let (organization_id, id) = (id(), id());
        match (table, id) {
            // Of an alias, a membership and a role that was given the id is the one's whom it concerns.
            (
                tokens::TABLE
                | entities::TABLE
                | entity_aliases::TABLE
                | identity_groups::TABLE
                | group_members::TABLE
                | roles::TABLE
                | user_roles::TABLE
                | users::TABLE
                | app_roles::TABLE
                | app_role_secret_ids::TABLE,
                Some(id),
            ) => self.cache().forget(id),
            (mounts::TABLE, _) => self.refresh_mounts(),
            (access_policies::TABLE, _) => self.cache().invalidate_all(),
            (system_entries::TABLE, _) => {
                self.note_system_change();
                // Of another organization it may say that its namespace is locked.
                if organization_id != Some(ROOT_ORGANIZATION) {
                    self.refresh_mounts();
                }
            }
            _ => {
                self.cache().invalidate_all();
                self.refresh_mounts();
            }
        }
    }
}

async fn listen(inner: Weak<Inner>, url: SecretString) {
    loop {
        match connect(&url).await {
            Ok(mut listener) => {
                let Some(core) = inner.upgrade().map(Core) else { return };
                // What changed while nobody listened is unknown.
                core.cache().invalidate_all();
                core.refresh_mounts();
                core.note_system_change();
                drop(core);
                let lost = attend(&inner, &mut listener).await;
                let Some(core) = inner.upgrade().map(Core) else { return };
                core.0.freshness.end();
                tracing::warn!(error = %lost, "listening to clm_core_db is lost; cached authority ends until it is back");
            }
            Err(error) => tracing::warn!(%error, "cannot listen to clm_core_db; requests read the database each time"),
        }
        if inner.strong_count() == 0 {
            return;
        }
        tokio::time::sleep(BACK_OFF).await;
    }
}

async fn connect(url: &SecretString) -> std::result::Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect(url.expose_secret()).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Hears and proves until the connection is lost or nobody needs it.
async fn attend(inner: &Weak<Inner>, listener: &mut PgListener) -> Error {
    let lost = |why: &'static str| Error::Internal(why.into());
    loop {
        // First the proof: whatever was committed before it was asked has been heard when it is answered.
        let asked = Instant::now();
        let answered = tokio::time::timeout(PATIENCE, sqlx::query("SELECT 1").execute(&mut *listener)).await;
        let Some(core) = inner.upgrade().map(Core) else { return lost("closed") };
        match answered {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return lost("the connection broke"),
            Err(_) => return lost("the database does not answer in time"),
        }
        while let Some(notification) = listener.next_buffered() {
            core.hear(notification.payload());
        }
        core.0.freshness.prove(asked);
        drop(core);
        let next = tokio::time::Instant::now() + PROVE;
        loop {
            match tokio::time::timeout_at(next, listener.try_recv()).await {
                Err(_) => break,
                Ok(Ok(Some(notification))) => heard(inner, &notification),
                Ok(Ok(None) | Err(_)) => return lost("the connection broke"),
            }
        }
    }
}

fn heard(inner: &Weak<Inner>, notification: &PgNotification) {
    if let Some(core) = inner.upgrade().map(Core) {
        core.hear(notification.payload());
    }
}
