//! Rules for certificates and keys. Which paths a token may reach is another kind of policy, in `access_policies`.

use super::{CERTIFICATE_TYPES, STATUSES};
use crate::error::{Error, Result};
use crate::registry::entry::{Entry, Fields, Moment, all_of, checked_name, one_of};
use crate::registry::{Json, Kind};
use crate::store::bind::RowBytes;
use crate::store::{StoreError, policies};
use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

const TYPES: [&str; 5] = ["certificate", "key_management", "access_control", "compliance", "issuance"];
const ENFORCEMENTS: [&str; 3] = ["mandatory", "advisory", "audit_only"];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyFields {
    #[serde(default)]
    pub(crate) policy_name: String,
    pub(crate) policy_type: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
    pub(crate) policy_rules: Json,
    /// Empty: all.
    #[serde(default)]
    pub(crate) applies_to_cert_types: Vec<String>,
    #[serde(default = "draft")]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) version: i32,
    #[serde(default = "mandatory")]
    pub(crate) enforcement_level: String,
    #[serde(default)]
    pub(crate) effective_from: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(crate) effective_until: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(crate) compliance_frameworks: Vec<String>,
    #[serde(default)]
    pub(crate) approved_by_user_id: Option<Uuid>,
    #[serde(default)]
    pub(crate) approved_at: Option<DateTime<Utc>>,
}

pub(super) fn draft() -> String {
    "draft".into()
}

fn mandatory() -> String {
    "mandatory".into()
}

impl Fields for PolicyFields {
    const KIND: Kind = Kind::Policy;

    fn json(&mut self) -> Vec<&mut Json> {
        vec![&mut self.policy_rules]
    }

    fn settle(entry: &mut Entry<Self>, old: Option<&Entry<Self>>, moment: Moment) -> Result<()> {
        let fields = &mut entry.fields;
        if fields.policy_name.is_empty() {
            fields.policy_name.clone_from(&entry.code);
        }
        checked_name("policy_name", &fields.policy_name)?;
        one_of("policy_type", &fields.policy_type, &TYPES)?;
        one_of("status", &fields.status, &STATUSES)?;
        one_of("enforcement_level", &fields.enforcement_level, &ENFORCEMENTS)?;
        all_of("applies_to_cert_types", &fields.applies_to_cert_types, &CERTIFICATE_TYPES)?;
        if !fields.policy_rules.value().is_object() {
            return Err(Error::invalid("policy_rules is an object, {\"max_validity_days\":365,\"min_key_size\":2048}"));
        }
        for time in [&mut fields.effective_from, &mut fields.effective_until] {
            *time = time.map(|time| time.trunc_subsecs(6));
        }
        if let (Some(from), Some(until)) = (fields.effective_from, fields.effective_until)
            && from >= until
        {
            return Err(Error::invalid("effective_from is before effective_until"));
        }
        let old = old.map(|old| &old.fields);
        fields.version = old.map_or(1, |old| old.version + i32::from(old != fields));
        // Whoever has it count says so; what is changed afterwards is said anew.
        let counts = fields.status == "active";
        if !counts || old.is_none_or(|old| old != fields) {
            fields.approved_by_user_id = moment.user_id.filter(|_| counts);
            fields.approved_at = counts.then_some(moment.now);
        }
        Ok(())
    }

    fn bound_bytes(entry: &Entry<Self>) -> Vec<u8> {
        let Entry {
            id,
            organization_id,
            code,
            fields,
            created_by_user_id,
            created_at: _,
            deleted_at,
            revision,
            row_mac: _,
        } = entry;
        let Self {
            policy_name,
            policy_type,
            description,
            policy_rules,
            applies_to_cert_types,
            status,
            version,
            enforcement_level,
            effective_from,
            effective_until,
            compliance_frameworks,
            approved_by_user_id,
            approved_at,
        } = fields;
        let mut row = RowBytes::new("policies.v1").uuid(*id).uuid(*organization_id);
        for text in [code, policy_name, policy_type, policy_rules.text(), status, enforcement_level] {
            row = row.text(text);
        }
        for list in [applies_to_cert_types, compliance_frameworks] {
            row = row.list(list.iter(), |row, word| row.text(word));
        }
        for time in [effective_from, effective_until, approved_at, deleted_at] {
            row = row.optional(*time, RowBytes::time);
        }
        for user in [approved_by_user_id, created_by_user_id] {
            row = row.optional(*user, RowBytes::uuid);
        }
        row.optional(description.as_deref(), RowBytes::text).integer(i64::from(*version)).integer(*revision).finish()
    }

    async fn find(connection: &mut PgConnection, owner: Uuid, code: &str) -> Result<Option<Entry<Self>>, StoreError> {
        policies::find(connection, owner, code).await
    }

    async fn put(connection: &mut PgConnection, entry: &Entry<Self>) -> Result<(), StoreError> {
        policies::put(connection, entry).await
    }

    async fn codes(connection: &mut PgConnection, owner: Uuid, deleted: bool) -> Result<Vec<String>, StoreError> {
        policies::codes(connection, owner, deleted).await
    }
}
