//! Table `certificate_metadata`: the inventory.

use super::{StoreError, bytes32, expect_one};
use crate::registry::{Entry, InventoryFields, Json};
use sqlx::PgConnection;
use uuid::Uuid;

/// By the certificate's id, deleted or not.
pub(crate) async fn find(
    connection: &mut PgConnection,
    organization_id: Uuid,
    certificate_id: Uuid,
) -> Result<Option<Entry<InventoryFields>>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, organization_id, certificate_id, common_name, certificate_type, status, not_before, not_after, owner_user_id, tags, category,
         environment, custom_fields::text AS "custom_fields!", notes, created_at, deleted_at, revision, row_mac
         FROM certificate_metadata WHERE organization_id = $1 AND certificate_id = $2"#,
        organization_id,
        certificate_id
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Entry {
            id: row.id,
            organization_id: row.organization_id,
            code: row.certificate_id.to_string(),
            fields: InventoryFields {
                common_name: row.common_name,
                certificate_type: row.certificate_type,
                status: row.status,
                not_before: row.not_before,
                not_after: row.not_after,
                owner_user_id: row.owner_user_id,
                tags: row.tags,
                category: row.category,
                environment: row.environment,
                custom_fields: Json::stored(row.custom_fields),
                notes: row.notes,
            },
            created_by_user_id: None,
            created_at: Some(row.created_at),
            deleted_at: row.deleted_at,
            revision: row.revision,
            row_mac: bytes32(&row.row_mac, "certificate_metadata.row_mac")?,
        })
    })
    .transpose()
}

/// Ids of certificates, sorted.
pub(crate) async fn codes(
    connection: &mut PgConnection,
    organization_id: Uuid,
    deleted: bool,
) -> Result<Vec<String>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT certificate_id FROM certificate_metadata WHERE organization_id = $1 AND (deleted_at IS NOT NULL) = $2 ORDER BY certificate_id",
        organization_id,
        deleted
    );
    Ok(ids.fetch_all(connection).await?.into_iter().map(|id| id.to_string()).collect())
}

/// Adds a row, or replaces the one it was made from (its revision being one less); a second of the same certificate is [`StoreError::Taken`].
pub(crate) async fn put(connection: &mut PgConnection, entry: &Entry<InventoryFields>) -> Result<(), StoreError> {
    let fields = &entry.fields;
    let certificate_id =
        Uuid::try_parse(&entry.code).map_err(|_| StoreError::Malformed("certificate_metadata.certificate_id"))?;
    let done = sqlx::query!(
        "INSERT INTO certificate_metadata (id, organization_id, certificate_id, common_name, certificate_type, status, not_before, not_after, owner_user_id, \
         tags, category, environment, custom_fields, notes, deleted_at, revision, row_mac) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::text::jsonb, $14, $15, $16, $17) \
         ON CONFLICT (id) DO UPDATE SET common_name = $4, certificate_type = $5, status = $6, not_before = $7, not_after = $8, owner_user_id = $9, \
         tags = $10, category = $11, environment = $12, custom_fields = $13::text::jsonb, notes = $14, deleted_at = $15, revision = $16, row_mac = $17 \
         WHERE certificate_metadata.revision = $16::bigint - 1",
        entry.id,
        entry.organization_id,
        certificate_id,
        fields.common_name,
        fields.certificate_type,
        fields.status,
        fields.not_before,
        fields.not_after,
        fields.owner_user_id,
        &fields.tags,
        fields.category,
        fields.environment,
        fields.custom_fields.text(),
        fields.notes,
        entry.deleted_at,
        entry.revision,
        entry.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    expect_one(&done, "certificate of the inventory")
}

/// There are `most` or fewer that are not deleted, with those that whoever calls this has just written: those of others come after this
/// transaction, or are seen.
pub(crate) async fn expect_room(
    connection: &mut PgConnection,
    organization_id: Uuid,
    most: u32,
) -> Result<(), StoreError> {
    super::one_at_a_time(&mut *connection).await?;
    let counted = sqlx::query_scalar!(
        r#"SELECT count(*) AS "rows!" FROM (SELECT FROM certificate_metadata WHERE organization_id = $1 AND deleted_at IS NULL LIMIT $2::bigint + 1) counted"#,
        organization_id,
        i64::from(most)
    )
    .fetch_one(connection)
    .await?;
    super::expect_at_most(most, counted, ("max_certificates", "certificates in its inventory"))
}
