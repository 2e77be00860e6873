//! Table `user_roles`: who has which role.

use super::bind::RowBytes;
use super::{Store, StoreError, expect_one};
use crate::user_roles::Assignment;
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "user_roles";

/// What the row's MAC is over.
pub(crate) fn bound_bytes(assignment: &Assignment) -> Vec<u8> {
    let Assignment {
        id,
        organization_id,
        user_id,
        role_id,
        valid_from,
        valid_until,
        assigned_by_user_id,
        assigned_at,
        revoked_at,
        revoked_by_user_id,
        revision,
        row_mac: _,
    } = assignment;
    RowBytes::new("user_roles.v1")
        .uuid(*id)
        .uuid(*organization_id)
        .uuid(*user_id)
        .uuid(*role_id)
        .time(*valid_from)
        .optional(*valid_until, RowBytes::time)
        .optional(*assigned_by_user_id, RowBytes::uuid)
        .time(*assigned_at)
        .optional(*revoked_at, RowBytes::time)
        .optional(*revoked_by_user_id, RowBytes::uuid)
        .integer(*revision)
        .finish()
}

/// All of one person that were not withdrawn, by id.
pub(crate) async fn of_user(connection: &mut PgConnection, user_id: Uuid) -> Result<Vec<Assignment>, StoreError> {
    Ok(sqlx::query_as!(
        Assignment,
        r#"SELECT id, organization_id, user_id, role_id, valid_from, valid_until, assigned_by_user_id, assigned_at, revoked_at, revoked_by_user_id,
         revision, row_mac AS "row_mac: [u8; 32]" FROM user_roles WHERE user_id = $1 AND revoked_at IS NULL ORDER BY id"#,
        user_id
    )
    .fetch_all(connection)
    .await?)
}

impl Store {
    /// Of one role to one person, withdrawn or not.
    pub(crate) async fn assignment(
        &self,
        organization_id: Uuid,
        user_id: Uuid,
        role_id: Uuid,
    ) -> Result<Option<Assignment>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let assignment = sqlx::query_as!(
            Assignment,
            r#"SELECT id, organization_id, user_id, role_id, valid_from, valid_until, assigned_by_user_id, assigned_at, revoked_at, revoked_by_user_id,
             revision, row_mac AS "row_mac: [u8; 32]" FROM user_roles WHERE user_id = $1 AND role_id = $2"#,
            user_id,
            role_id
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(assignment)
    }

    /// Codes of a person's roles with their assignments that were not withdrawn, by code.
    pub(crate) async fn assignments_of(
        &self,
        organization_id: Uuid,
        user_id: Uuid,
    ) -> Result<Vec<(String, Assignment)>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let assignments = of_user(&mut transaction, user_id).await?;
        let ids: Vec<Uuid> = assignments.iter().map(|assignment| assignment.role_id).collect();
        let roles = sqlx::query!("SELECT id, role_code FROM roles WHERE id = ANY($1)", &ids)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let code = |id: Uuid| roles.iter().find(|role| role.id == id).map(|role| role.role_code.clone());
        let mut coded: Vec<_> =
            assignments.into_iter().filter_map(|assignment| Some((code(assignment.role_id)?, assignment))).collect();
        coded.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(coded)
    }

    /// Names of people to whom a role was given, this one or (`None`) any, and not withdrawn; sorted.
    pub(crate) async fn people_with_roles(
        &self,
        organization_id: Uuid,
        role_id: Option<Uuid>,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let names = sqlx::query_scalar!(
            r#"SELECT u.username FROM users u WHERE u.organization_id = $1 AND EXISTS (SELECT FROM user_roles a
             WHERE a.user_id = u.id AND a.revoked_at IS NULL AND ($2::uuid IS NULL OR a.role_id = $2)) ORDER BY u.username COLLATE "C""#,
            organization_id,
            role_id
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(names)
    }
}

/// Adds one, or replaces the row it was made from (its revision being one less); a second of the same role to the same person is
/// [`StoreError::Taken`].
pub(crate) async fn put(connection: &mut PgConnection, assignment: &Assignment) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO user_roles (id, organization_id, user_id, role_id, valid_from, valid_until, assigned_by_user_id, assigned_at, revoked_at, \
         revoked_by_user_id, revision, row_mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (id) DO UPDATE SET valid_from = $5, valid_until = $6, assigned_by_user_id = $7, assigned_at = $8, revoked_at = $9, \
         revoked_by_user_id = $10, revision = $11, row_mac = $12 WHERE user_roles.revision = $11::bigint - 1",
        assignment.id,
        assignment.organization_id,
        assignment.user_id,
        assignment.role_id,
        assignment.valid_from,
        assignment.valid_until,
        assignment.assigned_by_user_id,
        assignment.assigned_at,
        assignment.revoked_at,
        assignment.revoked_by_user_id,
        assignment.revision,
        assignment.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    expect_one(&done, "role of a person")
}
