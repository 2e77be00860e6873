//! Logins that wait for what comes from elsewhere. Whoever goes on with one shows its handle, which is random, good once and for a short
//! while, and kept only as HMAC; any server can go on with it.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::Mount;
use crate::store::PendingRow;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// Longer ones are none of ours.
const LONGEST: usize = 256;
/// Rows that one sweep deletes at most.
const SWEPT: u16 = 5_000;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Codes of a second factor.
    Mfa,
    /// A browser that was sent to an OpenID provider.
    Oidc,
}

impl Awaited {
    const fn name(self) -> &'static str {
        match self {
            Self::Mfa => "mfa",
            Self::Oidc => "oidc",
        }
    }
}

impl Core {
    /// Has a login wait until then under a handle: a new one, or one that was taken before. Nobody knows yet whose it is, and anybody may begin
    /// one: it has no record of its own.
    pub(crate) async fn keep_login<T: Serialize>(
        &self,
        mount: &Mount,
        awaited: Awaited,
        handle: &str,
        login: &T,
        expires_at: DateTime<Utc>,
    ) -> Result<()> {
        let row = self.pending_login((mount, None), awaited, handle, login, expires_at).await?;
        let most = self.room_to_wait(mount).await?;
        Ok(self.store().add_pending_login(&row, most).await?)
    }

    /// How many logins of a method may wait; where so many are there, those that ended are deleted first.
    pub(crate) async fn room_to_wait(&self, mount: &Mount) -> Result<u32> {
        let most = self.settings().pending_logins;
        if self.store().has_pending_logins(mount.organization_id, mount.id, most).await? {
            while self.sweep_pending_logins(mount.organization_id).await? >= usize::from(SWEPT) {}
        }
        Ok(most)
    }

    /// The row of one, for a transaction that writes more.
    pub(crate) async fn pending_login<T: Serialize>(
        &self,
        (mount, secret_id): (&Mount, Option<Uuid>),
        awaited: Awaited,
        handle: &str,
        login: &T,
        expires_at: DateTime<Utc>,
    ) -> Result<PendingRow> {
        let content = serde_json::to_vec(login).map_err(|error| Error::Internal(format!("login: {error}").into()))?;
        let mut row = PendingRow {
            id: Uuid::now_v7(),
            organization_id: mount.organization_id,
            mount_id: mount.id,
            kind: awaited.name(),
            handle_hmac: self.pending_login_hmac(handle).await?,
            content: Vec::new(),
            expires_at,
            secret_id,
        };
        row.content = self.sealed(row.organization_id, &row.context(), content).await?;
        Ok(row)
    }

    /// The login that waits under a handle, and until when it would have; from now on it waits no more.
    pub(crate) async fn take_login<T: DeserializeOwned>(
        &self,
        mount: &Mount,
        awaited: Awaited,
        handle: &str,
    ) -> Result<Option<(T, DateTime<Utc>)>> {
        let Some(hmac) = self.handle_hmac(handle).await? else { return Ok(None) };
        let whose = (mount.organization_id, mount.id);
        let Some(row) = self.store().take_pending_login(whose, awaited.name(), hmac).await? else { return Ok(None) };
        Ok(self.opened_login(&row).await?.map(|login| (login, row.expires_at)))
    }

    /// The login that waits under a handle, and goes on waiting until its row is deleted.
    pub(crate) async fn waiting_login<T: DeserializeOwned>(
        &self,
        organization_id: Uuid,
        awaited: Awaited,
        handle: &str,
    ) -> Result<Option<(T, PendingRow)>> {
        let Some(hmac) = self.handle_hmac(handle).await? else { return Ok(None) };
        let found = self.store().pending_login(organization_id, awaited.name(), hmac).await?;
        let Some(row) = found else { return Ok(None) };
        Ok(self.opened_login(&row).await?.map(|login| (login, row)))
    }

    async fn handle_hmac(&self, handle: &str) -> Result<Option<[u8; 32]>> {
        if handle.is_empty() || handle.len() > LONGEST {
            return Ok(None);
        }
        self.pending_login_hmac(handle).await.map(Some)
    }

    /// `None`: it waited for too long.
    async fn opened_login<T: DeserializeOwned>(&self, row: &PendingRow) -> Result<Option<T>> {
        if row.expires_at <= self.now() {
            return Ok(None);
        }
        let opened = self.opened(row.organization_id, &row.context(), row.content.clone()).await?;
        let login = serde_json::from_slice(&opened)
            .map_err(|error| Error::Internal(format!("stored login {}: {error}", row.id).into()))?;
        Ok(Some(login))
    }

    pub(crate) async fn sweep_pending_logins(&self, organization_id: Uuid) -> Result<usize> {
        let swept = self.store().sweep_pending_logins(organization_id, self.now(), SWEPT.into()).await?;
        Ok(usize::try_from(swept).unwrap_or(usize::MAX))
    }
}
