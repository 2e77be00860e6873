//! Table `auth_configs`.

use super::auth_roles::canonical;
use super::bind::RowBytes;
use super::{GoneRow, Store, StoreError, expect_one};
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "auth_configs";

/// Settings of a login method as stored.
#[derive(Clone, Debug)]
pub(crate) struct ConfigRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) mount_id: Uuid,
    /// JSON; its members in any order, as PostgreSQL gives them back.
    pub(crate) config: Arc<str>,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

impl ConfigRow {
    /// What its MAC is over.
    pub(crate) fn bound_bytes(&self) -> Vec<u8> {
        let Self { id, organization_id, mount_id, config, revision, row_mac: _ } = self;
        RowBytes::new("auth_configs.v1")
            .uuid(*id)
            .uuid(*organization_id)
            .uuid(*mount_id)
            .text(&canonical(config))
            .integer(*revision)
            .finish()
    }
}

impl Store {
    /// Of a mount.
    pub(crate) async fn auth_config(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
    ) -> Result<Option<ConfigRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query_as!(
            ConfigRow,
            r#"SELECT id, organization_id, mount_id, config::text AS "config!", revision, row_mac AS "row_mac: [u8; 32]"
             FROM auth_configs WHERE mount_id = $1"#,
            mount_id
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(row)
    }
}

/// Adds settings, or replaces the row they were made from (its revision being one less).
pub(crate) async fn put(connection: &mut PgConnection, row: &ConfigRow) -> Result<(), StoreError> {
    let done = if row.revision == 1 {
        sqlx::query!(
            "INSERT INTO auth_configs (id, organization_id, mount_id, config, revision, row_mac) VALUES ($1, $2, $3, $4::text::jsonb, $5, $6) \
             ON CONFLICT (mount_id) DO NOTHING",
            row.id,
            row.organization_id,
            row.mount_id,
            &*row.config,
            row.revision,
            row.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    } else {
        sqlx::query!(
            "UPDATE auth_configs SET config = $2::text::jsonb, revision = $3, row_mac = $4 WHERE id = $1 AND revision = $3::bigint - 1",
            row.id,
            &*row.config,
            row.revision,
            row.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    };
    expect_one(&done, "configuration")
}

/// Deletes those of a mount; what records say of them.
pub(crate) async fn delete_of_mount(connection: &mut PgConnection, mount_id: Uuid) -> Result<Vec<GoneRow>, StoreError> {
    let rows = sqlx::query!("DELETE FROM auth_configs WHERE mount_id = $1 RETURNING id, revision", mount_id)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| super::gone(TABLE, (row.id, row.revision))).collect())
}
