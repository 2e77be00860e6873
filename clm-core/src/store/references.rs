//! Rows that other rows name: a foreign key knows that one is there, and not whose it is or whether it was deleted.

use super::StoreError;
use crate::registry::Reference;
use sqlx::PgConnection;
use uuid::Uuid;

/// Each must be there, of the organization that the transaction speaks for, and not deleted; a role that is to be above `id` must not descend from it.
pub(crate) async fn expect(
    connection: &mut PgConnection,
    id: Uuid,
    references: &[Reference],
) -> Result<(), StoreError> {
    for reference in references {
        let (field, what, referred, there) = match *reference {
            Reference::Role(field, role) => (field, "role", role, role_is_there(&mut *connection, role).await?),
            Reference::RoleAbove(field, role) => {
                // Two that are put above each other at the same time would not see each other.
                super::one_at_a_time(&mut *connection).await?;
                if descends(&mut *connection, role, id).await? {
                    return Err(StoreError::Circle { field, id: role });
                }
                (field, "role", role, role_is_there(&mut *connection, role).await?)
            }
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

async fn role_is_there(connection: &mut PgConnection, role: Uuid) -> Result<bool, StoreError> {
    let there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM roles WHERE id = $1 AND deleted_at IS NULL) AS "there!""#,
        role
    );
    Ok(there.fetch_one(connection).await?)
}

/// Whether a role is `id`, or below it.
async fn descends(connection: &mut PgConnection, role: Uuid, id: Uuid) -> Result<bool, StoreError> {
    let descends = sqlx::query_scalar!(
        r#"WITH RECURSIVE above AS (
             SELECT r.id, r.parent_role_id FROM roles r WHERE r.id = $1
             UNION
             SELECT r.id, r.parent_role_id FROM roles r JOIN above a ON r.id = a.parent_role_id
         )
         SELECT $1 = $2 OR EXISTS (SELECT FROM above WHERE id = $2) AS "descends!""#,
        role,
        id
    );
    Ok(descends.fetch_one(connection).await?)
}
