//! Table `certificates`.

use crate::row_mac::RowBytes;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "certificates";

/// A row as it is stored; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct CertificateRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) mount_id: Option<Uuid>,
    pub(crate) certificate_id: String,
    pub(crate) common_name: Option<String>,
    pub(crate) organization: Option<String>,
    pub(crate) organizational_unit: Option<String>,
    pub(crate) certificate_type: String,
    pub(crate) issuer_certificate_id: Option<Uuid>,
    pub(crate) pem_encoded_cert: Option<String>,
    pub(crate) der_encoded_cert: Option<Vec<u8>>,
    pub(crate) certificate_chain: Vec<String>,
    pub(crate) serial_number: String,
    pub(crate) thumbprint_sha256: Option<String>,
    pub(crate) thumbprint_sha1: Option<String>,
    pub(crate) subject_key_identifier: Option<String>,
    pub(crate) authority_key_identifier: Option<String>,
    pub(crate) issuer_dn: String,
    pub(crate) subject_dn: String,
    /// As PostgreSQL spells it.
    pub(crate) subject_alternative_names: String,
    pub(crate) key_usage: Vec<String>,
    pub(crate) key_algorithm: String,
    pub(crate) key_size: Option<i32>,
    pub(crate) signature_algorithm: String,
    pub(crate) not_before: DateTime<Utc>,
    pub(crate) not_after: DateTime<Utc>,
    pub(crate) status: String,
    pub(crate) revocation_reason: Option<String>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
    pub(crate) encryption_key_id: Option<Uuid>,
    pub(crate) is_encrypted: bool,
    pub(crate) encryption_algorithm: Option<String>,
    pub(crate) owner_user_id: Option<Uuid>,
    pub(crate) policy_id: Option<Uuid>,
    pub(crate) workflow_id: Option<Uuid>,
    pub(crate) entity_type: Option<String>,
    pub(crate) entity_id: Option<String>,
    /// As PostgreSQL spells it.
    pub(crate) metadata: String,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
    pub(crate) created_by_user_id: Option<Uuid>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) deleted_at: Option<DateTime<Utc>>,
}

impl CertificateRow {
    /// What the row's MAC is over: all columns but `updated_at`, in the order of the table.
    pub(crate) fn row_bytes(&self) -> Vec<u8> {
        let text = |row: RowBytes, text: &Option<String>| row.bytes(text.as_deref().map(str::as_bytes));
        let list = |row: RowBytes, list: &[String]| {
            list.iter().fold(row.integer(i64::try_from(list.len()).unwrap_or(i64::MAX)), |row, word| row.text(word))
        };
        let mut row = RowBytes::new(TABLE)
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .id(self.mount_id)
            .text(&self.certificate_id);
        for column in [&self.common_name, &self.organization, &self.organizational_unit] {
            row = text(row, column);
        }
        row = row.text(&self.certificate_type).id(self.issuer_certificate_id);
        row = text(row, &self.pem_encoded_cert).bytes(self.der_encoded_cert.as_deref());
        row = list(row, &self.certificate_chain).text(&self.serial_number);
        for column in [
            &self.thumbprint_sha256,
            &self.thumbprint_sha1,
            &self.subject_key_identifier,
            &self.authority_key_identifier,
        ] {
            row = text(row, column);
        }
        row = row.text(&self.issuer_dn).text(&self.subject_dn).text(&self.subject_alternative_names);
        row = list(row, &self.key_usage)
            .text(&self.key_algorithm)
            .integer(self.key_size.map_or(-1, i64::from))
            .text(&self.signature_algorithm)
            .time(Some(self.not_before))
            .time(Some(self.not_after))
            .text(&self.status);
        row =
            text(row, &self.revocation_reason).time(self.revoked_at).id(self.encryption_key_id).flag(self.is_encrypted);
        row = text(row, &self.encryption_algorithm).id(self.owner_user_id).id(self.policy_id).id(self.workflow_id);
        row = text(row, &self.entity_type);
        text(row, &self.entity_id)
            .text(&self.metadata)
            .id(self.created_by_user_id)
            .time(Some(self.created_at))
            .later("deleted_at", self.deleted_at, |row, at| row.time(Some(at)))
            .finish()
    }
}

/// By its id, deleted or not.
pub(crate) async fn by_id(
    connection: &mut PgConnection,
    organization_id: Uuid,
    id: Uuid,
) -> Result<Option<CertificateRow>, sqlx::Error> {
    sqlx::query_as!(
        CertificateRow,
        r#"SELECT id, organization_id, mount_id, certificate_id, common_name, organization, organizational_unit, certificate_type, issuer_certificate_id,
         pem_encoded_cert, der_encoded_cert, certificate_chain, serial_number, thumbprint_sha256, thumbprint_sha1, subject_key_identifier,
         authority_key_identifier, issuer_dn, subject_dn, subject_alternative_names::text AS "subject_alternative_names!", key_usage, key_algorithm,
         key_size, signature_algorithm, not_before, not_after, status, revocation_reason, revoked_at, encryption_key_id, is_encrypted,
         encryption_algorithm, owner_user_id, policy_id, workflow_id, entity_type, entity_id, metadata::text AS "metadata!", revision, row_mac,
         created_by_user_id, created_at, deleted_at FROM certificates WHERE organization_id = $1 AND id = $2"#,
        organization_id,
        id
    )
    .fetch_optional(connection)
    .await
}

/// Ids, sorted.
pub(crate) async fn ids(
    connection: &mut PgConnection,
    organization_id: Uuid,
    deleted: bool,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT id FROM certificates WHERE organization_id = $1 AND (deleted_at IS NOT NULL) = $2 ORDER BY id",
        organization_id,
        deleted
    )
    .fetch_all(connection)
    .await
}

/// Writes whether it is deleted over the revision before; `false`: somebody else was faster.
pub(crate) async fn mark(connection: &mut PgConnection, row: &CertificateRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE certificates SET deleted_at = $2, revision = $3, row_mac = $4 WHERE id = $1 AND revision = $3::bigint - 1",
        row.id,
        row.deleted_at,
        row.revision,
        row.row_mac
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
