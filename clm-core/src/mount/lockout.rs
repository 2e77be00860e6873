//! When a login method locks people out: what a mount says of it, and the service where it says nothing.

use super::Mount;
use crate::error::{Error, Result};
use crate::settings::Settings;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The login method whose people are locked out; others know no password that could be guessed.
const METHOD: &str = "userpass";
/// The longest that counts, seconds: a hundred years.
const LONGEST: i64 = 36_500 * 86_400;

/// What a mount says; 0: the service's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserLockout {
    /// Wrong passwords that lock a person out.
    pub threshold: u32,
    /// For how long, seconds.
    pub duration: u64,
    /// How long after the last one they are forgotten, seconds.
    pub counter_reset: u64,
    /// Nobody is.
    pub disable: bool,
}

/// Fields of `user_lockout_config`; `None`: as it is.
#[derive(Clone, Debug, Default)]
pub struct LockoutChange {
    /// 0: the service's.
    pub threshold: Option<u32>,
    /// Seconds; 0 (`"system"`): the service's.
    pub duration: Option<u64>,
    /// Seconds; 0 (`"system"`): the service's.
    pub counter_reset: Option<u64>,
    /// Whether nobody is locked out.
    pub disable: Option<bool>,
}

/// As it works out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lockout {
    pub(crate) threshold: u32,
    pub(crate) duration: TimeDelta,
    pub(crate) counter_reset: TimeDelta,
}

impl UserLockout {
    pub(super) fn changed(&self, change: &LockoutChange) -> Self {
        Self {
            threshold: change.threshold.unwrap_or(self.threshold),
            duration: change.duration.unwrap_or(self.duration),
            counter_reset: change.counter_reset.unwrap_or(self.counter_reset),
            disable: change.disable.unwrap_or(self.disable),
        }
    }

    /// As configured, by the names under which it is read back.
    pub(super) fn data(&self) -> Map<String, Value> {
        let shown = json!({
            "user_lockout_counter_reset_duration": self.counter_reset,
            "user_lockout_disable": self.disable,
            "user_lockout_duration": self.duration,
            "user_lockout_threshold": self.threshold,
        });
        if let Value::Object(data) = shown { data } else { Map::new() }
    }
}

impl Lockout {
    /// Of logins at a mount; `None`: nobody is locked out.
    pub(crate) fn at(mount: &Mount, settings: &Settings) -> Option<Self> {
        let own = mount.config.user_lockout.clone().unwrap_or_default();
        let or = |own: u64, service: u64| if own == 0 { service } else { own };
        (!own.disable).then(|| Self {
            threshold: if own.threshold == 0 { settings.lockout_failures } else { own.threshold },
            duration: seconds(or(own.duration, settings.lockout_seconds)),
            counter_reset: seconds(or(own.counter_reset, settings.lockout_seconds)),
        })
    }
}

fn seconds(seconds: u64) -> TimeDelta {
    TimeDelta::seconds(i64::try_from(seconds).unwrap_or(LONGEST).min(LONGEST))
}

/// Only a method that locks people out can be told when.
pub(super) fn expect_lockout(mount_type: &str) -> Result<()> {
    if mount_type == METHOD {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "tuning of user lockout configuration for auth type \"{mount_type}\" not allowed: only people who log in by {METHOD} are locked out"
    )))
}
