//! Table `certificate_requests`.

use crate::row_mac::RowBytes;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "certificate_requests";

/// A row as it is stored; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct RequestRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) request_id: String,
    pub(crate) pem_encoded_csr: String,
    pub(crate) der_encoded_csr: Vec<u8>,
    pub(crate) common_name: Option<String>,
    pub(crate) subject_dn: String,
    /// As PostgreSQL spells it.
    pub(crate) subject_alternative_names: String,
    pub(crate) key_algorithm: String,
    pub(crate) key_size: Option<i32>,
    pub(crate) requested_validity_days: i32,
    pub(crate) certificate_type: String,
    pub(crate) status: String,
    pub(crate) rejection_reason: Option<String>,
    pub(crate) issued_certificate_id: Option<Uuid>,
    pub(crate) requester_user_id: Option<Uuid>,
    pub(crate) approver_user_id: Option<Uuid>,
    pub(crate) policy_id: Option<Uuid>,
    pub(crate) workflow_id: Option<Uuid>,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
    pub(crate) requested_at: DateTime<Utc>,
    pub(crate) approved_at: Option<DateTime<Utc>>,
    pub(crate) fulfilled_at: Option<DateTime<Utc>>,
    pub(crate) deleted_at: Option<DateTime<Utc>>,
}

impl RequestRow {
    /// What the row's MAC is over: all columns but `created_at` and `updated_at`, in the order of the table.
    pub(crate) fn row_bytes(&self) -> Vec<u8> {
        let text = |row: RowBytes, text: &Option<String>| row.bytes(text.as_deref().map(str::as_bytes));
        let row = RowBytes::new(TABLE)
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .text(&self.request_id)
            .text(&self.pem_encoded_csr)
            .bytes(Some(&self.der_encoded_csr));
        let row = text(row, &self.common_name)
            .text(&self.subject_dn)
            .text(&self.subject_alternative_names)
            .text(&self.key_algorithm)
            .integer(self.key_size.map_or(-1, i64::from))
            .integer(self.requested_validity_days.into())
            .text(&self.certificate_type)
            .text(&self.status);
        text(row, &self.rejection_reason)
            .id(self.issued_certificate_id)
            .id(self.requester_user_id)
            .id(self.approver_user_id)
            .id(self.policy_id)
            .id(self.workflow_id)
            .time(Some(self.requested_at))
            .time(self.approved_at)
            .time(self.fulfilled_at)
            .later("deleted_at", self.deleted_at, |row, at| row.time(Some(at)))
            .finish()
    }
}

/// By its id, deleted or not.
pub(crate) async fn by_id(
    connection: &mut PgConnection,
    organization_id: Uuid,
    id: Uuid,
) -> Result<Option<RequestRow>, sqlx::Error> {
    sqlx::query_as!(
        RequestRow,
        r#"SELECT id, organization_id, request_id, pem_encoded_csr, der_encoded_csr, common_name, subject_dn,
         subject_alternative_names::text AS "subject_alternative_names!", key_algorithm, key_size, requested_validity_days, certificate_type, status,
         rejection_reason, issued_certificate_id, requester_user_id, approver_user_id, policy_id, workflow_id, revision, row_mac, requested_at,
         approved_at, fulfilled_at, deleted_at FROM certificate_requests WHERE organization_id = $1 AND id = $2"#,
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
        "SELECT id FROM certificate_requests WHERE organization_id = $1 AND (deleted_at IS NOT NULL) = $2 ORDER BY id",
        organization_id,
        deleted
    )
    .fetch_all(connection)
    .await
}

/// Writes whether it is deleted over the revision before; `false`: somebody else was faster.
pub(crate) async fn mark(connection: &mut PgConnection, row: &RequestRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE certificate_requests SET deleted_at = $2, revision = $3, row_mac = $4 WHERE id = $1 AND revision = $3::bigint - 1",
        row.id,
        row.deleted_at,
        row.revision,
        row.row_mac
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
