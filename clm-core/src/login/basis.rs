//! Rows that a login rests on. They are looked at once more in the transaction that gives the token, be that at once or minutes later, when the
//! second factor has come: who was taken away or changed meanwhile gets none.

use crate::approle::AppRole;
use crate::store::users::{self, User};
use crate::store::{RoleRow, StoreError, app_roles, auth_roles};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// A row, and the revision that it had when the login was found good.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Basis {
    AppRole(Uuid, i64),
    /// A person's row: password, second factor and status are in it.
    Person(Uuid, i64),
    /// A role of another login method, or what `userpass` says of a person.
    Role(Uuid, i64),
}

impl From<&AppRole> for Basis {
    fn from(role: &AppRole) -> Self {
        Self::AppRole(role.id, role.revision)
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

/// All of them are what they were, and stay so until the transaction is over; else [`StoreError::Conflict`].
pub(crate) async fn expect_unchanged(connection: &mut PgConnection, rows: &[Basis]) -> Result<(), StoreError> {
    for row in rows {
        match *row {
            Basis::AppRole(id, revision) => app_roles::expect_unchanged(&mut *connection, id, revision).await?,
            Basis::Person(id, revision) => users::expect_unchanged(&mut *connection, id, revision).await?,
            Basis::Role(id, revision) => auth_roles::expect_unchanged(&mut *connection, id, revision).await?,
        }
    }
    Ok(())
}
