//! Namespaces: organizations as requests name them, in a header or at the front of the path.
//!
//! The organization `root` owns the root namespace; every other one that is served is a namespace of its own by its code. They do not nest.

use crate::core::{Core, ROOT_ORGANIZATION};
use crate::error::{Error, Result};
use crate::store::organizations;
use std::sync::Arc;
use uuid::Uuid;

/// Names that no organization takes: paths below them belong to the service, or to clients' idea of it.
const RESERVED: [&str; 7] = ["audit", "auth", "clm", "cubbyhole", "identity", "root", "sys"];

/// An organization other than `root` that requests act in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// The organization.
    pub id: Uuid,
    /// Its code and a slash.
    pub path: Arc<str>,
    /// A mount of organization `root` is at that path or below. Paths lead to the mount, and so do rules on paths: no token of organization `root`
    /// but one with the policy `root` acts here.
    pub shadowed: bool,
    /// It answers nothing but its unlocking.
    pub locked: bool,
}

/// Where a request acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located<'p> {
    /// In the root namespace.
    Root,
    /// In this one, on that path of it.
    Inside(Arc<Namespace>, &'p str),
    /// Nowhere: no organization of that code is served.
    Nowhere,
}

/// What is known of an organization's code.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Served(Arc<Namespace>),
    /// Its row does not carry its MAC.
    Refused(Uuid),
}

/// What clients know the namespace by that an organization is: `root`, or the organization's id.
pub(crate) fn namespace_id(organization_id: Uuid) -> String {
    if organization_id == ROOT_ORGANIZATION { "root".to_owned() } else { organization_id.to_string() }
}

impl Core {
    /// Where a request acts whose header names `header` and whose path is `path`; from memory. A path's first segment names a namespace where the
    /// header names none, unless a mount of organization `root` is there.
    ///
    /// # Errors
    /// [`Error::RowTampered`] where the organization's row was changed behind the service's back.
    pub fn locate<'p>(&self, header: Option<&str>, path: &'p str) -> Result<Located<'p>> {
        let table = self.mount_table();
        let (place, rest) = match header {
            Some(header) => match table.place(header.trim_matches('/')) {
                Some(place) => (place, path),
                None => return Ok(Located::Nowhere),
            },
            None => match path.split_once('/').and_then(|(first, rest)| Some((table.place(first)?, rest))) {
                None => return Ok(Located::Root),
                Some((Place::Served(namespace), _)) if namespace.shadowed => return Ok(Located::Root),
                Some(found) => found,
            },
        };
        match place {
            Place::Served(namespace) => Ok(Located::Inside(Arc::clone(namespace), rest)),
            Place::Refused(id) => Err(Error::RowTampered { table: organizations::TABLE, id: *id }),
        }
    }

    /// All namespaces but the root's, by path.
    pub fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.mount_table().namespaces()
    }

    /// The path of the namespace that an organization is; empty: the root namespace's.
    pub fn namespace_path(&self, organization_id: Uuid) -> Arc<str> {
        self.mount_table().namespace_path(organization_id)
    }

    /// Refuses a code for a new organization whose paths something else has.
    pub(crate) fn expect_free_code(&self, code: &str) -> Result<()> {
        if RESERVED.contains(&code) {
            return Err(Error::invalid(format!("{code:?} is reserved: choose another code")));
        }
        if let Some(path) = self.mount_table().root_mount_at(code) {
            return Err(Error::invalid(format!(
                "path is already in use at {path}: paths of an organization begin with its code, choose another one"
            )));
        }
        Ok(())
    }

    /// Refuses a path for a mount of organization `root` that an organization's paths begin with.
    pub(crate) async fn expect_no_namespace_at(&self, path: &str) -> Result<()> {
        let first = path.split('/').next().unwrap_or_default();
        let codes = self.store().organization_codes().await?;
        if codes.iter().any(|known| known.code == first && known.code != "root") {
            return Err(Error::invalid(format!("path is already in use at {first}/: it is an organization's")));
        }
        Ok(())
    }
}
