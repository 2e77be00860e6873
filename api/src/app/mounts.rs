//! Which mounts a token may see something of.

use super::{Context, Error, Result};
use clm_core::{Mount, TuneMount};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Context {
    /// Engines below whose path the token's policies say anything.
    pub(crate) fn visible_mounts(&self) -> Vec<Arc<Mount>> {
        let mounts = self.services.core.mounts(self.caller.organization_id);
        mounts.into_iter().filter(|mount| self.authority.touches(&mount.path)).collect()
    }

    /// Sets an option of an engine's own, which `sys/mounts` shows with the others.
    pub(crate) async fn set_engine_option(&self, mount: &Mount, name: &str, value: String) -> Result<()> {
        let options = Some(BTreeMap::from([(name.to_owned(), value)]));
        self.services.core.tune(&self.caller, &mount.path, TuneMount { options, ..TuneMount::default() }).await?;
        Ok(())
    }

    /// Ways to log in, likewise.
    pub(crate) fn visible_auth_mounts(&self) -> Vec<Arc<Mount>> {
        let mounts = self.services.core.auth_mounts(self.caller.organization_id);
        mounts.into_iter().filter(|mount| self.authority.touches(&format!("auth/{}", mount.path))).collect()
    }

    /// The mount that `path` lies in, if the token may touch something below it; clients ask this before they do anything.
    pub(crate) fn preflight(&self, path: &str) -> Result<(Arc<Mount>, String)> {
        let refused = || {
            let shown = path.trim_end_matches('/');
            Error::Forbidden(format!(
                "preflight capability check returned 403, please ensure client's policies grant access to path \"{shown}/\""
            ))
        };
        let (mount, rest) = self.services.core.resolve(self.caller.organization_id, path).ok_or_else(refused)?;
        // `transit` alone resolves to `transit/` with nothing left.
        let whole = if path.ends_with('/') || !rest.is_empty() { path.to_owned() } else { format!("{path}/") };
        let full = whole.strip_suffix(rest).unwrap_or(&whole).to_owned();
        if self.authority.touches(&full) { Ok((mount, full)) } else { Err(refused()) }
    }
}
