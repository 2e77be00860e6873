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
    let (mut secret_ids, mut app_roles, mut people, mut roles) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        match *row {
            Basis::SecretId(id, revision) => secret_ids.push((id, revision)),
            Basis::AppRole(id, revision) => app_roles.push((id, revision)),
            Basis::Person(id, revision) => people.push((id, revision)),
            Basis::Role(id, revision) => roles.push((id, revision)),
        }
    }
    // One of each, which is all that any method has, is one statement.
    let mut looked = false;
    for place in 0..secret_ids.len().max(app_roles.len()) {
        looked = true;
        let (secret_id, app_role) = (secret_ids.get(place).copied(), app_roles.get(place).copied());
        of_app_role(connection, mount_id, secret_id, app_role).await?;
    }
    for place in 0..people.len().max(roles.len()).max(usize::from(!looked)) {
        let (person, role) = (people.get(place).copied(), roles.get(place).copied());
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
    let there = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM mounts WHERE id = $1 FOR SHARE) AS "mount!",
         $2::uuid IS NULL OR EXISTS (SELECT FROM app_role_secret_ids WHERE id = $2 AND revision = $3 FOR SHARE) AS "secret_id!",
         $4::uuid IS NULL OR EXISTS (SELECT FROM app_roles WHERE id = $4 AND revision = $5 FOR SHARE) AS "app_role!""#,
        mount_id,
        secret_id.map(|(id, _)| id),
        secret_id.map(|(_, revision)| revision),
        app_role.map(|(id, _)| id),
        app_role.map(|(_, revision)| revision)
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
    let there = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM mounts WHERE id = $1 FOR SHARE) AS "mount!",
         $2::uuid IS NULL OR EXISTS (SELECT FROM users WHERE id = $2 AND revision = $3 FOR SHARE) AS "person!",
         $4::uuid IS NULL OR EXISTS (SELECT FROM auth_roles WHERE id = $4 AND revision = $5 FOR SHARE) AS "role!""#,
        mount_id,
        person.map(|(id, _)| id),
        person.map(|(_, revision)| revision),
        role.map(|(id, _)| id),
        role.map(|(_, revision)| revision)
    )
    .fetch_one(connection)
    .await?;
    expect([(there.mount, "login method"), (there.person, "user"), (there.role, "role")])
}

fn expect(all: [(bool, &'static str); 3]) -> Result<(), StoreError> {
    let changed = all.into_iter().find(|(is_there, _)| !is_there);
    changed.map_or(Ok(()), |(_, what)| Err(StoreError::Conflict { what }))
}
