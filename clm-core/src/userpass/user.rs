//! People who log in with a password.

use super::totp::without_factor;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::login::{TokenSettings, TokenSettingsChange};
use crate::mount::Mount;
use crate::record::add_rows;
use crate::roles::RoleKey;
use crate::store::users::{self, User};
use crate::store::{RoleRow, StoreError, auth_roles};
use audit_chain::{Caller, Value};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How often a change is tried anew when somebody else changes the same person.
const ATTEMPTS: usize = 5;
const LONGEST_NAME: usize = 256;

/// What a login method says of one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRole {
    /// The row of `users`.
    pub user_id: Uuid,
    /// What tokens are like.
    pub token: TokenSettings,
}

/// Fields of `POST users/:name`; `None`: as it is.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// Needed for a new person.
    pub password: Option<SecretString>,
    /// A new person's; by default one that nobody receives.
    pub email: Option<String>,
    /// What tokens are like.
    pub token: TokenSettingsChange,
    /// Only a person who is there; else 400.
    pub must_exist: bool,
}

impl Core {
    /// Makes a person who can log in here, or changes what is named. Tokens made before live on.
    pub async fn put_user(&self, caller: &Caller, mount: &Mount, name: &str, change: UserChange) -> Result<()> {
        let name = user_name(name)?;
        let hash = match &change.password {
            Some(password) => Some(self.passwords()?.hash(password.clone()).await?),
            None => None,
        };
        for _ in 0..ATTEMPTS {
            match self.put_user_once(caller, mount, &name, &change, hash.clone()).await {
                Err(Error::Conflict(_)) => {}
                Err(Error::Database(StoreError::Taken { constraint })) if constraint.contains("email") => {
                    return Err(Error::invalid("the e-mail address belongs to somebody else"));
                }
                Err(Error::Database(StoreError::Taken { .. })) => {
                    return Err(Error::invalid(format!(
                        "the name {name:?} belongs to a person who logs in by another method; people have one name everywhere"
                    )));
                }
                other => return other,
            }
        }
        Err(Error::Conflict("user"))
    }

    /// What the method says of a person.
    pub async fn user_role(&self, mount: &Mount, name: &str) -> Result<Option<UserRole>> {
        let Ok(name) = user_name(name) else { return Ok(None) };
        self.role(&key(mount, &name)).await
    }

    /// Names, sorted.
    pub async fn list_users(&self, mount: &Mount) -> Result<Vec<String>> {
        Ok(self.store().auth_role_names(mount.organization_id, mount.id).await?)
    }

    /// Takes the login away: the person's row stays, without its password. `false`: nobody of that name logged in here.
    pub async fn delete_user(&self, caller: &Caller, mount: &Mount, name: &str) -> Result<bool> {
        let name = user_name(name)?;
        let found = self.role_row::<UserRole>(&key(mount, &name)).await?;
        let Some((row, role)) = found else { return Ok(false) };
        let mut event = self.user_event(caller, "user.delete", "delete", &row);
        let mut rows = vec![(auth_roles::TABLE, row.id, row.revision + 1, crate::store::tokens::REVOKED_MAC)];
        let gone = match self.user(mount.organization_id, role.user_id).await? {
            None => None,
            Some(mut user) => {
                let now = self.now();
                user.password_hash = None;
                without_factor(&mut user);
                user.status = "inactive".into();
                user.deleted_at = Some(now);
                user.revision += 1;
                user.row_mac = self.row_mac(users::bound_bytes(&user)).await?;
                rows.push((users::TABLE, user.id, user.revision, user.row_mac));
                Some(user)
            }
        };
        add_rows(&mut event, rows);
        self.change(mount.organization_id, move |connection| {
            Box::pin(async move {
                auth_roles::delete(connection, &row).await?;
                if let Some(user) = &gone {
                    users::put(connection, user).await?;
                }
                Ok(((), event))
            })
        })
        .await?;
        Ok(true)
    }

    async fn put_user_once(
        &self,
        caller: &Caller,
        mount: &Mount,
        name: &str,
        change: &UserChange,
        hash: Option<String>,
    ) -> Result<()> {
        let old = self.role_row::<UserRole>(&key(mount, name)).await?;
        if old.is_none() && change.must_exist {
            return Err(Error::invalid("username does not exist"));
        }
        let user = match &old {
            Some((_, role)) => self.user(mount.organization_id, role.user_id).await?,
            // Somebody who was here before keeps the row.
            None => self.user_named(mount.organization_id, name).await?.filter(|user| user.deleted_at.is_some()),
        };
        if old.is_none() && hash.is_none() {
            return Err(Error::invalid("must provide either password or password_hash"));
        }
        let settings = old.as_ref().map(|(_, role)| role.token.clone()).unwrap_or_default();
        // Of those who are there, or were.
        let grows = user.as_ref().is_none_or(|user| user.deleted_at.is_some());
        let (user, written) = self.changed_user(mount, name, user, change, hash).await?;
        let role = UserRole { user_id: user.id, token: settings.changed(change.token.clone())? };
        let row = self.new_role_row(&key(mount, name), old.as_ref().map(|(row, _)| row), &role).await?;
        let action = if old.is_some() { "update" } else { "create" };
        let mut event = self.user_event(caller, "user.write", action, &row);
        let mut rows = vec![(auth_roles::TABLE, row.id, row.revision, row.row_mac)];
        rows.extend(written.then_some((users::TABLE, user.id, user.revision, user.row_mac)));
        add_rows(&mut event, rows);
        let most = self.organization_quotas().max_users(mount.organization_id).filter(|_| grows && written);
        self.change(mount.organization_id, move |connection| {
            Box::pin(async move {
                if written {
                    users::put(connection, &user).await?;
                }
                if let Some(most) = most {
                    users::expect_room(connection, user.organization_id, most).await?;
                }
                auth_roles::put(connection, &row).await.map(|()| ((), event))
            })
        })
        .await
    }

    /// The person's row as it is to be, and whether it is to be written.
    async fn changed_user(
        &self,
        mount: &Mount,
        name: &str,
        old: Option<User>,
        change: &UserChange,
        hash: Option<String>,
    ) -> Result<(User, bool)> {
        let now = self.now();
        let mut user = match old {
            Some(user) if hash.is_none() && change.email.is_none() => return Ok((user, false)),
            Some(user) => user,
            None => User::new(mount.organization_id, name),
        };
        if let Some(email) = &change.email {
            user.email.clone_from(email);
        }
        if let Some(hash) = hash {
            user.password_hash = Some(hash);
            user.password_changed_at = Some(now);
            user.status = "active".into();
            user.deleted_at = None;
        }
        user.revision += 1;
        user.row_mac = self.row_mac(users::bound_bytes(&user)).await?;
        Ok((user, true))
    }

    /// A person, if the row is ours.
    pub(crate) async fn user(&self, organization_id: Uuid, id: Uuid) -> Result<Option<User>> {
        self.checked_user(self.store().user(organization_id, id).await?).await
    }

    pub(crate) async fn user_named(&self, organization_id: Uuid, name: &str) -> Result<Option<User>> {
        self.checked_user(self.store().user_by_name(organization_id, name).await?).await
    }

    async fn checked_user(&self, found: Option<User>) -> Result<Option<User>> {
        let Some(user) = found else { return Ok(None) };
        self.check_row((users::TABLE, user.organization_id, user.id), users::bound_bytes(&user), &user.row_mac).await?;
        Ok(Some(user))
    }

    fn user_event(
        &self,
        caller: &Caller,
        event_type: &'static str,
        action: &'static str,
        row: &RoleRow,
    ) -> audit_chain::Event {
        let mut event = self.event(caller, event_type, "user_management", ("user", Some(row.name.clone())), action);
        event.data.insert("mount_id".into(), Value::Text(row.mount_id.to_string().into()));
        event
    }
}

pub(super) fn key(mount: &Mount, name: &str) -> RoleKey {
    RoleKey { organization_id: mount.organization_id, mount_id: mount.id, name: name.to_owned() }
}

/// Lower case.
pub(super) fn user_name(name: &str) -> Result<String> {
    let bad = |character: char| character.is_control() || character.is_whitespace() || "/@".contains(character);
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(bad) {
        return Err(Error::invalid(format!(
            "a user's name has 1 to {LONGEST_NAME} bytes, none of them a blank, a slash, an @ or a control character"
        )));
    }
    Ok(name.to_lowercase())
}
