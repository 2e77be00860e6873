//! Table `policies`: rules for certificates and keys.

use super::{StoreError, bytes32, expect_one};
use crate::registry::{Entry, Json, PolicyFields};
use sqlx::PgConnection;
use uuid::Uuid;

/// By its code, deleted or not.
pub(crate) async fn find(
    connection: &mut PgConnection,
    organization_id: Uuid,
    code: &str,
) -> Result<Option<Entry<PolicyFields>>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, organization_id, policy_name, policy_code, policy_type, description, policy_rules::text AS "policy_rules!", applies_to_cert_types,
         status, version, enforcement_level, effective_from, effective_until, compliance_frameworks, approved_by_user_id, approved_at,
         created_by_user_id, created_at, deleted_at, revision, row_mac FROM policies WHERE organization_id = $1 AND policy_code = $2"#,
        organization_id,
        code
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Entry {
            id: row.id,
            organization_id: row.organization_id,
            code: row.policy_code,
            fields: PolicyFields {
                policy_name: row.policy_name,
                policy_type: row.policy_type,
                description: row.description,
                policy_rules: Json::stored(row.policy_rules),
                applies_to_cert_types: row.applies_to_cert_types,
                status: row.status,
                version: row.version,
                enforcement_level: row.enforcement_level,
                effective_from: row.effective_from,
                effective_until: row.effective_until,
                compliance_frameworks: row.compliance_frameworks,
                approved_by_user_id: row.approved_by_user_id,
                approved_at: row.approved_at,
            },
            created_by_user_id: row.created_by_user_id,
            created_at: Some(row.created_at),
            deleted_at: row.deleted_at,
            revision: row.revision,
            row_mac: bytes32(&row.row_mac, "policies.row_mac")?,
        })
    })
    .transpose()
}

/// Codes, sorted.
pub(crate) async fn codes(
    connection: &mut PgConnection,
    organization_id: Uuid,
    deleted: bool,
) -> Result<Vec<String>, StoreError> {
    let codes = sqlx::query_scalar!(
        r#"SELECT policy_code FROM policies WHERE organization_id = $1 AND (deleted_at IS NOT NULL) = $2 ORDER BY policy_code COLLATE "C""#,
        organization_id,
        deleted
    );
    Ok(codes.fetch_all(connection).await?)
}

/// Adds a policy, or replaces the row it was made from (its revision being one less); a second of the same code is [`StoreError::Taken`].
pub(crate) async fn put(connection: &mut PgConnection, policy: &Entry<PolicyFields>) -> Result<(), StoreError> {
    let fields = &policy.fields;
    let done = sqlx::query!(
        "INSERT INTO policies (id, organization_id, policy_name, policy_code, policy_type, description, policy_rules, applies_to_cert_types, status, version, \
         enforcement_level, effective_from, effective_until, compliance_frameworks, approved_by_user_id, approved_at, created_by_user_id, deleted_at, \
         revision, row_mac) VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) \
         ON CONFLICT (id) DO UPDATE SET policy_name = $3, policy_type = $5, description = $6, policy_rules = $7::text::jsonb, applies_to_cert_types = $8, \
         status = $9, version = $10, enforcement_level = $11, effective_from = $12, effective_until = $13, compliance_frameworks = $14, \
         approved_by_user_id = $15, approved_at = $16, deleted_at = $18, revision = $19, row_mac = $20 WHERE policies.revision = $19::bigint - 1",
        policy.id,
        policy.organization_id,
        fields.policy_name,
        policy.code,
        fields.policy_type,
        fields.description,
        fields.policy_rules.text(),
        &fields.applies_to_cert_types,
        fields.status,
        fields.version,
        fields.enforcement_level,
        fields.effective_from,
        fields.effective_until,
        &fields.compliance_frameworks,
        fields.approved_by_user_id,
        fields.approved_at,
        policy.created_by_user_id,
        policy.deleted_at,
        policy.revision,
        policy.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    expect_one(&done, "policy")
}
