//! Table `mounts`.

use super::bind::RowBytes;
use super::{Store, StoreError, bytes32, expect_one};
use crate::mount::{Mount, MountClass, MountConfig};
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "mounts";

/// A mount and its MAC.
#[derive(Clone, Debug)]
pub(crate) struct MountRow {
    pub(crate) mount: Mount,
    pub(crate) row_mac: [u8; 32],
}

/// What the row's MAC is over.
pub(crate) fn bound_bytes(mount: &Mount) -> Vec<u8> {
    let Mount {
        id,
        organization_id,
        class,
        path,
        mount_type,
        accessor,
        description,
        options,
        config,
        local,
        seal_wrap,
        revision,
        builtin: _,
    } = mount;
    RowBytes::new("mounts.v1")
        .uuid(*id)
        .uuid(*organization_id)
        .text(class.name())
        .text(path)
        .text(mount_type)
        .text(accessor)
        .text(description)
        .optional(options.as_ref(), |row, options| {
            row.list(options.iter(), |row, (key, value)| row.text(key).text(value))
        })
        .text(&config.canonical())
        .flag(*local)
        .flag(*seal_wrap)
        .integer(*revision)
        .finish()
}

impl Store {
    /// All of a tenant.
    pub(crate) async fn mounts(&self, organization_id: Uuid) -> Result<Vec<MountRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let rows = sqlx::query!(
            r#"SELECT id, organization_id, class, path, type, accessor, description, options AS "options: Json<BTreeMap<String, String>>",
             config::text AS "config!", local, seal_wrap, revision, row_mac FROM mounts WHERE organization_id = $1 ORDER BY path"#,
            organization_id
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        rows.into_iter()
            .map(|row| {
                let mount = Mount {
                    id: row.id,
                    organization_id: row.organization_id,
                    class: MountClass::from_name(&row.class).ok_or(StoreError::Malformed("mounts.class"))?,
                    path: row.path,
                    mount_type: row.r#type,
                    accessor: row.accessor,
                    description: row.description,
                    options: row.options.map(|options| options.0),
                    config: serde_json::from_str::<MountConfig>(&row.config)
                        .map_err(|_| StoreError::Malformed("mounts.config"))?,
                    local: row.local,
                    seal_wrap: row.seal_wrap,
                    revision: row.revision,
                    builtin: false,
                };
                Ok(MountRow { mount, row_mac: bytes32(&row.row_mac, "mounts.row_mac")? })
            })
            .collect()
    }
}

impl Store {
    /// Ids of all of a tenant, also of rows that do not carry their MAC.
    pub(crate) async fn mount_ids(&self, organization_id: Uuid) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let ids = sqlx::query_scalar!("SELECT id FROM mounts WHERE organization_id = $1", organization_id)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(ids)
    }
}

/// Adds a mount. Neither it nor one above or below may be there: else [`StoreError::Taken`] names the path that is.
pub(crate) async fn insert(connection: &mut PgConnection, row: &MountRow) -> Result<(), StoreError> {
    let mount = &row.mount;
    expect_free(connection, mount).await?;
    sqlx::query!(
        "INSERT INTO mounts (id, organization_id, class, path, type, accessor, description, options, config, local, seal_wrap, revision, row_mac) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11, $12, $13)",
        mount.id,
        mount.organization_id,
        mount.class.name(),
        mount.path,
        mount.mount_type,
        mount.accessor,
        mount.description,
        mount.options.as_ref().map(Json) as _,
        mount.config.canonical(),
        mount.local,
        mount.seal_wrap,
        mount.revision,
        row.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn expect_free(connection: &mut PgConnection, mount: &Mount) -> Result<(), StoreError> {
    // Two servers may mount `a/` and `a/b/` at once; the lock lets one of them see the other.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('mounts ' || $1::text, 0))",
        mount.organization_id.to_string()
    )
    .execute(&mut *connection)
    .await?;
    let used = sqlx::query_scalar!(
        "SELECT path FROM mounts WHERE organization_id = $1 AND class = $2 AND id <> $4 AND (starts_with($3, path) OR starts_with(path, $3)) LIMIT 1",
        mount.organization_id,
        mount.class.name(),
        mount.path,
        mount.id
    )
    .fetch_optional(&mut *connection)
    .await?;
    used.map_or(Ok(()), |constraint| Err(StoreError::Taken { constraint }))
}

/// Writes another path, by the same rule as a new mount's; the row must be of the revision before.
pub(crate) async fn rename(connection: &mut PgConnection, row: &MountRow) -> Result<(), StoreError> {
    let mount = &row.mount;
    expect_free(connection, mount).await?;
    let done = sqlx::query!(
        "UPDATE mounts SET path = $2, revision = $3, row_mac = $4 WHERE id = $1 AND revision = $3::bigint - 1",
        mount.id,
        mount.path,
        mount.revision,
        row.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    expect_one(&done, "mount")
}

/// Nobody logs in through it, mounts or moves it until this transaction is over; it must be of that revision.
pub(crate) async fn lock(connection: &mut PgConnection, mount: &Mount) -> Result<(), StoreError> {
    let there = sqlx::query!("SELECT FROM mounts WHERE id = $1 AND revision = $2 FOR UPDATE", mount.id, mount.revision)
        .fetch_optional(connection)
        .await?;
    there.map_or(Err(StoreError::Conflict { what: "login method" }), |_| Ok(()))
}

/// The mount must still be there when a login that came through it is written.
pub(crate) async fn expect_there(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    let there = sqlx::query!("SELECT FROM mounts WHERE id = $1 FOR SHARE", id).fetch_optional(connection).await?;
    there.map_or(Err(StoreError::Conflict { what: "login method" }), |_| Ok(()))
}

/// Writes description, options and configuration; the row must be of the revision before.
pub(crate) async fn update(connection: &mut PgConnection, row: &MountRow) -> Result<(), StoreError> {
    let mount = &row.mount;
    let done = sqlx::query!(
        "UPDATE mounts SET description = $2, options = $3, config = $4::text::jsonb, revision = $5, row_mac = $6 WHERE id = $1 AND revision = $5::bigint - 1",
        mount.id,
        mount.description,
        mount.options.as_ref().map(Json) as _,
        mount.config.canonical(),
        mount.revision,
        row.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    expect_one(&done, "mount")
}

/// Deletes that very revision.
pub(crate) async fn delete(connection: &mut PgConnection, mount: &Mount) -> Result<(), StoreError> {
    let done = sqlx::query!("DELETE FROM mounts WHERE id = $1 AND revision = $2", mount.id, mount.revision)
        .execute(connection)
        .await?;
    expect_one(&done, "mount")
}
