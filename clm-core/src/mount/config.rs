//! A mount's settings, and what may be asked of them.

use super::lockout::{LockoutChange, UserLockout};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// As configured; 0: the system's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountConfig {
    /// Seconds.
    pub default_lease_ttl: u64,
    /// Seconds.
    pub max_lease_ttl: u64,
    /// Shown, without meaning here.
    pub force_no_cache: bool,
    /// `hidden` or `unauth`; empty: not set.
    pub listing_visibility: String,
    /// What a login method makes: `service`, `batch` or these with `default-`; empty: not set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token_type: String,
    /// When a login method locks people out; `None`: when the service says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_lockout: Option<UserLockout>,
    /// Lists by their names: `audit_non_hmac_request_keys`, `passthrough_request_headers`, …
    pub lists: BTreeMap<String, Vec<String>>,
}

/// Lists that clients set and read back.
pub(super) const LIST_NAMES: [&str; 4] = [
    "audit_non_hmac_request_keys",
    "audit_non_hmac_response_keys",
    "passthrough_request_headers",
    "allowed_response_headers",
];

/// Wanted settings; `None`: as it is.
#[derive(Clone, Debug, Default)]
pub struct ConfigChange {
    /// Seconds; 0 (`"system"`): the system's.
    pub default_lease_ttl: Option<u64>,
    /// Seconds; 0 (`"system"`): the system's.
    pub max_lease_ttl: Option<u64>,
    /// Whether nothing may be cached.
    pub force_no_cache: Option<bool>,
    /// `hidden`, `unauth` or empty.
    pub listing_visibility: Option<String>,
    /// Of login methods: `service`, `batch`, `default-service`, `default-batch`.
    pub token_type: Option<String>,
    /// Of `userpass`: when people are locked out.
    pub user_lockout: Option<LockoutChange>,
    /// By name; unknown names are left out.
    pub lists: BTreeMap<String, Vec<String>>,
}

/// Fields of `POST sys/mounts/:path`.
#[derive(Clone, Debug, Default)]
pub struct NewMount {
    /// `transit`.
    pub mount_type: Option<String>,
    /// A word for people.
    pub description: String,
    /// Settings.
    pub config: ConfigChange,
    /// The engine's own.
    pub options: BTreeMap<String, String>,
    /// Kept and shown.
    pub local: bool,
    /// Kept and shown.
    pub seal_wrap: bool,
}

/// Fields of `POST sys/mounts/:path/tune`.
#[derive(Clone, Debug, Default)]
pub struct TuneMount {
    /// A word for people.
    pub description: Option<String>,
    /// Settings.
    pub config: ConfigChange,
    /// The engine's own.
    pub options: Option<BTreeMap<String, String>>,
}

impl MountConfig {
    /// With `change`, if that can be.
    pub(super) fn changed(&self, change: &ConfigChange, system_max: u64) -> Result<Self> {
        let mut config = self.clone();
        if let Some(ttl) = change.default_lease_ttl {
            config.default_lease_ttl = ttl;
        }
        if let Some(ttl) = change.max_lease_ttl {
            config.max_lease_ttl = ttl;
        }
        if let Some(force) = change.force_no_cache {
            config.force_no_cache = force;
        }
        if let Some(visibility) = &change.listing_visibility {
            if !matches!(visibility.as_str(), "" | "hidden" | "unauth") {
                return Err(Error::invalid(format!(
                    "invalid listing_visibility {visibility:?}: unauth, hidden or empty"
                )));
            }
            config.listing_visibility.clone_from(visibility);
        }
        if let Some(token_type) = change.token_type.as_deref().filter(|token_type| !token_type.is_empty()) {
            if !["service", "batch", "default-service", "default-batch"].contains(&token_type) {
                return Err(Error::invalid(format!(
                    "invalid value for 'token_type' {token_type:?}: service, batch, default-service or default-batch"
                )));
            }
            token_type.clone_into(&mut config.token_type);
        }
        if let Some(change) = &change.user_lockout {
            config.user_lockout = Some(config.user_lockout.unwrap_or_default().changed(change));
        }
        for (name, list) in &change.lists {
            if LIST_NAMES.contains(&name.as_str()) {
                config.lists.insert(name.clone(), list.clone());
            }
        }
        let (default, max) = (config.default_lease_ttl, config.max_lease_ttl);
        if max != 0 && default > max {
            return Err(Error::invalid("given default lease TTL greater than given max lease TTL"));
        }
        if max == 0 && default > system_max {
            return Err(Error::invalid(format!(
                "given default lease TTL greater than system max lease TTL of {system_max}"
            )));
        }
        Ok(config)
    }

    /// In `sys/mounts`: as configured.
    pub(super) fn data(&self) -> Value {
        let mut data = Map::new();
        data.insert("default_lease_ttl".into(), self.default_lease_ttl.into());
        data.insert("force_no_cache".into(), self.force_no_cache.into());
        data.insert("max_lease_ttl".into(), self.max_lease_ttl.into());
        self.add_set_only(&mut data);
        if let Some(lockout) = &self.user_lockout {
            data.insert("user_lockout_config".into(), lockout.data().into());
        }
        Value::Object(data)
    }

    /// In `…/tune`: as it works out.
    pub(super) fn effective(&self, description: &str, system: (u64, u64)) -> Map<String, Value> {
        let or = |own: u64, system: u64| if own == 0 { system } else { own };
        let Value::Object(mut data) = json!({
            "default_lease_ttl": or(self.default_lease_ttl, system.0),
            "description": description,
            "force_no_cache": self.force_no_cache,
            "max_lease_ttl": or(self.max_lease_ttl, system.1),
        }) else {
            return Map::new();
        };
        self.add_set_only(&mut data);
        data.extend(self.user_lockout.iter().flat_map(UserLockout::data));
        data
    }

    fn add_set_only(&self, data: &mut Map<String, Value>) {
        if !self.listing_visibility.is_empty() {
            data.insert("listing_visibility".into(), self.listing_visibility.as_str().into());
        }
        if !self.token_type.is_empty() {
            data.insert("token_type".into(), self.token_type.as_str().into());
        }
        for (name, list) in &self.lists {
            data.insert(name.clone(), list.clone().into());
        }
    }

    /// One text for one configuration: what is stored, and what the row's MAC is over.
    pub(crate) fn canonical(&self) -> String {
        serde_json::to_string(self).expect("numbers, flags and texts always have a JSON form")
    }
}
