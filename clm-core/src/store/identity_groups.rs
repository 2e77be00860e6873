//! Table `identity_groups`.

use super::bind::{RowBytes, texts};
use super::{GoneRow, Store, StoreError, expect_one};
use crate::identity::Group;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "identity_groups";

/// What the row's MAC is over.
pub(crate) fn bound_bytes(group: &Group) -> Vec<u8> {
    let Group {
        id,
        organization_id,
        name,
        group_type,
        metadata,
        policies,
        alias_id,
        alias_mount_id,
        alias_name,
        creation_time,
        last_update_time,
        revision,
        row_mac: _,
    } = group;
    RowBytes::new("identity_groups.v1")
        .uuid(*id)
        .uuid(*organization_id)
        .text(name)
        .text(group_type)
        .optional(metadata.as_ref(), texts)
        .list(policies.iter(), |row, policy| row.text(policy))
        .optional(*alias_id, RowBytes::uuid)
        .optional(*alias_mount_id, RowBytes::uuid)
        .optional(alias_name.as_deref(), RowBytes::text)
        .time(*creation_time)
        .time(*last_update_time)
        .integer(*revision)
        .finish()
}

/// Those with these ids, by id.
pub(crate) async fn find(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Group>, StoreError> {
    Ok(sqlx::query_as!(
        Group,
        r#"SELECT id, organization_id, name, type AS group_type, metadata AS "metadata: Json<BTreeMap<String, String>>", policies, alias_id,
         alias_mount_id, alias_name, creation_time, last_update_time, revision, row_mac AS "row_mac: [u8; 32]"
         FROM identity_groups WHERE id = ANY($1) ORDER BY id"#,
        ids
    )
    .fetch_all(connection)
    .await?)
}

/// Ids of external ones of a login method that have one of these names there.
pub(crate) async fn ids_by_alias(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    names: &[String],
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT id FROM identity_groups WHERE organization_id = $1 AND alias_mount_id = $2 AND alias_name = ANY($3)",
        organization_id,
        mount_id,
        names
    )
    .fetch_all(connection)
    .await?)
}

impl Store {
    /// Those with these ids, by id.
    pub(crate) async fn groups(&self, organization_id: Uuid, ids: &[Uuid]) -> Result<Vec<Group>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let groups = find(&mut transaction, ids).await?;
        transaction.commit().await?;
        Ok(groups)
    }

    /// Which group has the name, or the alias of that id.
    pub(crate) async fn group_id(
        &self,
        organization_id: Uuid,
        name: Option<&str>,
        alias_id: Option<Uuid>,
    ) -> Result<Option<Uuid>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let id = sqlx::query_scalar!(
            "SELECT id FROM identity_groups WHERE organization_id = $1 AND name = $2 UNION ALL SELECT id FROM identity_groups WHERE alias_id = $3",
            organization_id,
            name,
            alias_id
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(id.flatten())
    }

    /// External groups of a login method that have one of these names there.
    pub(crate) async fn groups_by_alias(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        names: &[String],
    ) -> Result<Vec<Group>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let ids = ids_by_alias(&mut transaction, organization_id, mount_id, names).await?;
        let groups = find(&mut transaction, &ids).await?;
        transaction.commit().await?;
        Ok(groups)
    }

    /// All of an organization, by name.
    pub(crate) async fn all_groups(&self, organization_id: Uuid) -> Result<Vec<Group>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let ids = sqlx::query_scalar!("SELECT id FROM identity_groups WHERE organization_id = $1", organization_id)
            .fetch_all(&mut *transaction)
            .await?;
        let mut groups = find(&mut transaction, &ids).await?;
        transaction.commit().await?;
        groups.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(groups)
    }
}

/// Adds a group, or replaces the row it was made from (its revision being one less).
pub(crate) async fn put(connection: &mut PgConnection, group: &Group) -> Result<(), StoreError> {
    let done = if group.revision == 1 {
        sqlx::query!(
            "INSERT INTO identity_groups (id, organization_id, name, type, metadata, policies, alias_id, alias_mount_id, alias_name, \
             creation_time, last_update_time, revision, row_mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            group.id,
            group.organization_id,
            group.name,
            group.group_type,
            group.metadata.as_ref() as _,
            &group.policies,
            group.alias_id,
            group.alias_mount_id,
            group.alias_name,
            group.creation_time,
            group.last_update_time,
            group.revision,
            group.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    } else {
        sqlx::query!(
            "UPDATE identity_groups SET name = $2, type = $3, metadata = $4, policies = $5, alias_id = $6, alias_mount_id = $7, alias_name = $8, \
             last_update_time = $9, revision = $10, row_mac = $11 WHERE id = $1 AND revision = $10::bigint - 1",
            group.id,
            group.name,
            group.group_type,
            group.metadata.as_ref() as _,
            &group.policies,
            group.alias_id,
            group.alias_mount_id,
            group.alias_name,
            group.last_update_time,
            group.revision,
            group.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    };
    expect_one(&done, "group")
}

/// Deletes that very revision, which nothing names any more.
pub(crate) async fn delete(connection: &mut PgConnection, group: &Group) -> Result<GoneRow, StoreError> {
    let done = sqlx::query!("DELETE FROM identity_groups WHERE id = $1 AND revision = $2", group.id, group.revision)
        .execute(connection)
        .await?;
    expect_one(&done, "group")?;
    Ok(super::gone(TABLE, (group.id, group.revision)))
}
