//! Rows that a login rests on, looked at once more: tables `mounts`, `app_role_secret_ids`, `app_roles`, `users`, `auth_roles`.
//!
//! Few in a statement: what is left out of one, PostgreSQL would leave out of a plan that it makes anew each time, for more than the plan saves.

use super::StoreError;
use crate::login::Basis;
use sqlx::PgConnection;
use uuid::Uuid;

/// A row, and the revision that it must have.
type Revision = (Uuid, i64);

/// The login method is there and all of these are what they were, and they stay so until the transaction is over; else [`StoreError::Conflict`].
pub(crate) async fn expect_unchanged(
    connection: &mut PgConnection,
    mount_id: Uuid,
    rows: &[Basis],
) -> Result<(), StoreError> {
    let (mut secret_id, mut app_role, mut person, mut role) = (None, None, None, None);
    for row in rows {
        let (place, revision) = match *row {
            Basis::SecretId(id, revision) => (&mut secret_id, (id, revision)),
            Basis::AppRole(id, revision) => (&mut app_role, (id, revision)),
            Basis::Person(id, revision) => (&mut person, (id, revision)),
            Basis::Role(id, revision) => (&mut role, (id, revision)),
        };
        if place.replace(revision).is_some() {
            return Err(StoreError::Malformed("a login that rests on two rows of one table"));
        }
    }
    let of_an_app_role = secret_id.is_some() || app_role.is_some();
    if of_an_app_role {
        of_app_role(connection, mount_id, secret_id, app_role).await?;
    }
    if !of_an_app_role || person.is_some() || role.is_some() {
        of_others(connection, mount_id, person, role).await?;
    }
    Ok(())
}

/// The locks are taken in the order of the columns: a SecretID's before its role's, as whoever destroys both does.
async fn of_app_role(
    connection: &mut PgConnection,
    mount_id: Uuid,
    secret_id: Option<Revision>,
    app_role: Option<Revision>,
) -> Result<(), StoreError> {
    let (secret_id, secret_id_revision) = secret_id.unzip();
    let (app_role, app_role_revision) = app_role.unzip();
    let there = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM mounts WHERE id = $1 FOR SHARE) AS "mount!",
         $2::uuid IS NULL OR EXISTS (SELECT FROM app_role_secret_ids WHERE id = $2 AND revision = $3 FOR SHARE) AS "secret_id!",
         $4::uuid IS NULL OR EXISTS (SELECT FROM app_roles WHERE id = $4 AND revision = $5 FOR SHARE) AS "app_role!""#,
        mount_id,
        secret_id,
        secret_id_revision,
        app_role,
        app_role_revision
    )
    .fetch_one(connection)
    .await?;
    expect([(there.mount, "login method"), (there.secret_id, "SecretID"), (there.app_role, "role")])
}

async fn of_others(
    connection: &mut PgConnection,
    mount_id: Uuid,
    person: Option<Revision>,
    role: Option<Revision>,
) -> Result<(), StoreError> {
    let (person, person_revision) = person.unzip();
    let (role, role_revision) = role.unzip();
    let there = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM mounts WHERE id = $1 FOR SHARE) AS "mount!",
         $2::uuid IS NULL OR EXISTS (SELECT FROM users WHERE id = $2 AND revision = $3 FOR SHARE) AS "person!",
         $4::uuid IS NULL OR EXISTS (SELECT FROM auth_roles WHERE id = $4 AND revision = $5 FOR SHARE) AS "role!""#,
        mount_id,
        person,
        person_revision,
        role,
        role_revision
    )
    .fetch_one(connection)
    .await?;
    expect([(there.mount, "login method"), (there.person, "user"), (there.role, "role")])
}

fn expect(all: [(bool, &'static str); 3]) -> Result<(), StoreError> {
    let changed = all.into_iter().find(|(is_there, _)| !is_there);
    changed.map_or(Ok(()), |(_, what)| Err(StoreError::Conflict { what }))
}
