//! Table `group_members`.

use super::bind::RowBytes;
use super::{GoneRow, Store, StoreError};
use crate::identity::GroupMember;
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "group_members";

/// What the row's MAC is over.
pub(crate) fn bound_bytes(member: &GroupMember) -> Vec<u8> {
    let GroupMember { id, organization_id, group_id, member_entity_id, member_group_id, revision, row_mac: _ } = member;
    RowBytes::new("group_members.v1")
        .uuid(*id)
        .uuid(*organization_id)
        .uuid(*group_id)
        .optional(*member_entity_id, RowBytes::uuid)
        .optional(*member_group_id, RowBytes::uuid)
        .integer(*revision)
        .finish()
}

/// All that makes entities or groups members of a group, through groups too.
pub(crate) async fn held_by(connection: &mut PgConnection, members: &[Uuid]) -> Result<Vec<GroupMember>, StoreError> {
    Ok(sqlx::query_as!(
        GroupMember,
        r#"WITH RECURSIVE held AS (
             SELECT * FROM group_members WHERE member_entity_id = ANY($1) OR member_group_id = ANY($1)
             UNION
             SELECT m.* FROM group_members m JOIN held h ON m.member_group_id = h.group_id
         )
         SELECT id AS "id!", organization_id AS "organization_id!", group_id AS "group_id!", member_entity_id, member_group_id,
         revision AS "revision!", row_mac AS "row_mac!: [u8; 32]" FROM held ORDER BY id"#,
        members
    )
    .fetch_all(connection)
    .await?)
}

impl Store {
    /// Direct members of a group, by id of the row.
    pub(crate) async fn group_members(
        &self,
        organization_id: Uuid,
        group_id: Uuid,
    ) -> Result<Vec<GroupMember>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let members = sqlx::query_as!(
            GroupMember,
            r#"SELECT id, organization_id, group_id, member_entity_id, member_group_id, revision, row_mac AS "row_mac: [u8; 32]"
             FROM group_members WHERE group_id = $1 ORDER BY id"#,
            group_id
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(members)
    }

    /// All that makes an entity, or a group, member of a group, through groups too.
    pub(crate) async fn memberships(
        &self,
        organization_id: Uuid,
        member: Uuid,
    ) -> Result<Vec<GroupMember>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let held = held_by(&mut transaction, &[member]).await?;
        transaction.commit().await?;
        Ok(held)
    }
}

/// Before groups come into a group: two that are put into each other at the same time would not see each other.
pub(crate) async fn alone(connection: &mut PgConnection) -> Result<(), StoreError> {
    super::one_at_a_time(connection).await
}

/// After groups came into `group`: none of them holds it, through others or by itself, whoever put it there meanwhile.
pub(crate) async fn expect_no_circle(connection: &mut PgConnection, group: Uuid) -> Result<(), StoreError> {
    let circle = held_by(connection, &[group]).await?.iter().any(|member| member.group_id == group);
    if circle { Err(StoreError::GroupCircle) } else { Ok(()) }
}

/// Adds one; that is there already is a [`StoreError::Taken`].
pub(crate) async fn insert(connection: &mut PgConnection, member: &GroupMember) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO group_members (id, organization_id, group_id, member_entity_id, member_group_id, revision, row_mac) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        member.id,
        member.organization_id,
        member.group_id,
        member.member_entity_id,
        member.member_group_id,
        member.revision,
        member.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes these, as far as they are there.
pub(crate) async fn delete(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<GoneRow>, StoreError> {
    let rows = sqlx::query!("DELETE FROM group_members WHERE id = ANY($1) RETURNING id, revision", ids)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| super::gone(TABLE, (row.id, row.revision))).collect())
}

/// Deletes all that name an entity or a group, on either side.
pub(crate) async fn delete_of(connection: &mut PgConnection, id: Uuid) -> Result<Vec<GoneRow>, StoreError> {
    let rows = sqlx::query!(
        "DELETE FROM group_members WHERE group_id = $1 OR member_entity_id = $1 OR member_group_id = $1 RETURNING id, revision",
        id
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| super::gone(TABLE, (row.id, row.revision))).collect())
}
