//! How long, how often and for how much a version protects (NIST SP 800-57 part 1, 5.3): what a key's owner sets, beside what the algorithm allows.

use super::state::Use;
use super::{Key, KeyVersion};
use crate::{Error, Result};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Ten times the longest period that anybody plans, and no sum of it and a time leaves the calendar.
const LONGEST_PERIOD: u64 = 1000 * 366 * 24 * 60 * 60;
/// Numbers that JSON's readers all understand.
const MOST: u64 = 1 << 53;

/// Limits of each version; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLimits {
    /// So long it encrypts and signs, seconds: the originator usage period (5.3.5). It begins when the version is made, or the key is activated.
    pub originator_usage_seconds: u64,
    /// So long it decrypts and verifies, seconds from the same moment: the recipient usage period.
    pub recipient_usage_seconds: u64,
    /// So many inputs it encrypts, signs or makes MACs of.
    pub max_uses: u64,
    /// So many bytes of input.
    pub max_bytes: u64,
}

/// What is to be different; `None`: as it is.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "as in KeyLimits")]
pub struct LimitChange {
    pub originator_usage_seconds: Option<u64>,
    pub recipient_usage_seconds: Option<u64>,
    pub max_uses: Option<u64>,
    pub max_bytes: Option<u64>,
}

impl LimitChange {
    /// The limits with the changes, or why they make no sense.
    pub fn apply(self, limits: KeyLimits) -> Result<KeyLimits> {
        let changed = KeyLimits {
            originator_usage_seconds: self.originator_usage_seconds.unwrap_or(limits.originator_usage_seconds),
            recipient_usage_seconds: self.recipient_usage_seconds.unwrap_or(limits.recipient_usage_seconds),
            max_uses: self.max_uses.unwrap_or(limits.max_uses),
            max_bytes: self.max_bytes.unwrap_or(limits.max_bytes),
        };
        let (originator, recipient) = (changed.originator_usage_seconds, changed.recipient_usage_seconds);
        let refused = |why: String| Err(Error::Invalid(why));
        if originator.max(recipient) > LONGEST_PERIOD {
            return refused("a usage period cannot be longer than a thousand years".into());
        }
        if recipient != 0 && (originator == 0 || recipient < originator) {
            return refused(
                "recipient_usage_period needs an originator_usage_period that is no longer: what is protected must be read, too"
                    .into(),
            );
        }
        if changed.max_uses.max(changed.max_bytes) > MOST {
            return refused(format!("max_uses and max_bytes cannot be more than {MOST}"));
        }
        Ok(changed)
    }
}

impl Key {
    /// Whether a version's state and periods allow that use now, or why not.
    pub(super) fn open(&self, version: &KeyVersion, wanted: Use, now: DateTime<Utc>) -> Result<(), String> {
        version.open_to(wanted)?;
        let limits = &self.settings.limits;
        let (seconds, whose) = match wanted {
            Use::Protect => (limits.originator_usage_seconds, "originator"),
            Use::Process => (limits.recipient_usage_seconds, "recipient"),
        };
        if seconds == 0 {
            return Ok(());
        }
        let begun = self.settings.activated_at.map_or(version.activated_at, |at| at.max(version.activated_at));
        let ended = begun + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1_000));
        if now < ended {
            return Ok(());
        }
        let ended = ended.to_rfc3339_opts(SecondsFormat::Secs, true);
        let then = if wanted == Use::Protect { ": rotate the key" } else { "" };
        Err(format!("the {whose} usage period of version {} ended at {ended}{then}", version.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_protected_can_be_read_at_least_as_long() {
        let change = |originator, recipient| LimitChange {
            originator_usage_seconds: Some(originator),
            recipient_usage_seconds: Some(recipient),
            ..LimitChange::default()
        };
        for (originator, recipient) in [(0, 0), (10, 0), (10, 10), (10, 20)] {
            assert!(change(originator, recipient).apply(KeyLimits::default()).is_ok(), "{originator} {recipient}");
        }
        for (originator, recipient) in [(0, 10), (10, 9), (LONGEST_PERIOD + 1, 0)] {
            assert!(change(originator, recipient).apply(KeyLimits::default()).is_err(), "{originator} {recipient}");
        }
    }
}
