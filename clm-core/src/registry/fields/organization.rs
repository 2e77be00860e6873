//! Organizations: the tenants. The tokens and mounts of one are served while it is active, not deleted, and its row carries its MAC.

use crate::core::ROOT_ORGANIZATION;
use crate::error::{Error, Result};
use crate::registry::entry::{Entry, Fields, Moment, Reference, checked_name, one_of};
use crate::registry::{Json, Kind};
use crate::store::bind::RowBytes;
use crate::store::{StoreError, organizations};
use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

const STATUSES: [&str; 3] = ["active", "suspended", "inactive"];

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationFields {
    #[serde(default)]
    pub(crate) org_name: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) website: Option<String>,
    #[serde(default)]
    pub(crate) industry: Option<String>,
    #[serde(default)]
    pub(crate) primary_contact_user_id: Option<Uuid>,
    #[serde(default)]
    pub(crate) billing_email: Option<String>,
    #[serde(default)]
    pub(crate) support_email: Option<String>,
    /// The service's own.
    #[serde(skip, default = "nothing")]
    pub(crate) settings: Json,
    #[serde(default = "active")]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) license_type: Option<String>,
    #[serde(default)]
    pub(crate) license_expires_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(crate) max_users: Option<i32>,
    #[serde(default)]
    pub(crate) max_certificates: Option<i32>,
    #[serde(default)]
    pub(crate) max_keys: Option<i32>,
    #[serde(default)]
    pub(crate) custom_metadata: Option<Json>,
    /// The service's own: see `namespace_lock`.
    #[serde(skip)]
    pub(crate) api_locked: bool,
}

fn is_texts(value: &Value) -> bool {
    value.as_object().is_some_and(|texts| texts.values().all(Value::is_string))
}

fn nothing() -> Json {
    Json::from(&json!({}))
}

fn active() -> String {
    "active".into()
}

impl OrganizationFields {
    /// An active one of that name; `settings` are the service's own.
    pub(crate) fn named(name: &str, settings: &Value) -> Self {
        Self {
            org_name: name.to_owned(),
            description: None,
            website: None,
            industry: None,
            primary_contact_user_id: None,
            billing_email: None,
            support_email: None,
            settings: Json::from(settings),
            status: active(),
            license_type: None,
            license_expires_at: None,
            max_users: None,
            max_certificates: None,
            max_keys: None,
            custom_metadata: None,
            api_locked: false,
        }
    }

    /// Texts by name that clients keep with the namespace.
    pub(crate) fn metadata(&self) -> Map<String, Value> {
        match self.custom_metadata.as_ref().map(Json::value) {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        }
    }
}

impl Fields for OrganizationFields {
    const KIND: Kind = Kind::Organization;

    fn json(&mut self) -> Vec<&mut Json> {
        [&mut self.settings].into_iter().chain(&mut self.custom_metadata).collect()
    }

    fn settle(entry: &mut Entry<Self>, old: Option<&Entry<Self>>, _moment: Moment) -> Result<()> {
        let fields = &mut entry.fields;
        if let Some(old) = old {
            fields.settings.clone_from(&old.fields.settings);
            fields.api_locked = old.fields.api_locked;
        }
        if fields.org_name.is_empty() {
            fields.org_name.clone_from(&entry.code);
        }
        checked_name("org_name", &fields.org_name)?;
        one_of("status", &fields.status, &STATUSES)?;
        if entry.organization_id == ROOT_ORGANIZATION && fields.status != "active" {
            return Err(Error::invalid("organization root stays active: without it nobody could make it so again"));
        }
        for (field, address) in [("billing_email", &fields.billing_email), ("support_email", &fields.support_email)] {
            if address.as_ref().is_some_and(|address| !address.contains('@') || address.contains(char::is_whitespace)) {
                return Err(Error::invalid(format!("{field} is an e-mail address")));
            }
        }
        if [fields.max_users, fields.max_certificates, fields.max_keys].into_iter().flatten().any(|most| most < 0) {
            return Err(Error::invalid("max_users, max_certificates and max_keys are not negative"));
        }
        if fields.custom_metadata.as_ref().is_some_and(|metadata| !is_texts(&metadata.value())) {
            return Err(Error::invalid("custom_metadata values must be strings"));
        }
        fields.license_expires_at = fields.license_expires_at.map(|time| time.trunc_subsecs(6));
        Ok(())
    }

    fn may_go(entry: &Entry<Self>) -> Result<()> {
        if entry.organization_id == ROOT_ORGANIZATION {
            return Err(Error::invalid("organization root cannot be deleted: without it nobody could bring it back"));
        }
        Ok(())
    }

    fn references(&self) -> Vec<Reference> {
        self.primary_contact_user_id.map(|id| Reference::User("primary_contact_user_id", id)).into_iter().collect()
    }

    fn bound_bytes(entry: &Entry<Self>) -> Vec<u8> {
        let Entry {
            id,
            organization_id: _,
            code,
            fields,
            created_by_user_id,
            created_at: _,
            deleted_at,
            revision,
            row_mac: _,
        } = entry;
        let Self {
            org_name,
            description,
            website,
            industry,
            primary_contact_user_id,
            billing_email,
            support_email,
            settings,
            status,
            license_type,
            license_expires_at,
            max_users,
            max_certificates,
            max_keys,
            custom_metadata,
            api_locked,
        } = fields;
        // What rows had no column for in the first schema is bound only where it is said.
        let says_more = max_keys.is_some() || custom_metadata.is_some() || *api_locked;
        let version = match (api_locked, says_more) {
            (true, _) => "organizations.v3",
            (false, true) => "organizations.v2",
            (false, false) => "organizations.v1",
        };
        let mut row = RowBytes::new(version).uuid(*id).text(code).text(org_name).text(status).text(settings.text());
        for text in [description, website, industry, billing_email, support_email, license_type] {
            row = row.optional(text.as_deref(), RowBytes::text);
        }
        for user in [primary_contact_user_id, created_by_user_id] {
            row = row.optional(*user, RowBytes::uuid);
        }
        for time in [license_expires_at, deleted_at] {
            row = row.optional(*time, RowBytes::time);
        }
        for most in [max_users, max_certificates] {
            row = row.optional(most.map(i64::from), RowBytes::integer);
        }
        if says_more {
            row = row.optional(max_keys.map(i64::from), RowBytes::integer);
            row = row.optional(custom_metadata.as_ref().map(Json::text), RowBytes::text);
        }
        row.integer(*revision).finish()
    }

    async fn find(connection: &mut PgConnection, owner: Uuid, code: &str) -> Result<Option<Entry<Self>>, StoreError> {
        Ok(organizations::find(connection, owner).await?.filter(|entry| entry.code == code))
    }

    async fn put(connection: &mut PgConnection, entry: &Entry<Self>) -> Result<(), StoreError> {
        organizations::put(connection, entry).await
    }

    /// An organization sees itself.
    async fn codes(connection: &mut PgConnection, owner: Uuid, deleted: bool) -> Result<Vec<String>, StoreError> {
        let own = organizations::find(connection, owner).await?.filter(|entry| entry.is_deleted() == deleted);
        Ok(own.map(|entry| entry.code).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::entry::changed;

    #[test]
    fn what_is_the_services_own_nobody_writes() {
        let begun = OrganizationFields::named("second", &json!({}));
        for (field, value) in [("settings", json!({"seal": {"threshold": 0}})), ("api_locked", json!(true))] {
            let refused = changed(Some(&begun), &Map::from_iter([(field.to_owned(), value)]));
            assert!(refused.is_err_and(|error| error.to_string().contains(field)), "{field}");
        }
    }
}
