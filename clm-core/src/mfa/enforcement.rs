//! Which logins need a second factor.

use super::method::MfaMethod;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::Recognised;
use crate::mount::{Mount, MountClass};
use crate::namespace::namespace_id;
use crate::system_entry::EntryKind;
use audit_chain::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

const LONGEST_NAME: usize = 256;

/// Has logins that one of its lists names need one of its methods.
#[derive(Clone, Debug)]
pub struct LoginEnforcement {
    /// Row id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    pub(super) says: EnforcementDocument,
}

/// What its row says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnforcementDocument {
    pub(super) mfa_method_ids: Vec<Uuid>,
    auth_method_accessors: Vec<String>,
    auth_method_types: Vec<String>,
    identity_group_ids: Vec<Uuid>,
    identity_entity_ids: Vec<Uuid>,
}

/// Fields of `POST identity/mfa/login-enforcement/:name`; `None`: as it is.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct EnforcementChange {
    pub mfa_method_ids: Option<Vec<Uuid>>,
    pub auth_method_accessors: Option<Vec<String>>,
    pub auth_method_types: Option<Vec<String>>,
    pub identity_group_ids: Option<Vec<Uuid>>,
    pub identity_entity_ids: Option<Vec<Uuid>>,
}

/// What a login needs because of one enforcement: any of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequiredFactor {
    /// The enforcement's name.
    pub enforcement: String,
    /// Methods by id, with what people call them.
    pub methods: Vec<(Uuid, String)>,
}

/// What each server knows of enforcements, by organization: they are asked for with each login, and few.
#[derive(Debug, Default)]
pub(crate) struct KnownEnforcements(Mutex<HashMap<Uuid, AsOf>>);

/// An organization's, and after how many changes they were read.
type AsOf = (u64, Arc<Vec<LoginEnforcement>>);

impl EnforcementDocument {
    fn changed(mut self, change: EnforcementChange) -> Self {
        self.mfa_method_ids = change.mfa_method_ids.unwrap_or(self.mfa_method_ids);
        self.auth_method_accessors = change.auth_method_accessors.unwrap_or(self.auth_method_accessors);
        self.auth_method_types = change.auth_method_types.unwrap_or(self.auth_method_types);
        self.identity_group_ids = change.identity_group_ids.unwrap_or(self.identity_group_ids);
        self.identity_entity_ids = change.identity_entity_ids.unwrap_or(self.identity_entity_ids);
        self
    }

    /// Whether a login through that mount, by that one, is meant.
    fn means(&self, mount: &Mount, who: &Recognised) -> bool {
        self.auth_method_accessors.contains(&mount.accessor)
            || self.auth_method_types.contains(&mount.mount_type)
            || self.identity_entity_ids.iter().any(|id| *id == who.entity_id || who.merged_entity_ids.contains(id))
            || self.identity_group_ids.iter().any(|id| who.group_ids.contains(id))
    }
}

impl LoginEnforcement {
    /// As reading it shows it.
    pub fn data(&self, core: &Core, organization_id: Uuid) -> Value {
        let mut data = json!(self.says);
        data["id"] = json!(self.id);
        data["name"] = json!(self.name);
        data["namespace_id"] = json!(namespace_id(organization_id));
        data["namespace_path"] = json!(&*core.namespace_path(organization_id));
        data
    }
}

impl Core {
    /// Makes an enforcement or changes what is named; it counts for the next login.
    pub async fn put_login_enforcement(&self, caller: &Caller, name: &str, change: EnforcementChange) -> Result<()> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(Error::invalid(format!("an enforcement's name has 1 to {LONGEST_NAME} bytes")));
        }
        let old = self.login_enforcement(caller.organization_id, name).await?;
        let wanted = old.map(|old| old.says).unwrap_or_default().changed(change.clone());
        self.check_enforcement(caller.organization_id, &wanted).await?;
        self.put_system_entry(caller, EntryKind::LoginEnforcement, name, |old| {
            let old = match old {
                Some(old) => serde_json::from_value(old.document.clone())
                    .map_err(|_| Error::Internal("the stored enforcement cannot be read".into()))?,
                None => EnforcementDocument::default(),
            };
            Ok(json!(old.changed(change.clone())))
        })
        .await?;
        self.note_system_change();
        Ok(())
    }

    async fn check_enforcement(&self, organization_id: Uuid, wanted: &EnforcementDocument) -> Result<()> {
        if wanted.mfa_method_ids.is_empty() {
            return Err(Error::invalid("missing method ids"));
        }
        let methods = self.mfa_methods(organization_id).await?;
        if let Some(id) = wanted.mfa_method_ids.iter().find(|id| methods.iter().all(|method| method.id != **id)) {
            return Err(Error::invalid(format!("one of the provided method ids does not exist: {id}")));
        }
        let by_method = !wanted.auth_method_accessors.is_empty() || !wanted.auth_method_types.is_empty();
        if !by_method && wanted.identity_entity_ids.is_empty() && wanted.identity_group_ids.is_empty() {
            return Err(Error::invalid(
                "One of auth_method_accessors, auth_method_types, identity_group_ids, identity_entity_ids must be specified",
            ));
        }
        for accessor in &wanted.auth_method_accessors {
            let mount = self.mount_table().by_accessor(organization_id, accessor);
            if mount.is_none_or(|mount| mount.class != MountClass::Auth) {
                return Err(Error::invalid(format!("no auth method has the accessor {accessor:?}")));
            }
        }
        if let Some(unknown) = wanted.auth_method_types.iter().find(|name| !crate::mount::is_login_type(name)) {
            return Err(Error::invalid(format!("{unknown:?} is no type of auth method")));
        }
        for id in &wanted.identity_entity_ids {
            if self.entity(organization_id, *id).await?.is_none() {
                return Err(Error::invalid(format!("no entity has the id {id}")));
            }
        }
        let groups = self.store().groups(organization_id, &wanted.identity_group_ids).await?;
        if let Some(id) = wanted.identity_group_ids.iter().find(|id| groups.iter().all(|group| group.id != **id)) {
            return Err(Error::invalid(format!("no group has the id {id}")));
        }
        Ok(())
    }

    /// All enforcements, by name.
    pub async fn login_enforcements(&self, organization_id: Uuid) -> Result<Vec<LoginEnforcement>> {
        let entries = self.trusted_entries(organization_id, EntryKind::LoginEnforcement).await?;
        let read = |entry: crate::SystemEntry| {
            let says = serde_json::from_value(entry.document)
                .map_err(|_| Error::Internal(format!("the stored enforcement {} cannot be read", entry.id).into()))?;
            Ok(LoginEnforcement { id: entry.id, name: entry.name, says })
        };
        entries.into_iter().map(read).collect()
    }

    /// One.
    pub async fn login_enforcement(&self, organization_id: Uuid, name: &str) -> Result<Option<LoginEnforcement>> {
        Ok(self.login_enforcements(organization_id).await?.into_iter().find(|enforcement| enforcement.name == name))
    }

    /// Deletes one. `false`: there was none.
    pub async fn delete_login_enforcement(&self, caller: &Caller, name: &str) -> Result<bool> {
        let deleted = self.delete_system_entry(caller, EntryKind::LoginEnforcement, name).await;
        self.note_system_change();
        deleted
    }

    /// What a login needs beside what it brought.
    pub(crate) async fn required_factors(&self, mount: &Mount, who: &Recognised) -> Result<Vec<RequiredFactor>> {
        let organization_id = mount.organization_id;
        let enforcements = self.enforcements(organization_id).await?;
        if enforcements.is_empty() {
            return Ok(Vec::new());
        }
        let meant = enforcements.iter().filter(|enforcement| enforcement.says.means(mount, who));
        let meant: Vec<&LoginEnforcement> = meant.collect();
        if meant.is_empty() {
            return Ok(Vec::new());
        }
        let methods = self.mfa_methods(organization_id).await?;
        let named = |id: &Uuid| {
            methods.iter().find(|method| method.id == *id).map(|method| (method.id, method.name().to_owned()))
        };
        let required = |enforcement: &&LoginEnforcement| RequiredFactor {
            enforcement: enforcement.name.clone(),
            methods: enforcement.says.mfa_method_ids.iter().filter_map(named).collect(),
        };
        Ok(meant.iter().map(required).collect())
    }

    /// As of the last change that this server heard of.
    async fn enforcements(&self, organization_id: Uuid) -> Result<Arc<Vec<LoginEnforcement>>> {
        let changes = self.system_changes();
        let known = &self.known_enforcements().0;
        if self.is_fresh()
            && let Some((as_of, enforcements)) =
                known.lock().unwrap_or_else(PoisonError::into_inner).get(&organization_id)
            && *as_of == changes
        {
            return Ok(Arc::clone(enforcements));
        }
        let enforcements = Arc::new(self.login_enforcements(organization_id).await?);
        let entry = (changes, Arc::clone(&enforcements));
        known.lock().unwrap_or_else(PoisonError::into_inner).insert(organization_id, entry);
        Ok(enforcements)
    }
}

impl RequiredFactor {
    /// Those of its methods that are there.
    pub(super) fn among<'m>(&'m self, methods: &'m [MfaMethod]) -> impl Iterator<Item = &'m MfaMethod> {
        self.methods.iter().filter_map(|(id, _)| methods.iter().find(|method| method.id == *id))
    }
}
