//! Logins that wait for what comes from elsewhere. Whoever goes on with one shows its handle, which is random, good once and for a short
//! while, and kept only as HMAC; any server can go on with it.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::Mount;
use crate::store::PendingRow;
use crate::token::random_base62;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Characters of a handle: 238 bits.
const HANDLE: usize = 40;
/// Longer ones are none of ours.
const LONGEST: usize = 256;
/// Rows that one sweep deletes at most.
const SWEPT: i64 = 5_000;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// A browser that was sent to an OpenID provider.
    Oidc,
}

impl Awaited {
    const fn name(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
        }
    }

    /// How its handles begin.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Oidc => "st_",
        }
    }
}

impl Core {
    /// Has a login wait for so long; its handle.
    pub(crate) async fn keep_login<T: Serialize>(
        &self,
        mount: &Mount,
        awaited: Awaited,
        login: &T,
        lasts: TimeDelta,
    ) -> Result<Zeroizing<String>> {
        let handle = Zeroizing::new(format!("{}{}", awaited.prefix(), &**random_base62(HANDLE)?));
        self.keep_login_as(mount, awaited, &handle, login, self.now() + lasts).await?;
        Ok(handle)
    }

    /// The same under a handle that was taken before.
    pub(crate) async fn keep_login_as<T: Serialize>(
        &self,
        mount: &Mount,
        awaited: Awaited,
        handle: &str,
        login: &T,
        expires_at: DateTime<Utc>,
    ) -> Result<()> {
        let content = serde_json::to_vec(login).map_err(|error| Error::Internal(format!("login: {error}").into()))?;
        let mut row = PendingRow {
            id: Uuid::now_v7(),
            organization_id: mount.organization_id,
            mount_id: mount.id,
            kind: awaited.name(),
            handle_hmac: self.pending_login_hmac(handle).await?,
            content: Vec::new(),
            expires_at,
        };
        row.content = self.sealed(row.organization_id, &row.context(), content).await?;
        Ok(self.store().put_pending_login(&row).await?)
    }

    /// The login that waits under a handle, and until when it would have; from now on it waits no more.
    pub(crate) async fn take_login<T: DeserializeOwned>(
        &self,
        mount: &Mount,
        awaited: Awaited,
        handle: &str,
    ) -> Result<Option<(T, DateTime<Utc>)>> {
        if handle.is_empty() || handle.len() > LONGEST {
            return Ok(None);
        }
        let hmac = self.pending_login_hmac(handle).await?;
        let whose = (mount.organization_id, mount.id);
        let Some(row) = self.store().take_pending_login(whose, awaited.name(), hmac).await? else { return Ok(None) };
        if row.expires_at <= self.now() {
            return Ok(None);
        }
        let opened = self.opened(row.organization_id, &row.context(), row.content.clone()).await?;
        let login = serde_json::from_slice(&opened)
            .map_err(|error| Error::Internal(format!("stored login {}: {error}", row.id).into()))?;
        Ok(Some((login, row.expires_at)))
    }

    pub(crate) async fn sweep_pending_logins(&self, organization_id: Uuid) -> Result<usize> {
        let swept = self.store().sweep_pending_logins(organization_id, self.now(), SWEPT).await?;
        Ok(usize::try_from(swept).unwrap_or(usize::MAX))
    }
}
