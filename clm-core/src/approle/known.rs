//! Logins that went well, kept in memory: whoever comes again is not read anew.
//!
//! The rows that a token is given on, role and SecretID, are looked at once more under lock in the transaction that gives it; who it is holds while
//! no row of that changes, as for tokens that are there. Only what gives a token is answered so: whatever speaks against it is read first.

use super::login::of_app_role;
use super::{AppRole, AppRoleLogin, SecretId};
use crate::core::Core;
use crate::error::Result;
use crate::login::{Admitted, Visitor};
use crate::mount::Mount;
use crate::row_cache::{Key, Moment};
use crate::store::LoginRows;
use crate::token::Warning;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What a login with a SecretID rested on; each row was found to carry its MAC.
#[derive(Clone, Debug)]
pub(crate) struct KnownLogin {
    role: AppRole,
    secret: SecretId,
    whose: LoginRows,
}

impl AppRoleLogin {
    /// By what it is found again; `None`: it shows no SecretID.
    pub(super) fn key(&self, mount: &Mount) -> Option<Key> {
        let secret = self.secret_id.as_ref()?.expose_secret();
        let role = Sha256::digest(self.role_id.as_bytes());
        Some(Sha256::new().chain_update(mount.id).chain_update(role).chain_update(secret).finalize().into())
    }
}

impl KnownLogin {
    /// `None`: the next one has to be read. Its SecretID's uses are counted, or this one is the first by its name and makes who it is.
    pub(super) fn of(role: &AppRole, secret: Option<&SecretId>, whose: Option<&LoginRows>) -> Option<Self> {
        let secret = secret.filter(|secret| secret.num_uses == 0)?;
        let whose = whose.filter(|rows| rows.alias.is_some() && rows.entity.is_some())?;
        Some(Self { role: role.clone(), secret: secret.clone(), whose: whose.clone() })
    }

    fn rows(&self) -> Vec<Uuid> {
        let alias = self.whose.alias.iter().flat_map(|alias| [alias.id, alias.entity_id]);
        let entity = self.whose.entity.iter().map(|entity| entity.id);
        let groups = self.whose.groups.iter().map(|group| group.id);
        [self.role.id, self.secret.id].into_iter().chain(alias).chain(entity).chain(groups).collect()
    }
}

impl Core {
    pub(super) fn know_login(&self, key: Key, known: KnownLogin, moment: Moment) {
        if self.is_fresh() {
            let rows = known.rows();
            self.cache().logins().insert(key, known, rows, moment);
        }
    }

    /// The token, by what an earlier login was read to rest on; `None`: that is not known, or no more as it was, and is to be read.
    pub(super) async fn log_in_again(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        key: &Key,
    ) -> Result<Option<(Admitted, Vec<Warning>)>> {
        let logins = self.cache().logins();
        let Some(known) = logins.get(key).filter(|_| self.is_fresh()) else { return Ok(None) };
        let KnownLogin { role, secret, whose } = &*known;
        if secret.has_ended(self.now()) || !secret.permits(role, visitor.source) {
            return Ok(None);
        }
        let login = of_app_role(visitor, mount, role, Some(secret.clone()));
        let given = self.give_again(visitor, &login, whose.clone()).await?;
        if given.is_none() {
            logins.remove(key);
        }
        Ok(given)
    }
}
