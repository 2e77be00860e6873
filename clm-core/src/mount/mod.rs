//! Which path shows which engine.
//!
//! The table is in memory and answers without waiting; PostgreSQL tells when it changed.

mod config;
mod enable;
mod kv;
mod lockout;
mod logins;
mod remount;
mod table;
mod tune;

// The public interface is:
pub use config::{ConfigChange, MountConfig, NewMount, TuneMount};
pub use enable::mountable;
pub use lockout::{LockoutChange, UserLockout};
pub use remount::MountMove;

pub(crate) use enable::is_login_type;
pub(crate) use lockout::Lockout;
pub(crate) use table::{MountTable, Standing, key, token_mount_id};

use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a mount is for: `sys/mounts` or `sys/auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MountClass {
    /// An engine under its own path.
    Secret,
    /// A way to log in, under `auth/`.
    Auth,
}

impl crate::Core {
    /// All organizations, those too that are suspended or deleted.
    pub async fn organizations(&self) -> crate::Result<Vec<Uuid>> {
        Ok(self.store().organization_codes().await?.into_iter().map(|known| known.id).collect())
    }

    /// Mounts as the database has them now, those too whose row is refused.
    pub async fn mount_ids(&self, organization_id: Uuid) -> crate::Result<Vec<Uuid>> {
        Ok(self.store().mount_ids(organization_id).await?)
    }
}

impl MountClass {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Auth => "auth",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Secret, Self::Auth].into_iter().find(|class| class.name() == name)
    }
}

/// A mounted engine.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Its uuid; what its keys belong to.
    pub id: Uuid,
    /// Organization it belongs to.
    pub organization_id: Uuid,
    /// Engine or login.
    pub class: MountClass,
    /// Ends in `/`; of a login without `auth/`.
    pub path: String,
    /// `transit`.
    pub mount_type: String,
    /// `transit_` and 8 hexadecimal digits.
    pub accessor: String,
    /// A word for people.
    pub description: String,
    /// The engine's own; of built-in mounts none.
    pub options: Option<BTreeMap<String, String>>,
    /// Settings.
    pub config: MountConfig,
    /// Kept and shown, without meaning here.
    pub local: bool,
    /// Kept and shown, without meaning here.
    pub seal_wrap: bool,
    /// Grows with each change.
    pub revision: i64,
    /// `sys/`, `clm/`, `cubbyhole/`, `identity/`, `auth/token/`: always there; only the last can be tuned, and has a row from then on.
    pub builtin: bool,
}

impl Mount {
    /// As `sys/mounts` shows it.
    pub fn data(&self) -> Value {
        let mut config = self.config.data();
        if self.class == MountClass::Auth && config.get("token_type").is_none() {
            config["token_type"] = "default-service".into();
        }
        json!({
            "accessor": self.accessor,
            "config": config,
            "deprecation_status": "supported",
            "description": self.description,
            "external_entropy_access": false,
            "local": self.local,
            "options": self.options,
            "plugin_version": "",
            "running_plugin_version": concat!("v", env!("CARGO_PKG_VERSION"), "+builtin"),
            "running_sha256": "",
            "seal_wrap": self.seal_wrap,
            "type": self.mount_type,
            "uuid": self.id,
        })
    }
}
