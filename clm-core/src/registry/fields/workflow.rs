//! Workflows: the steps, and who approves.

use super::STATUSES;
use super::policy::draft;
use crate::error::{Error, Result};
use crate::registry::entry::{Entry, Fields, Moment, checked_name, one_of};
use crate::registry::{Json, Kind};
use crate::store::bind::RowBytes;
use crate::store::{StoreError, workflows};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

const TYPES: [&str; 6] = ["certificate_request", "renewal", "revocation", "key_rotation", "import", "export"];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkflowFields {
    #[serde(default)]
    pub(crate) workflow_name: String,
    pub(crate) workflow_type: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
    pub(crate) workflow_definition: Json,
    #[serde(default)]
    pub(crate) auto_approve_conditions: Option<Json>,
    #[serde(default = "required")]
    pub(crate) requires_approval: bool,
    #[serde(default = "nobody")]
    pub(crate) approval_chain: Json,
    #[serde(default = "draft")]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) version: i32,
}

fn required() -> bool {
    true
}

fn nobody() -> Json {
    Json::from(&Value::Array(Vec::new()))
}

impl Fields for WorkflowFields {
    const KIND: Kind = Kind::Workflow;

    fn json(&mut self) -> Vec<&mut Json> {
        let mut json = vec![&mut self.workflow_definition, &mut self.approval_chain];
        json.extend(&mut self.auto_approve_conditions);
        json
    }

    fn settle(entry: &mut Entry<Self>, old: Option<&Entry<Self>>, _moment: Moment) -> Result<()> {
        let fields = &mut entry.fields;
        if fields.workflow_name.is_empty() {
            fields.workflow_name.clone_from(&entry.code);
        }
        checked_name("workflow_name", &fields.workflow_name)?;
        one_of("workflow_type", &fields.workflow_type, &TYPES)?;
        one_of("status", &fields.status, &STATUSES)?;
        if !fields.workflow_definition.value()["steps"].is_array() {
            return Err(Error::invalid("workflow_definition is an object with its steps, {\"steps\":[…]}"));
        }
        if !fields.approval_chain.value().is_array() {
            return Err(Error::invalid("approval_chain is a list"));
        }
        if fields.auto_approve_conditions.as_ref().is_some_and(|conditions| !conditions.value().is_object()) {
            return Err(Error::invalid("auto_approve_conditions is an object"));
        }
        let old = old.map(|old| &old.fields);
        fields.version = old.map_or(1, |old| old.version + i32::from(old != fields));
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
            workflow_name,
            workflow_type,
            description,
            workflow_definition,
            auto_approve_conditions,
            requires_approval,
            approval_chain,
            status,
            version,
        } = fields;
        let mut row = RowBytes::new("workflows.v1").uuid(*id).uuid(*organization_id);
        for text in [code, workflow_name, workflow_type, workflow_definition.text(), approval_chain.text(), status] {
            row = row.text(text);
        }
        row.optional(auto_approve_conditions.as_ref().map(Json::text), RowBytes::text)
            .optional(description.as_deref(), RowBytes::text)
            .flag(*requires_approval)
            .integer(i64::from(*version))
            .optional(*created_by_user_id, RowBytes::uuid)
            .optional(*deleted_at, RowBytes::time)
            .integer(*revision)
            .finish()
    }

    async fn find(connection: &mut PgConnection, owner: Uuid, code: &str) -> Result<Option<Entry<Self>>, StoreError> {
        workflows::find(connection, owner, code).await
    }

    async fn put(connection: &mut PgConnection, entry: &Entry<Self>) -> Result<(), StoreError> {
        workflows::put(connection, entry).await
    }

    async fn codes(connection: &mut PgConnection, owner: Uuid, deleted: bool) -> Result<Vec<String>, StoreError> {
        workflows::codes(connection, owner, deleted).await
    }
}
