//! Table `workflows`.

use super::{StoreError, bytes32, expect_one};
use crate::registry::{Entry, Json, WorkflowFields};
use sqlx::PgConnection;
use uuid::Uuid;

/// By its code, deleted or not.
pub(crate) async fn find(
    connection: &mut PgConnection,
    organization_id: Uuid,
    code: &str,
) -> Result<Option<Entry<WorkflowFields>>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, organization_id, workflow_name, workflow_code, workflow_type, description, workflow_definition::text AS "workflow_definition!",
         auto_approve_conditions::text, requires_approval, approval_chain::text AS "approval_chain!", status, version, created_by_user_id, created_at,
         deleted_at, revision, row_mac FROM workflows WHERE organization_id = $1 AND workflow_code = $2"#,
        organization_id,
        code
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Entry {
            id: row.id,
            organization_id: row.organization_id,
            code: row.workflow_code,
            fields: WorkflowFields {
                workflow_name: row.workflow_name,
                workflow_type: row.workflow_type,
                description: row.description,
                workflow_definition: Json::stored(row.workflow_definition),
                auto_approve_conditions: row.auto_approve_conditions.map(Json::stored),
                requires_approval: row.requires_approval,
                approval_chain: Json::stored(row.approval_chain),
                status: row.status,
                version: row.version,
            },
            created_by_user_id: row.created_by_user_id,
            created_at: Some(row.created_at),
            deleted_at: row.deleted_at,
            revision: row.revision,
            row_mac: bytes32(&row.row_mac, "workflows.row_mac")?,
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
        r#"SELECT workflow_code FROM workflows WHERE organization_id = $1 AND (deleted_at IS NOT NULL) = $2 ORDER BY workflow_code COLLATE "C""#,
        organization_id,
        deleted
    );
    Ok(codes.fetch_all(connection).await?)
}

/// Adds a workflow, or replaces the row it was made from (its revision being one less); a second of the same code is [`StoreError::Taken`].
pub(crate) async fn put(connection: &mut PgConnection, workflow: &Entry<WorkflowFields>) -> Result<(), StoreError> {
    let fields = &workflow.fields;
    let done = sqlx::query!(
        "INSERT INTO workflows (id, organization_id, workflow_name, workflow_code, workflow_type, description, workflow_definition, \
         auto_approve_conditions, requires_approval, approval_chain, status, version, created_by_user_id, deleted_at, revision, row_mac) \
         VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8::text::jsonb, $9, $10::text::jsonb, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (id) DO UPDATE SET workflow_name = $3, workflow_type = $5, description = $6, workflow_definition = $7::text::jsonb, \
         auto_approve_conditions = $8::text::jsonb, requires_approval = $9, approval_chain = $10::text::jsonb, status = $11, version = $12, \
         deleted_at = $14, revision = $15, row_mac = $16 WHERE workflows.revision = $15::bigint - 1",
        workflow.id,
        workflow.organization_id,
        fields.workflow_name,
        workflow.code,
        fields.workflow_type,
        fields.description,
        fields.workflow_definition.text(),
        fields.auto_approve_conditions.as_ref().map(Json::text),
        fields.requires_approval,
        fields.approval_chain.text(),
        fields.status,
        fields.version,
        workflow.created_by_user_id,
        workflow.deleted_at,
        workflow.revision,
        workflow.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    expect_one(&done, "workflow")
}
