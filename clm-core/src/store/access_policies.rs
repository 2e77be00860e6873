//! Table `access_policies`.

use super::bind::RowBytes;
use super::{Store, StoreError, bytes32, expect_one};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "access_policies";

/// A policy as stored.
#[derive(Clone, Debug)]
pub(crate) struct PolicyRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) name: String,
    pub(crate) document: String,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

impl PolicyRow {
    /// What its MAC is over.
    pub(crate) fn bound_bytes(&self) -> Vec<u8> {
        let Self { id, organization_id, name, document, revision, row_mac: _ } = self;
        RowBytes::new("access_policies.v1")
            .uuid(*id)
            .uuid(*organization_id)
            .text(name)
            .text(document)
            .integer(*revision)
            .finish()
    }
}

impl Store {
    /// Those of `names` that exist.
    pub(crate) async fn policies(&self, organization_id: Uuid, names: &[String]) -> Result<Vec<PolicyRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let rows = sqlx::query!(
            "SELECT id, organization_id, name, document, revision, row_mac FROM access_policies WHERE organization_id = $1 AND name = ANY($2)",
            organization_id,
            names
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        rows.into_iter()
            .map(|row| {
                Ok(PolicyRow {
                    id: row.id,
                    organization_id: row.organization_id,
                    name: row.name,
                    document: row.document,
                    revision: row.revision,
                    row_mac: bytes32(&row.row_mac, "access_policies.row_mac")?,
                })
            })
            .collect()
    }

    /// All names, sorted.
    pub(crate) async fn policy_names(&self, organization_id: Uuid) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let names = sqlx::query_scalar!(
            r#"SELECT name FROM access_policies WHERE organization_id = $1 ORDER BY name COLLATE "C""#,
            organization_id
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(names)
    }
}

/// Adds a policy, or replaces the row it was made from (its revision being one less).
pub(crate) async fn put(connection: &mut PgConnection, row: &PolicyRow) -> Result<(), StoreError> {
    let done = if row.revision == 1 {
        sqlx::query!(
            "INSERT INTO access_policies (id, organization_id, name, document, revision, row_mac) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (organization_id, name) DO NOTHING",
            row.id,
            row.organization_id,
            row.name,
            row.document,
            row.revision,
            row.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    } else {
        sqlx::query!(
            "UPDATE access_policies SET document = $2, revision = $3, row_mac = $4 WHERE id = $1 AND revision = $3::bigint - 1",
            row.id,
            row.document,
            row.revision,
            row.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    };
    expect_one(&done, "policy")
}

/// Deletes that very revision.
pub(crate) async fn delete(connection: &mut PgConnection, row: &PolicyRow) -> Result<(), StoreError> {
    let done = sqlx::query!("DELETE FROM access_policies WHERE id = $1 AND revision = $2", row.id, row.revision)
        .execute(connection)
        .await?;
    expect_one(&done, "policy")
}
