//! Table `entity_aliases`.

use super::bind::{RowBytes, texts};
use super::{GoneRow, Store, StoreError, expect_one};
use crate::identity::EntityAlias;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "entity_aliases";

/// What the row's MAC is over.
pub(crate) fn bound_bytes(alias: &EntityAlias) -> Vec<u8> {
    let EntityAlias {
        id,
        organization_id,
        entity_id,
        mount_id,
        name,
        metadata,
        custom_metadata,
        group_names,
        merged_from_entity_ids,
        creation_time,
        last_update_time,
        revision,
        row_mac: _,
    } = alias;
    // What rows had no column for in the first schema is bound only where it is said.
    let was_anothers = !merged_from_entity_ids.is_empty();
    let version = match group_names {
        _ if was_anothers => "entity_aliases.v3",
        Some(_) => "entity_aliases.v2",
        None => "entity_aliases.v1",
    };
    let row = RowBytes::new(version)
        .uuid(*id)
        .uuid(*organization_id)
        .uuid(*entity_id)
        .uuid(*mount_id)
        .text(name)
        .optional(metadata.as_ref(), texts)
        .optional(custom_metadata.as_ref(), texts)
        .time(*creation_time)
        .time(*last_update_time);
    let listed = |row: RowBytes, names: &Vec<String>| row.list(names.iter(), |row, name| row.text(name));
    let row = match group_names {
        _ if was_anothers => row
            .optional(group_names.as_ref(), listed)
            .list(merged_from_entity_ids.iter(), |row, entity_id| row.uuid(*entity_id)),
        Some(names) => listed(row, names),
        None => row,
    };
    row.integer(*revision).finish()
}

/// Those of an entity, by id.
pub(crate) async fn of_entity(connection: &mut PgConnection, entity_id: Uuid) -> Result<Vec<EntityAlias>, StoreError> {
    Ok(sqlx::query_as!(
        EntityAlias,
        r#"SELECT id, organization_id, entity_id, mount_id, name, metadata AS "metadata: Json<BTreeMap<String, String>>",
         custom_metadata AS "custom_metadata: Json<BTreeMap<String, String>>", group_names, merged_from_entity_ids,
         creation_time, last_update_time, revision, row_mac AS "row_mac: [u8; 32]" FROM entity_aliases WHERE entity_id = $1 ORDER BY id"#,
        entity_id
    )
    .fetch_all(connection)
    .await?)
}

/// One, by the name that a login method knows.
pub(crate) async fn named(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    name: &str,
) -> Result<Option<EntityAlias>, StoreError> {
    Ok(sqlx::query_as!(
        EntityAlias,
        r#"SELECT id, organization_id, entity_id, mount_id, name, metadata AS "metadata: Json<BTreeMap<String, String>>",
             custom_metadata AS "custom_metadata: Json<BTreeMap<String, String>>", group_names, merged_from_entity_ids,
             creation_time, last_update_time, revision, row_mac AS "row_mac: [u8; 32]" FROM entity_aliases WHERE organization_id = $1 AND mount_id = $2 AND name = $3"#,
        organization_id,
        mount_id,
        name
    )
    .fetch_optional(connection)
    .await?)
}

impl Store {
    /// One, by id.
    pub(crate) async fn entity_alias(
        &self,
        organization_id: Uuid,
        id: Uuid,
    ) -> Result<Option<EntityAlias>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let alias = sqlx::query_as!(
            EntityAlias,
            r#"SELECT id, organization_id, entity_id, mount_id, name, metadata AS "metadata: Json<BTreeMap<String, String>>",
             custom_metadata AS "custom_metadata: Json<BTreeMap<String, String>>", group_names, merged_from_entity_ids,
             creation_time, last_update_time, revision, row_mac AS "row_mac: [u8; 32]" FROM entity_aliases WHERE id = $1"#,
            id
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(alias)
    }

    /// One, by the name that a login method knows.
    pub(crate) async fn entity_alias_by_name(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        name: &str,
    ) -> Result<Option<EntityAlias>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let alias = named(&mut transaction, organization_id, mount_id, name).await?;
        transaction.commit().await?;
        Ok(alias)
    }

    /// All of an organization, by id.
    pub(crate) async fn entity_aliases(&self, organization_id: Uuid) -> Result<Vec<EntityAlias>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let aliases = sqlx::query_as!(
            EntityAlias,
            r#"SELECT id, organization_id, entity_id, mount_id, name, metadata AS "metadata: Json<BTreeMap<String, String>>",
             custom_metadata AS "custom_metadata: Json<BTreeMap<String, String>>", group_names, merged_from_entity_ids,
             creation_time, last_update_time, revision, row_mac AS "row_mac: [u8; 32]" FROM entity_aliases WHERE organization_id = $1 ORDER BY id"#,
            organization_id
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(aliases)
    }
}

/// Adds an alias, or replaces the row it was made from (its revision being one less).
pub(crate) async fn put(connection: &mut PgConnection, alias: &EntityAlias) -> Result<(), StoreError> {
    let done = if alias.revision == 1 {
        sqlx::query!(
            "INSERT INTO entity_aliases (id, organization_id, entity_id, mount_id, name, metadata, custom_metadata, creation_time, \
             last_update_time, revision, row_mac, group_names, merged_from_entity_ids) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            alias.id,
            alias.organization_id,
            alias.entity_id,
            alias.mount_id,
            alias.name,
            alias.metadata.as_ref() as _,
            alias.custom_metadata.as_ref() as _,
            alias.creation_time,
            alias.last_update_time,
            alias.revision,
            alias.row_mac.as_slice(),
            alias.group_names.as_deref(),
            &alias.merged_from_entity_ids
        )
        .execute(connection)
        .await?
    } else {
        sqlx::query!(
            "UPDATE entity_aliases SET entity_id = $2, mount_id = $3, name = $4, metadata = $5, custom_metadata = $6, last_update_time = $7, \
             revision = $8, row_mac = $9, group_names = $10, merged_from_entity_ids = $11 WHERE id = $1 AND revision = $8::bigint - 1",
            alias.id,
            alias.entity_id,
            alias.mount_id,
            alias.name,
            alias.metadata.as_ref() as _,
            alias.custom_metadata.as_ref() as _,
            alias.last_update_time,
            alias.revision,
            alias.row_mac.as_slice(),
            alias.group_names.as_deref(),
            &alias.merged_from_entity_ids
        )
        .execute(connection)
        .await?
    };
    expect_one(&done, "alias")
}

/// Deletes that very revision.
pub(crate) async fn delete(connection: &mut PgConnection, alias: &EntityAlias) -> Result<GoneRow, StoreError> {
    let done = sqlx::query!("DELETE FROM entity_aliases WHERE id = $1 AND revision = $2", alias.id, alias.revision)
        .execute(connection)
        .await?;
    expect_one(&done, "alias")?;
    Ok(super::gone(TABLE, (alias.id, alias.revision)))
}

/// Deletes all of an entity, or of a login method; what records say of those that were there.
pub(crate) async fn delete_of(connection: &mut PgConnection, owner: Uuid) -> Result<Vec<GoneRow>, StoreError> {
    let rows =
        sqlx::query!("DELETE FROM entity_aliases WHERE entity_id = $1 OR mount_id = $1 RETURNING id, revision", owner)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|row| super::gone(TABLE, (row.id, row.revision))).collect())
}
