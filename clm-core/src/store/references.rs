//! Rows that other rows name: a foreign key knows that one is there, and not whose it is or whether it was deleted.

use super::StoreError;
use crate::registry::Reference;
use sqlx::PgConnection;
use uuid::Uuid;

/// Each must be there, of the organization that the transaction speaks for, and not deleted; a role must not descend from `id`.
pub(crate) async fn expect(
    connection: &mut PgConnection,
    id: Uuid,
    references: &[Reference],
) -> Result<(), StoreError> {
    for reference in references {
        let (field, what, referred, there) = match *reference {
            Reference::Role(field, role) => (field, "role", role, role_above(&mut *connection, id, role).await?),
            Reference::User(field, user) => (field, "person", user, user_is_there(&mut *connection, user).await?),
        };
        if !there {
            return Err(StoreError::Absent { field, what, id: referred });
        }
    }
    Ok(())
}

async fn user_is_there(connection: &mut PgConnection, user: Uuid) -> Result<bool, StoreError> {
    let there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM users WHERE id = $1 AND deleted_at IS NULL) AS "there!""#,
        user
    );
    Ok(there.fetch_one(connection).await?)
}

async fn role_above(connection: &mut PgConnection, id: Uuid, role: Uuid) -> Result<bool, StoreError> {
    let there = sqlx::query_scalar!(
        r#"WITH RECURSIVE above AS (
             SELECT r.id, r.parent_role_id FROM roles r WHERE r.id = $1 AND r.deleted_at IS NULL
             UNION
             SELECT r.id, r.parent_role_id FROM roles r JOIN above a ON r.id = a.parent_role_id
         )
         SELECT EXISTS (SELECT FROM above) AND NOT EXISTS (SELECT FROM above WHERE id = $2) AS "there!""#,
        role,
        id
    );
    Ok(there.fetch_one(connection).await?)
}
