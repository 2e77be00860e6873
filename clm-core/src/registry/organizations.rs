//! Organizations: making one with what it begins with, who sees which, and whether one is served.

use super::entry::{Entry, Fields, checked_code};
use super::{Json, OrganizationFields};
use crate::access::DEFAULT_POLICY;
use crate::core::{Core, ROOT_ORGANIZATION};
use crate::error::{Error, Result};
use crate::record::{self, add_rows};
use crate::registry::RoleFields;
use crate::store::{DocumentKind, PolicyRow, StoreError, access_policies, organizations, roles, tokens};
use crate::token::{DEFAULT_POLICY_NAME, Secret28};
use audit_chain::{Caller, Severity, Value};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// How often a change is tried anew when somebody else changes the same organization.
const ATTEMPTS: usize = 5;
/// The MAC of a row that never had one.
const UNBOUND: [u8; 32] = [0; 32];

/// What an organization begins with.
pub(crate) struct Founded {
    pub(crate) organization: Entry<OrganizationFields>,
    pub(crate) policy: PolicyRow,
    pub(crate) roles: Vec<Entry<RoleFields>>,
}

impl Founded {
    /// All rows, as a record names them.
    pub(crate) fn rows(&self) -> Vec<(&'static str, Uuid, i64, [u8; 32])> {
        let mut rows = vec![
            self.organization.row(),
            (access_policies::TABLE, self.policy.id, self.policy.revision, self.policy.row_mac),
        ];
        rows.extend(self.roles.iter().map(Entry::row));
        rows
    }

    pub(crate) async fn insert(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        organizations::put(&mut *connection, &self.organization).await?;
        access_policies::put(&mut *connection, &self.policy).await?;
        for role in &self.roles {
            roles::put(&mut *connection, role).await?;
        }
        Ok(())
    }
}

impl Core {
    /// The id of the organization that has a code, or will have it: making one again finishes what was cut off.
    pub fn organization_id(code: &str) -> Uuid {
        Uuid::new_v5(&ROOT_ORGANIZATION, format!("organization {code}").as_bytes())
    }

    /// Whether there is one of that code, deleted or not.
    pub async fn organization_is_known(&self, code: &str) -> Result<bool> {
        Ok(self.store().organization_codes().await?.iter().any(|known| known.code == code))
    }

    /// May the caller make it? To be asked before anything is made for it elsewhere.
    pub fn may_create_organization(
        &self,
        caller: &Caller,
        code: &str,
        fields: &Map<String, serde_json::Value>,
    ) -> Result<()> {
        self.expect_root(caller)?;
        self.expect_free_code(code)?;
        let mut entry = new_organization(caller, code, fields)?;
        OrganizationFields::settle(&mut entry, None, self.moment(caller))
    }

    /// Makes an organization with its system roles and the policy `default`; the other database must have its key.
    pub async fn create_organization(
        &self,
        caller: &Caller,
        code: &str,
        fields: &Map<String, serde_json::Value>,
    ) -> Result<()> {
        self.expect_root(caller)?;
        let mut entry = new_organization(caller, code, fields)?;
        let named = entry.fields.references();
        OrganizationFields::settle(&mut entry, None, self.moment(caller))?;
        let founded = self.founded(entry).await?;
        let mut event = self.entry_event(caller, &founded.organization, "create");
        add_rows(&mut event, founded.rows());
        let id = founded.organization.id;
        let made = self
            .change(id, move |connection| {
                Box::pin(async move {
                    crate::store::references::expect(&mut *connection, id, &named).await?;
                    founded.insert(connection).await?;
                    Ok(((), event))
                })
            })
            .await;
        self.invalidate_all();
        self.reload_mounts().await?;
        match made {
            // Somebody else made it meanwhile.
            Err(Error::Conflict(_) | Error::Database(StoreError::Taken { .. })) => {
                Err(Error::invalid(format!("organization {code:?} is there already")))
            }
            other => other,
        }
    }

    /// A root token of an organization, for whoever is to administer it; on record. Its text comes back this once.
    pub async fn create_organization_token(&self, caller: &Caller, code: &str) -> Result<SecretString> {
        self.expect_root(caller)?;
        let owner = self.organization_named(caller, code).await?;
        let found = match owner {
            Some(owner) => self.entry::<OrganizationFields>(owner, code).await?,
            None => None,
        };
        let Some(organization) = found.filter(|found| !found.is_deleted()) else {
            return Err(Error::NotFound(format!("no organization {code:?}").into()));
        };
        if organization.fields.status != "active" {
            return Err(Error::invalid(format!("organization {code:?} is {}", organization.fields.status)));
        }
        let text = Secret28::random()?.into_secret();
        let token = self.root_token_row(organization.id, text.expose_secret()).await?;
        let mut event = self.token_event(caller, "root_token.create", &token);
        event.severity = Severity::Warning;
        event.data.insert("organization".into(), Value::Text(code.to_owned().into()));
        add_rows(&mut event, [(tokens::TABLE, token.id, token.revision, token.row_mac)]);
        self.change(organization.id, move |connection| {
            Box::pin(async move { tokens::insert(connection, &token).await.map(|()| ((), event)) })
        })
        .await?;
        Ok(text)
    }

    /// Merges into what clients keep with an organization as a namespace: a null takes away. `false`: there is none of that code.
    pub async fn patch_custom_metadata(
        &self,
        caller: &Caller,
        code: &str,
        patch: &Map<String, serde_json::Value>,
    ) -> Result<bool> {
        self.expect_root(caller)?;
        let Some(owner) = self.organization_named(caller, code).await? else { return Ok(false) };
        for _ in 0..ATTEMPTS {
            let found = self.entry::<OrganizationFields>(owner, code).await?.filter(|found| !found.is_deleted());
            let Some(old) = found else { return Ok(false) };
            let mut entry = old.clone();
            let mut metadata = entry.fields.metadata();
            for (name, value) in patch {
                if value.is_null() {
                    metadata.remove(name);
                } else {
                    metadata.insert(name.clone(), value.clone());
                }
            }
            entry.fields.custom_metadata = Some(Json::from(&metadata.into()));
            OrganizationFields::settle(&mut entry, Some(&old), self.moment(caller))?;
            entry.fields = self.spelled(entry.fields).await?;
            match self.put_entry(caller, owner, entry, "update").await {
                Err(Error::Conflict(_)) => {}
                other => return other.map(|()| true),
            }
        }
        Err(Error::Conflict("organization"))
    }

    /// The rows of a new organization, with their MACs.
    pub(crate) async fn founded(&self, mut organization: Entry<OrganizationFields>) -> Result<Founded> {
        organization.fields = self.spelled(organization.fields).await?;
        let organization = self.with_mac(organization).await?;
        let mut policy = PolicyRow {
            id: Uuid::now_v7(),
            organization_id: organization.id,
            name: DEFAULT_POLICY_NAME.into(),
            document: DEFAULT_POLICY.into(),
            kind: DocumentKind::Acl,
            revision: 1,
            row_mac: UNBOUND,
        };
        policy.row_mac = self.row_mac(policy.bound_bytes()).await?;
        let mut roles = Vec::new();
        for role in crate::system_roles::of(organization.id) {
            roles.push(self.with_mac(role).await?);
        }
        Ok(Founded { organization, policy, roles })
    }

    /// An active organization's row, and whether it is ours. Root's, written before there were MACs, gets its first one; what SQL made gets none.
    pub(crate) async fn read_organization(&self, id: Uuid) -> Result<Option<(Entry<OrganizationFields>, bool)>> {
        let Some(found) = self.store().organization(id).await? else { return Ok(None) };
        if id == ROOT_ORGANIZATION
            && found.revision == 1
            && found.row_mac == UNBOUND
            && !self.store().organization_was_bound(id).await?
        {
            self.bind_root(found.clone()).await?;
            return Ok(Some((found, true)));
        }
        let which = (organizations::TABLE, id, id);
        match self.check_row(which, OrganizationFields::bound_bytes(&found), &found.row_mac).await {
            Ok(()) => Ok(Some((found, true))),
            Err(Error::RowTampered { .. }) => Ok(Some((found, false))),
            Err(error) => Err(error),
        }
    }

    async fn bind_root(&self, found: Entry<OrganizationFields>) -> Result<()> {
        let bound = self.with_mac(found).await?;
        let mut event = record::bare(Uuid::nil(), ROOT_ORGANIZATION, self.now());
        event.event_type = "organization.bind".into();
        event.severity = Severity::Warning;
        event.resource_type = "organization".into();
        event.resource_id = Some(bound.code.clone());
        event.action = "bind".into();
        add_rows(&mut event, [bound.row()]);
        let done = self.change(ROOT_ORGANIZATION, move |connection| {
            Box::pin(async move { organizations::put(connection, &bound).await.map(|()| ((), event)) })
        });
        match done.await {
            // Another server has bound it.
            Ok(()) | Err(Error::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    /// The organization that a code names, if the caller may know of it: root of all, others of themselves.
    pub(super) async fn organization_named(&self, caller: &Caller, code: &str) -> Result<Option<Uuid>> {
        let codes = self.store().organization_codes().await?;
        let named = codes.into_iter().find(|known| known.code == code).map(|known| known.id);
        Ok(named.filter(|id| sees(caller, *id)))
    }

    pub(super) async fn list_organizations(&self, caller: &Caller, deleted: bool) -> Result<Vec<String>> {
        let codes = self.store().organization_codes().await?;
        let seen = codes.into_iter().filter(|known| known.is_deleted == deleted && sees(caller, known.id));
        Ok(seen.map(|known| known.code).collect())
    }

    pub(super) fn expect_root(&self, caller: &Caller) -> Result<()> {
        if caller.organization_id == ROOT_ORGANIZATION {
            return Ok(());
        }
        Err(Error::Forbidden("organizations are made, changed and deleted by organization root".into()))
    }
}

fn sees(caller: &Caller, organization: Uuid) -> bool {
    caller.organization_id == ROOT_ORGANIZATION || caller.organization_id == organization
}

fn new_organization(
    caller: &Caller,
    code: &str,
    fields: &Map<String, serde_json::Value>,
) -> Result<Entry<OrganizationFields>> {
    checked_code(code)?;
    let begun = OrganizationFields::named(code, &json!({}));
    let fields = super::entry::changed(Some(&begun), fields)?;
    let id = Core::organization_id(code);
    Ok(Entry { id, created_by_user_id: caller.user_id, ..Entry::new(id, code, fields) })
}
