//! Table `organizations`.

use super::{Store, StoreError, bytes32, expect_one};
use crate::registry::{Entry, Json, OrganizationFields};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "organizations";

/// An organization as a list of them tells it.
#[derive(Clone, Debug)]
pub(crate) struct OrganizationCode {
    pub(crate) id: Uuid,
    pub(crate) code: String,
    pub(crate) is_deleted: bool,
}

impl Store {
    /// Whether it is there.
    pub(crate) async fn organization_exists(&self, organization_id: Uuid) -> Result<bool, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let exists = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM organizations WHERE id = $1) AS "exists!""#,
            organization_id
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(exists)
    }

    /// What is set for it, if it is there.
    pub(crate) async fn organization_settings(&self, organization_id: Uuid) -> Result<Option<Value>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let settings = sqlx::query_scalar!("SELECT settings FROM organizations WHERE id = $1", organization_id)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(settings)
    }

    /// By its id, deleted or not.
    pub(crate) async fn organization(&self, id: Uuid) -> Result<Option<Entry<OrganizationFields>>, StoreError> {
        let mut transaction = self.tenant(id).await?;
        let found = find(&mut transaction, id).await?;
        transaction.commit().await?;
        Ok(found)
    }

    /// Ids of all tenants that are active.
    pub(crate) async fn active_organizations(&self) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.nobody().await?;
        let ids = sqlx::query_scalar!(r#"SELECT active_organizations() AS "id!""#).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(ids)
    }

    /// All tenants, by code.
    pub(crate) async fn organization_codes(&self) -> Result<Vec<OrganizationCode>, StoreError> {
        let mut transaction = self.nobody().await?;
        let codes = sqlx::query_as!(
            OrganizationCode,
            r#"SELECT id AS "id!", org_code AS "code!", is_deleted AS "is_deleted!" FROM organization_codes()"#
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(codes)
    }

    /// Whether the log tells of the row having been bound.
    pub(crate) async fn organization_was_bound(&self, id: Uuid) -> Result<bool, StoreError> {
        let mut transaction = self.tenant(id).await?;
        let bound = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM audit_log WHERE organization_id = $1 AND event_type IN ('system.init', 'organization.bind')
             AND event_data::text LIKE '%"organizations"%') AS "bound!""#,
            id
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(bound)
    }
}

/// By its id, deleted or not.
pub(crate) async fn find(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Entry<OrganizationFields>>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, org_name, org_code, description, website, industry, primary_contact_user_id, billing_email, support_email,
         settings::text AS "settings!", status, license_type, license_expires_at, max_users, max_certificates, max_keys,
         custom_metadata::text AS custom_metadata, api_locked, created_by_user_id, created_at, deleted_at, revision, row_mac FROM organizations WHERE id = $1"#,
        id
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Entry {
            id: row.id,
            organization_id: row.id,
            code: row.org_code,
            fields: OrganizationFields {
                org_name: row.org_name,
                description: row.description,
                website: row.website,
                industry: row.industry,
                primary_contact_user_id: row.primary_contact_user_id,
                billing_email: row.billing_email,
                support_email: row.support_email,
                settings: Json::stored(row.settings),
                status: row.status,
                license_type: row.license_type,
                license_expires_at: row.license_expires_at,
                max_users: row.max_users,
                max_certificates: row.max_certificates,
                max_keys: row.max_keys,
                custom_metadata: row.custom_metadata.map(Json::stored),
                api_locked: row.api_locked,
            },
            created_by_user_id: row.created_by_user_id,
            created_at: Some(row.created_at),
            deleted_at: row.deleted_at,
            revision: row.revision,
            row_mac: bytes32(&row.row_mac, "organizations.row_mac")?,
        })
    })
    .transpose()
}

/// Adds an organization, or replaces the row it was made from (its revision being one less); one that is there already is a conflict, a
/// second of the same code [`StoreError::Taken`].
pub(crate) async fn put(
    connection: &mut PgConnection,
    organization: &Entry<OrganizationFields>,
) -> Result<(), StoreError> {
    let fields = &organization.fields;
    let done = sqlx::query!(
        "INSERT INTO organizations (id, org_name, org_code, description, website, industry, primary_contact_user_id, billing_email, support_email, settings, \
         status, license_type, license_expires_at, max_users, max_certificates, created_by_user_id, deleted_at, revision, row_mac, max_keys, custom_metadata, api_locked) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21::text::jsonb, $22) \
         ON CONFLICT (id) DO UPDATE SET org_name = $2, description = $4, website = $5, industry = $6, primary_contact_user_id = $7, billing_email = $8, \
         support_email = $9, settings = $10::text::jsonb, status = $11, license_type = $12, license_expires_at = $13, max_users = $14, \
         max_certificates = $15, deleted_at = $17, revision = $18, row_mac = $19, max_keys = $20, custom_metadata = $21::text::jsonb, \
         api_locked = $22 WHERE organizations.revision = $18::bigint - 1",
        organization.id,
        fields.org_name,
        organization.code,
        fields.description,
        fields.website,
        fields.industry,
        fields.primary_contact_user_id,
        fields.billing_email,
        fields.support_email,
        fields.settings.text(),
        fields.status,
        fields.license_type,
        fields.license_expires_at,
        fields.max_users,
        fields.max_certificates,
        organization.created_by_user_id,
        organization.deleted_at,
        organization.revision,
        organization.row_mac.as_slice(),
        fields.max_keys,
        fields.custom_metadata.as_ref().map(Json::text),
        fields.api_locked
    )
    .execute(connection)
    .await?;
    expect_one(&done, "organization")
}
