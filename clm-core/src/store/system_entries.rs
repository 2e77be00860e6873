//! Table `system_entries`.

use super::bind::RowBytes;
use super::{Store, StoreError, bytes32, expect_one};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "system_entries";

/// An entry as stored.
#[derive(Clone, Debug)]
pub(crate) struct EntryRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) document: String,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

impl EntryRow {
    /// What its MAC is over.
    pub(crate) fn bound_bytes(&self) -> Vec<u8> {
        let Self { id, organization_id, kind, name, document, revision, row_mac: _ } = self;
        RowBytes::new("system_entries.v1")
            .uuid(*id)
            .uuid(*organization_id)
            .text(kind)
            .text(name)
            .text(document)
            .integer(*revision)
            .finish()
    }
}

impl Store {
    /// All of a kind, by name.
    pub(crate) async fn system_entries(
        &self,
        organization_id: Uuid,
        kind: &'static str,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let rows = sqlx::query!(
            r#"SELECT id, name, document, revision, row_mac FROM system_entries WHERE organization_id = $1 AND kind = $2 ORDER BY name COLLATE "C""#,
            organization_id,
            kind
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        rows.into_iter()
            .map(|row| {
                Ok(EntryRow {
                    id: row.id,
                    organization_id,
                    kind,
                    name: row.name,
                    document: row.document,
                    revision: row.revision,
                    row_mac: bytes32(&row.row_mac, "system_entries.row_mac")?,
                })
            })
            .collect()
    }

    /// One, by its name.
    pub(crate) async fn system_entry(
        &self,
        organization_id: Uuid,
        kind: &'static str,
        name: &str,
    ) -> Result<Option<EntryRow>, StoreError> {
        Ok(self.system_entries(organization_id, kind).await?.into_iter().find(|row| row.name == name))
    }
}

/// Adds an entry, or replaces the row it was made from (its revision being one less).
pub(crate) async fn put(connection: &mut PgConnection, row: &EntryRow) -> Result<(), StoreError> {
    let done = if row.revision == 1 {
        sqlx::query!(
            "INSERT INTO system_entries (id, organization_id, kind, name, document, revision, row_mac) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (organization_id, kind, name) DO NOTHING",
            row.id,
            row.organization_id,
            row.kind,
            row.name,
            row.document,
            row.revision,
            row.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    } else {
        sqlx::query!(
            "UPDATE system_entries SET document = $2, revision = $3, row_mac = $4 WHERE id = $1 AND revision = $3::bigint - 1",
            row.id,
            row.document,
            row.revision,
            row.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    };
    expect_one(&done, "setting")
}

/// Deletes that very revision.
pub(crate) async fn delete(connection: &mut PgConnection, row: &EntryRow) -> Result<(), StoreError> {
    let done = sqlx::query!("DELETE FROM system_entries WHERE id = $1 AND revision = $2", row.id, row.revision)
        .execute(connection)
        .await?;
    expect_one(&done, "setting")
}
