//! Table `entities`.

use super::bind::{RowBytes, texts};
use super::{GoneRow, Store, StoreError, expect_one};
use crate::identity::Entity;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "entities";

/// What the row's MAC is over.
pub(crate) fn bound_bytes(entity: &Entity) -> Vec<u8> {
    let Entity {
        id,
        organization_id,
        user_id,
        name,
        metadata,
        policies,
        disabled,
        merged_entity_ids,
        creation_time,
        last_update_time,
        revision,
        row_mac: _,
    } = entity;
    RowBytes::new("entities.v1")
        .uuid(*id)
        .uuid(*organization_id)
        .optional(*user_id, RowBytes::uuid)
        .text(name)
        .optional(metadata.as_ref(), texts)
        .list(policies.iter(), |row, policy| row.text(policy))
        .flag(*disabled)
        .list(merged_entity_ids.iter(), |row, id| row.uuid(*id))
        .time(*creation_time)
        .time(*last_update_time)
        .integer(*revision)
        .finish()
}

/// By id, or by that of an entity that became it.
pub(crate) async fn find(connection: &mut PgConnection, id: Uuid) -> Result<Option<Entity>, StoreError> {
    Ok(sqlx::query_as!(
        Entity,
        r#"SELECT id, organization_id, user_id, name, metadata AS "metadata: Json<BTreeMap<String, String>>", policies, disabled, merged_entity_ids,
         creation_time, last_update_time, revision, row_mac AS "row_mac: [u8; 32]" FROM entities
         WHERE id = $1 OR (merged_entity_ids <> '{}' AND merged_entity_ids @> ARRAY[$1::uuid]) ORDER BY (id = $1) DESC LIMIT 1"#,
        id
    )
    .fetch_optional(connection)
    .await?)
}

/// Which a person is.
pub(crate) async fn of_user(connection: &mut PgConnection, user_id: Uuid) -> Result<Option<Entity>, StoreError> {
    Ok(sqlx::query_as!(
        Entity,
        r#"SELECT id, organization_id, user_id, name, metadata AS "metadata: Json<BTreeMap<String, String>>", policies, disabled, merged_entity_ids,
         creation_time, last_update_time, revision, row_mac AS "row_mac: [u8; 32]" FROM entities WHERE user_id = $1"#,
        user_id
    )
    .fetch_optional(connection)
    .await?)
}

impl Store {
    /// By id, or by that of an entity that became it.
    pub(crate) async fn entity(&self, organization_id: Uuid, id: Uuid) -> Result<Option<Entity>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let entity = find(&mut transaction, id).await?;
        transaction.commit().await?;
        Ok(entity)
    }

    /// How many there are.
    pub(crate) async fn count_entities(&self, organization_id: Uuid) -> Result<i64, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM entities WHERE organization_id = $1"#,
            organization_id
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(count)
    }

    /// Which entity has the name.
    pub(crate) async fn entity_id_by_name(
        &self,
        organization_id: Uuid,
        name: &str,
    ) -> Result<Option<Uuid>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let id = sqlx::query_scalar!(
            "SELECT id FROM entities WHERE organization_id = $1 AND name = $2",
            organization_id,
            name
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Ids and names, by name.
    pub(crate) async fn entity_names(&self, organization_id: Uuid) -> Result<Vec<(Uuid, String)>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let rows = sqlx::query!(
            r#"SELECT id, name FROM entities WHERE organization_id = $1 ORDER BY name COLLATE "C""#,
            organization_id
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
    }
}

/// Adds an entity, or replaces the row it was made from (its revision being one less).
pub(crate) async fn put(connection: &mut PgConnection, entity: &Entity) -> Result<(), StoreError> {
    let done = if entity.revision == 1 {
        sqlx::query!(
            "INSERT INTO entities (id, organization_id, user_id, name, metadata, policies, disabled, merged_entity_ids, creation_time, \
             last_update_time, revision, row_mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            entity.id,
            entity.organization_id,
            entity.user_id,
            entity.name,
            entity.metadata.as_ref() as _,
            &entity.policies,
            entity.disabled,
            &entity.merged_entity_ids,
            entity.creation_time,
            entity.last_update_time,
            entity.revision,
            entity.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    } else {
        sqlx::query!(
            "UPDATE entities SET user_id = $2, name = $3, metadata = $4, policies = $5, disabled = $6, merged_entity_ids = $7, \
             last_update_time = $8, revision = $9, row_mac = $10 WHERE id = $1 AND revision = $9::bigint - 1",
            entity.id,
            entity.user_id,
            entity.name,
            entity.metadata.as_ref() as _,
            &entity.policies,
            entity.disabled,
            &entity.merged_entity_ids,
            entity.last_update_time,
            entity.revision,
            entity.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    };
    expect_one(&done, "entity")
}

/// Keeps others from writing rows that name these, until the transaction ends.
pub(crate) async fn hold(connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!("SELECT FROM entities WHERE id = ANY($1) ORDER BY id FOR UPDATE", ids).fetch_all(connection).await?;
    Ok(())
}

/// Deletes that very revision, which nothing names any more.
pub(crate) async fn delete(connection: &mut PgConnection, entity: &Entity) -> Result<GoneRow, StoreError> {
    let done = sqlx::query!("DELETE FROM entities WHERE id = $1 AND revision = $2", entity.id, entity.revision)
        .execute(connection)
        .await?;
    expect_one(&done, "entity")?;
    Ok(super::gone(TABLE, (entity.id, entity.revision)))
}
