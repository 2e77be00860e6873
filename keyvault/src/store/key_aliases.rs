//! Table `key_aliases`.

use crate::key::KeyName;
use crate::row_mac::RowBytes;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "key_aliases";

/// A row as it is stored; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct AliasRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) mount_id: Uuid,
    pub(crate) alias: String,
    pub(crate) named_key_id: Uuid,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
}

impl AliasRow {
    pub(crate) fn row_bytes(&self, deleted: bool) -> Vec<u8> {
        RowBytes::new(TABLE)
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .id(Some(self.mount_id))
            .text(&self.alias)
            .id(Some(self.named_key_id))
            .flag(deleted)
            .finish()
    }
}

/// The alias of that name, and the name of its key. `None` for that: the key was deleted.
pub(crate) async fn by_alias(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    alias: &KeyName,
) -> Result<Option<(AliasRow, Option<String>)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT a.id, a.organization_id, a.mount_id, a.alias, a.named_key_id, a.revision, a.row_mac, n.name AS "name?" FROM key_aliases a
           LEFT JOIN named_keys n ON n.id = a.named_key_id AND n.deleted_at IS NULL
           WHERE a.organization_id = $1 AND a.mount_id = $2 AND a.alias = $3 AND a.deleted_at IS NULL"#,
        organization_id,
        mount_id,
        alias.as_str()
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let alias = AliasRow {
            id: row.id,
            organization_id: row.organization_id,
            mount_id: row.mount_id,
            alias: row.alias,
            named_key_id: row.named_key_id,
            revision: row.revision,
            row_mac: row.row_mac,
        };
        (alias, row.name)
    }))
}

/// Whether a name is an alias's.
pub(crate) async fn is_taken(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    name: &KeyName,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM key_aliases WHERE organization_id = $1 AND mount_id = $2 AND alias = $3 AND deleted_at IS NULL) AS "taken!""#,
        organization_id,
        mount_id,
        name.as_str()
    )
    .fetch_one(connection)
    .await
}

/// Aliases of a mount, of that key alone if one is given; sorted.
pub(crate) async fn names(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    named_key_id: Option<Uuid>,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT alias FROM key_aliases WHERE organization_id = $1 AND mount_id = $2 AND deleted_at IS NULL AND ($3::uuid IS NULL OR named_key_id = $3)
           ORDER BY alias COLLATE "C""#,
        organization_id,
        mount_id,
        named_key_id
    )
    .fetch_all(connection)
    .await
}

/// `false`: the alias is taken.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    row: &AliasRow,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "INSERT INTO key_aliases (id, organization_id, mount_id, alias, named_key_id, revision, row_mac, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (organization_id, mount_id, alias) WHERE deleted_at IS NULL DO NOTHING",
        row.id,
        row.organization_id,
        row.mount_id,
        row.alias,
        row.named_key_id,
        row.revision,
        row.row_mac,
        now
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes a row over the revision before; `false`: somebody else was faster.
pub(crate) async fn update(
    connection: &mut PgConnection,
    row: &AliasRow,
    deleted_at: Option<DateTime<Utc>>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE key_aliases SET named_key_id = $2, revision = $3, row_mac = $4, deleted_at = $5 WHERE id = $1 AND revision = $3::bigint - 1 AND deleted_at IS NULL",
        row.id,
        row.named_key_id,
        row.revision,
        row.row_mac,
        deleted_at
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
