//! The mounts in memory.

use super::{Mount, MountClass, MountConfig};
use crate::access::Grounds;
use crate::core::ROOT_ORGANIZATION;
use crate::namespace::{Namespace, Place};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// Mounts of all organizations; replaced as a whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct MountTable {
    organizations: HashMap<Uuid, Organization>,
    /// By code; without `root`.
    places: HashMap<String, Place>,
    refused: HashMap<Uuid, String>,
    locked: HashSet<Uuid>,
}

/// One that is served.
#[derive(Clone, Debug)]
struct Organization {
    code: String,
    mounts: HashMap<String, Arc<Mount>>,
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

/// Id of auth/token, which is in no row until it is tuned.
pub(crate) fn token_mount_id(organization_id: Uuid) -> Uuid {
    Uuid::new_v5(&organization_id, b"auth/token/")
}

/// `transit_` and the first 8 hexadecimal digits of the mount's random half.
pub(super) fn accessor(class: MountClass, mount_type: &str, id: Uuid) -> String {
    let prefix = if class == MountClass::Auth { "auth_" } else { "" };
    format!("{prefix}{mount_type}_{}", hex::encode(&id.as_bytes()[12..]))
}

impl MountTable {
    /// With one organization's mounts; the built-in ones are added.
    pub(crate) fn with(mut self, organization_id: Uuid, code: String, mounts: impl IntoIterator<Item = Mount>) -> Self {
        let by_key = |mount: Mount| (key(mount.class, &mount.path), Arc::new(mount));
        let mut own: HashMap<_, _> = builtin(organization_id).into_iter().map(by_key).collect();
        for mount in mounts {
            // A built-in one has a row once it was tuned.
            let builtin = own.contains_key(&key(mount.class, &mount.path));
            own.extend([by_key(Mount { builtin, ..mount })]);
        }
        self.organizations.insert(organization_id, Organization { code, mounts: own });
        self
    }

    /// Without these of one organization's: their rows do not carry their MACs. A built-in one goes, too: how it was tuned is not known.
    pub(crate) fn without(mut self, organization_id: Uuid, refused: &[Uuid]) -> Self {
        if let Some(organization) = self.organizations.get_mut(&organization_id) {
            organization.mounts.retain(|_, mount| !refused.contains(&mount.id));
        }
        self
    }

    /// With an organization that nothing is served of.
    pub(crate) fn refusing(mut self, organization_id: Uuid, code: String) -> Self {
        self.refused.insert(organization_id, code);
        self
    }

    /// With an organization whose namespace is locked.
    pub(crate) fn locking(mut self, organization_id: Uuid) -> Self {
        self.locked.insert(organization_id);
        self
    }

    /// With the namespaces that its organizations are; all of these are in it.
    pub(crate) fn with_namespaces(mut self) -> Self {
        let refused = self.refused.iter().map(|(id, code)| (code.clone(), Place::Refused(*id)));
        let served = self.organizations.iter().filter(|(id, _)| **id != ROOT_ORGANIZATION).map(|(id, organization)| {
            let path = format!("{}/", organization.code).into();
            let shadowed = self.root_mount_at(&organization.code).is_some();
            let locked = self.locked.contains(id);
            (organization.code.clone(), Place::Served(Arc::new(Namespace { id: *id, path, shadowed, locked })))
        });
        let places = refused.chain(served).collect();
        self.places = places;
        self
    }

    /// What is known of a code.
    pub(crate) fn place(&self, code: &str) -> Option<&Place> {
        if self.places.is_empty() { None } else { self.places.get(code) }
    }

    /// All that are served, by path.
    pub(crate) fn namespaces(&self) -> Vec<Arc<Namespace>> {
        let served = |place: &Place| match place {
            Place::Served(namespace) => Some(Arc::clone(namespace)),
            Place::Refused(_) => None,
        };
        let mut namespaces: Vec<_> = self.places.values().filter_map(served).collect();
        namespaces.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        namespaces
    }

    /// A mount of organization `root` whose path begins with that segment.
    pub(crate) fn root_mount_at(&self, first: &str) -> Option<&str> {
        let begins = |path: &&String| path.strip_prefix(first).is_some_and(|rest| rest.starts_with('/'));
        self.organizations.get(&ROOT_ORGANIZATION)?.mounts.keys().find(begins).map(String::as_str)
    }

    /// Code and slash; empty for `root`, and for what is not served.
    pub(crate) fn namespace_path(&self, organization_id: Uuid) -> Arc<str> {
        match self.organizations.get(&organization_id).filter(|_| organization_id != ROOT_ORGANIZATION) {
            Some(organization) => format!("{}/", organization.code).into(),
            None => "".into(),
        }
    }

    fn own(&self, organization_id: Uuid) -> Option<&HashMap<String, Arc<Mount>>> {
        self.organizations.get(&organization_id).map(|organization| &organization.mounts)
    }

    pub(crate) fn standing(&self, organization_id: Uuid) -> Standing {
        if self.organizations.contains_key(&organization_id) {
            Standing::Served
        } else if self.refused.contains_key(&organization_id) {
            Standing::Refused
        } else {
            Standing::Absent
        }
    }

    /// The mount whose path is the longest start of `path`, and what follows it.
    pub(crate) fn resolve<'p>(&self, organization_id: Uuid, path: &'p str) -> Option<(Arc<Mount>, &'p str)> {
        let own = self.own(organization_id)?;
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

    /// Whether every organization that is served has the same engines at the same paths there.
    pub(crate) fn has_the_engines_of(&self, other: &Self) -> bool {
        let same = |one: &Organization, other: &Organization| {
            let there = |(path, mount): (&String, &Arc<Mount>)| {
                other.mounts.get(path).is_some_and(|there| there.engine() == mount.engine())
            };
            one.mounts.len() == other.mounts.len() && one.mounts.iter().all(there)
        };
        let there =
            |(id, one): (&Uuid, &Organization)| other.organizations.get(id).is_some_and(|other| same(one, other));
        self.organizations.len() == other.organizations.len() && self.organizations.iter().all(there)
    }

    /// Where the engines and login methods are that permissions of roles are about, sorted.
    pub(crate) fn grounds(&self, organization_id: Uuid) -> Grounds {
        let mut grounds = Grounds::default();
        for (path, mount) in self.own(organization_id).into_iter().flatten() {
            match mount.engine() {
                "transit" => grounds.transit.push(path.clone()),
                "kv-v1" => grounds.first_secrets.push(path.clone()),
                "kv-v2" => grounds.secrets.push(path.clone()),
                "userpass" => grounds.people.push(path.clone()),
                _ => {}
            }
        }
        for paths in [&mut grounds.transit, &mut grounds.first_secrets, &mut grounds.secrets, &mut grounds.people] {
            paths.sort_unstable();
        }
        grounds
    }

    /// By class and path, which ends in `/`.
    pub(crate) fn get(&self, organization_id: Uuid, class: MountClass, path: &str) -> Option<Arc<Mount>> {
        self.own(organization_id)?.get(&key(class, path)).cloned()
    }

    /// By its accessor; the built-in ones, too.
    pub(crate) fn by_accessor(&self, organization_id: Uuid, accessor: &str) -> Option<Arc<Mount>> {
        self.own(organization_id)?.values().find(|mount| mount.accessor == accessor).cloned()
    }

    /// By its id, likewise.
    pub(crate) fn by_id(&self, organization_id: Uuid, id: Uuid) -> Option<Arc<Mount>> {
        self.own(organization_id)?.values().find(|mount| mount.id == id).cloned()
    }

    /// Those of one class, by path.
    pub(crate) fn list(&self, organization_id: Uuid, class: MountClass) -> Vec<Arc<Mount>> {
        let mut mounts: Vec<_> = self
            .own(organization_id)
            .into_iter()
            .flat_map(HashMap::values)
            .filter(|mount| mount.class == class)
            .cloned()
            .collect();
        mounts.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        mounts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(organization_id: Uuid, path: &str) -> Mount {
        Mount { path: path.into(), mount_type: "transit".into(), builtin: false, ..builtin(organization_id).remove(0) }
    }

    #[test]
    fn codes_lead_to_namespaces_and_mounts_of_root_go_before_them() {
        let (team, shadowed, forged) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let table = MountTable::default()
            .with(team, "team".into(), [])
            .with(shadowed, "a".into(), [])
            .refusing(forged, "forged".into())
            .with(ROOT_ORGANIZATION, "root".into(), [engine(ROOT_ORGANIZATION, "a/b/")])
            .with_namespaces();
        let served = |code: &str| match table.place(code) {
            Some(Place::Served(namespace)) => Some((namespace.id, &*namespace.path, namespace.shadowed)),
            _ => None,
        };
        assert_eq!(served("team"), Some((team, "team/", false)));
        assert_eq!(served("a"), Some((shadowed, "a/", true)));
        assert!(matches!(table.place("forged"), Some(Place::Refused(id)) if *id == forged));
        assert!(table.place("root").is_none() && table.place("nosuch").is_none());
        assert_eq!(table.root_mount_at("sys"), Some("sys/"));
        assert_eq!((&*table.namespace_path(team), &*table.namespace_path(ROOT_ORGANIZATION)), ("team/", ""));
        let paths: Vec<_> = table.namespaces().iter().map(|namespace| namespace.path.to_string()).collect();
        assert_eq!(paths, ["a/", "team/"]);
    }

    #[test]
    fn the_row_of_a_built_in_mount_says_how_it_is_tuned_and_a_refused_one_takes_it_away() {
        let team = Uuid::from_u128(1);
        let tuned = Mount {
            config: MountConfig { max_lease_ttl: 60, ..MountConfig::default() },
            revision: 1,
            builtin: false,
            ..builtin(team).into_iter().find(|mount| mount.path == "token/").expect("built in")
        };
        let id = tuned.id;
        let table = MountTable::default().with(team, "team".into(), [tuned]);
        let mount = table.get(team, MountClass::Auth, "token/").expect("there");
        assert!(mount.builtin && mount.config.max_lease_ttl == 60 && mount.id == token_mount_id(team));
        assert_eq!(table.list(team, MountClass::Auth).len(), 1);
        let table = table.without(team, &[id]);
        assert!(table.get(team, MountClass::Auth, "token/").is_none());
        assert!(table.get(team, MountClass::Secret, "sys/").is_some());
    }
}
