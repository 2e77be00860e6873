//! The mounts in memory.

use super::{Mount, MountClass, MountConfig};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// Mounts of all organizations; replaced as a whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct MountTable {
    organizations: HashMap<Uuid, HashMap<String, Arc<Mount>>>,
    refused: HashSet<Uuid>,
}

/// Whether an organization is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Served,
    /// Its row does not carry its MAC.
    Refused,
    /// Not there, not active, or deleted.
    Absent,
}

/// Key of a mount: its path as requests name it.
pub(crate) fn key(class: MountClass, path: &str) -> String {
    match class {
        MountClass::Secret => path.to_owned(),
        MountClass::Auth => format!("auth/{path}"),
    }
}

/// Mounts that are always there.
fn builtin(organization_id: Uuid) -> Vec<Mount> {
    [
        (MountClass::Secret, "clm/", "clm", "what Vault does not have"),
        (MountClass::Secret, "cubbyhole/", "cubbyhole", "per-token private secret storage"),
        (MountClass::Secret, "identity/", "identity", "identity store"),
        (MountClass::Secret, "sys/", "system", "system endpoints used for control, policy and debugging"),
        (MountClass::Auth, "token/", "token", "token based credentials"),
    ]
    .into_iter()
    .map(|(class, path, mount_type, description)| {
        let id = Uuid::new_v5(&organization_id, key(class, path).as_bytes());
        Mount {
            id,
            organization_id,
            class,
            path: path.to_owned(),
            mount_type: mount_type.to_owned(),
            accessor: accessor(class, mount_type, id),
            description: description.to_owned(),
            options: None,
            config: MountConfig::default(),
            local: mount_type == "cubbyhole",
            seal_wrap: false,
            revision: 0,
            builtin: true,
        }
    })
    .collect()
}

/// Id of auth/token, which is in no row.
pub(crate) fn token_mount_id(organization_id: Uuid) -> Uuid {
    Uuid::new_v5(&organization_id, b"auth/token/")
}

/// `transit_` and the first 8 hexadecimal digits of the mount's random half.
pub(super) fn accessor(class: MountClass, mount_type: &str, id: Uuid) -> String {
    let prefix = if class == MountClass::Auth { "auth_" } else { "" };
    format!("{prefix}{mount_type}_{}", hex::encode(&id.as_bytes()[12..]))
}

impl MountTable {
    /// With the mounts of one organization replaced; the built-in ones are added.
    pub(crate) fn with(&self, organization_id: Uuid, mounts: impl IntoIterator<Item = Mount>) -> Self {
        let own = builtin(organization_id)
            .into_iter()
            .chain(mounts)
            .map(|mount| (key(mount.class, &mount.path), Arc::new(mount)))
            .collect();
        let mut organizations = self.organizations.clone();
        organizations.insert(organization_id, own);
        Self { organizations, refused: self.refused.clone() }
    }

    /// With an organization that nothing is served of.
    pub(crate) fn refusing(mut self, organization_id: Uuid) -> Self {
        self.refused.insert(organization_id);
        self
    }

    pub(crate) fn standing(&self, organization_id: Uuid) -> Standing {
        if self.organizations.contains_key(&organization_id) {
            Standing::Served
        } else if self.refused.contains(&organization_id) {
            Standing::Refused
        } else {
            Standing::Absent
        }
    }

    /// The mount whose path is the longest start of `path`, and what follows it.
    pub(crate) fn resolve<'p>(&self, organization_id: Uuid, path: &'p str) -> Option<(Arc<Mount>, &'p str)> {
        let own = self.organizations.get(&organization_id)?;
        // `transit` alone is the mount's own path.
        if !path.ends_with('/')
            && let Some(mount) = own.get(&format!("{path}/"))
        {
            return Some((Arc::clone(mount), ""));
        }
        path.rmatch_indices('/').find_map(|(at, _)| {
            let (prefix, rest) = path.split_at(at + 1);
            own.get(prefix).map(|mount| (Arc::clone(mount), rest))
        })
    }

    /// By class and path, which ends in `/`.
    pub(crate) fn get(&self, organization_id: Uuid, class: MountClass, path: &str) -> Option<Arc<Mount>> {
        self.organizations.get(&organization_id)?.get(&key(class, path)).cloned()
    }

    /// By its accessor; the built-in ones, too.
    pub(crate) fn by_accessor(&self, organization_id: Uuid, accessor: &str) -> Option<Arc<Mount>> {
        self.organizations.get(&organization_id)?.values().find(|mount| mount.accessor == accessor).cloned()
    }

    /// By its id, likewise.
    pub(crate) fn by_id(&self, organization_id: Uuid, id: Uuid) -> Option<Arc<Mount>> {
        self.organizations.get(&organization_id)?.values().find(|mount| mount.id == id).cloned()
    }

    /// Those of one class, by path.
    pub(crate) fn list(&self, organization_id: Uuid, class: MountClass) -> Vec<Arc<Mount>> {
        let mut mounts: Vec<_> = self
            .organizations
            .get(&organization_id)
            .into_iter()
            .flat_map(HashMap::values)
            .filter(|mount| mount.class == class)
            .cloned()
            .collect();
        mounts.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        mounts
    }
}
