//! The inventory: what people say of a certificate of `clm_secure_db`, beside what that says itself. Nothing is allowed by it.

use super::CERTIFICATE_TYPES;
use crate::error::{Error, Result};
use crate::organization_quotas::OrganizationQuotas;
use crate::registry::entry::{Entry, Fields, Moment, Reference, one_of};
use crate::registry::{Json, Kind};
use crate::store::bind::RowBytes;
use crate::store::{StoreError, certificate_metadata};
use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

const STATUSES: [&str; 6] = ["pending", "active", "expiring", "expired", "revoked", "suspended"];
const ENVIRONMENTS: [&str; 4] = ["production", "staging", "development", "testing"];

/// Its code is the certificate's id.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InventoryFields {
    #[serde(default)]
    pub(crate) common_name: Option<String>,
    pub(crate) certificate_type: String,
    pub(crate) status: String,
    pub(crate) not_before: DateTime<Utc>,
    pub(crate) not_after: DateTime<Utc>,
    #[serde(default)]
    pub(crate) owner_user_id: Option<Uuid>,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    #[serde(default)]
    pub(crate) category: Option<String>,
    #[serde(default)]
    pub(crate) environment: Option<String>,
    #[serde(default = "nothing")]
    pub(crate) custom_fields: Json,
    #[serde(default)]
    pub(crate) notes: Option<String>,
}

fn nothing() -> Json {
    Json::from(&json!({}))
}

impl Fields for InventoryFields {
    const KIND: Kind = Kind::Inventory;

    fn json(&mut self) -> Vec<&mut Json> {
        vec![&mut self.custom_fields]
    }

    fn settle(entry: &mut Entry<Self>, _old: Option<&Entry<Self>>, _moment: Moment) -> Result<()> {
        let id = Uuid::try_parse(&entry.code);
        entry.code = id.map_err(|_| Error::invalid("the inventory knows certificates by their id"))?.to_string();
        let fields = &mut entry.fields;
        one_of("certificate_type", &fields.certificate_type, &CERTIFICATE_TYPES)?;
        one_of("status", &fields.status, &STATUSES)?;
        if let Some(environment) = &fields.environment {
            one_of("environment", environment, &ENVIRONMENTS)?;
        }
        if !fields.custom_fields.value().is_object() {
            return Err(Error::invalid("custom_fields is an object"));
        }
        for time in [&mut fields.not_before, &mut fields.not_after] {
            *time = time.trunc_subsecs(6);
        }
        Ok(())
    }

    fn references(&self) -> Vec<Reference> {
        self.owner_user_id.map(|id| Reference::User("owner_user_id", id)).into_iter().collect()
    }

    fn bound_bytes(entry: &Entry<Self>) -> Vec<u8> {
        let Entry {
            id,
            organization_id,
            code,
            fields,
            created_by_user_id: _,
            created_at: _,
            deleted_at,
            revision,
            row_mac: _,
        } = entry;
        let Self {
            common_name,
            certificate_type,
            status,
            not_before,
            not_after,
            owner_user_id,
            tags,
            category,
            environment,
            custom_fields,
            notes,
        } = fields;
        let mut row = RowBytes::new("certificate_metadata.v1").uuid(*id).uuid(*organization_id);
        for text in [code, certificate_type, status, custom_fields.text()] {
            row = row.text(text);
        }
        for text in [common_name, category, environment, notes] {
            row = row.optional(text.as_deref(), RowBytes::text);
        }
        row.time(*not_before)
            .time(*not_after)
            .optional(*owner_user_id, RowBytes::uuid)
            .list(tags.iter(), |row, tag| row.text(tag))
            .optional(*deleted_at, RowBytes::time)
            .integer(*revision)
            .finish()
    }

    async fn find(connection: &mut PgConnection, owner: Uuid, code: &str) -> Result<Option<Entry<Self>>, StoreError> {
        let Ok(certificate_id) = Uuid::try_parse(code) else { return Ok(None) };
        certificate_metadata::find(connection, owner, certificate_id).await
    }

    async fn put(connection: &mut PgConnection, entry: &Entry<Self>) -> Result<(), StoreError> {
        certificate_metadata::put(connection, entry).await
    }

    async fn expect_room(
        connection: &mut PgConnection,
        owner: Uuid,
        quotas: &OrganizationQuotas,
    ) -> Result<(), StoreError> {
        match quotas.max_certificates(owner) {
            Some(most) => certificate_metadata::expect_room(connection, owner, most).await,
            None => Ok(()),
        }
    }

    async fn codes(connection: &mut PgConnection, owner: Uuid, deleted: bool) -> Result<Vec<String>, StoreError> {
        certificate_metadata::codes(connection, owner, deleted).await
    }
}
