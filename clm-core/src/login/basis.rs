//! Rows that a login rests on. They are looked at once more in the transaction that gives the token, be that at once or minutes later, when the
//! second factor has come: who was taken away or changed meanwhile gets none.

use crate::approle::{AppRole, SecretId};
use crate::store::RoleRow;
use crate::store::users::User;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A row, and the revision that it had when the login was found good.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Basis {
    AppRole(Uuid, i64),
    /// A person's row: password, second factor and status are in it.
    Person(Uuid, i64),
    /// A role of another login method, or what `userpass` says of a person.
    Role(Uuid, i64),
    /// One whose uses are not counted; of one that waits for a second factor the row that waits ends with it.
    SecretId(Uuid, i64),
}

impl From<&AppRole> for Basis {
    fn from(role: &AppRole) -> Self {
        Self::AppRole(role.id, role.revision)
    }
}

impl From<&SecretId> for Basis {
    fn from(secret: &SecretId) -> Self {
        Self::SecretId(secret.id, secret.revision)
    }
}

impl From<&RoleRow> for Basis {
    fn from(row: &RoleRow) -> Self {
        Self::Role(row.id, row.revision)
    }
}

impl From<&User> for Basis {
    fn from(user: &User) -> Self {
        Self::Person(user.id, user.revision)
    }
}
