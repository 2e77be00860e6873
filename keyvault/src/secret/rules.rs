//! What KV engines promise, as arithmetic: no database, no HSM, no clock.

use super::find::Found;
use super::{SecretName, SecretSettings};
use chrono::{DateTime, TimeDelta, Utc};

/// Bytes that a version may hold.
pub const LONGEST_VALUE: usize = 1 << 20;
/// Characters of a path.
pub const LONGEST_PATH: usize = 500;
/// Versions that a secret may keep: all of them change in one transaction.
pub const MOST_VERSIONS: i32 = 10_000;
/// Versions that are kept when nobody says how many.
const USUAL_VERSIONS: i32 = 10;

/// Why a secret cannot have that name.
pub(super) fn refuse_name(name: &SecretName) -> Option<String> {
    if name.path.chars().count() > LONGEST_PATH {
        return Some(format!("the path of a secret has at most {LONGEST_PATH} characters"));
    }
    let bad = |part: &str| matches!(part, "" | "." | "..");
    if name.path.split('/').any(bad) || name.path.chars().any(char::is_control) {
        return Some("a part of the secret's path is empty, `.` or `..`, or holds a control character".into());
    }
    None
}

/// Why a version cannot hold that many bytes.
pub(super) fn refuse_length(bytes: usize) -> Option<String> {
    (bytes > LONGEST_VALUE).then(|| {
        format!("the secret's data are {bytes} bytes of JSON; a secret has at most {LONGEST_VALUE} (1 MiB): split it")
    })
}

/// Why a secret whose end has come takes no new version: nobody could read it.
pub(super) fn refuse_expired(found: &Found, now: DateTime<Utc>) -> Option<String> {
    let secret = found.secret.as_ref().filter(|secret| secret.profile.has_expired(now))?;
    let end = secret.profile.expires_at?.to_rfc3339();
    Some(format!("the secret expired at {end}: give it another `expires_at`, or delete it with its metadata, first"))
}

/// Why a number of versions cannot be kept.
pub(super) fn refuse_max_versions(wanted: i64) -> Option<String> {
    (!(0..=i64::from(MOST_VERSIONS)).contains(&wanted))
        .then(|| format!("max_versions must be between 0 and {MOST_VERSIONS}, not {wanted}"))
}

/// How many versions a secret keeps.
fn kept(mount: SecretSettings, secret: SecretSettings) -> i32 {
    [secret.max_versions, mount.max_versions].into_iter().find(|number| *number > 0).unwrap_or(USUAL_VERSIONS)
}

/// Which versions are there once `version` is, given the lowest before (0: all).
pub(super) fn oldest_after(version: i32, oldest: i32, mount: SecretSettings, secret: SecretSettings) -> i32 {
    let lowest = version.saturating_sub(kept(mount, secret)).saturating_add(1);
    if lowest > oldest.max(1) { lowest } else { oldest }
}

/// When a version written now is deleted by itself: after the shorter of what mount and secret say.
pub(super) fn deletion_time(
    now: DateTime<Utc>,
    mount: SecretSettings,
    secret: SecretSettings,
) -> Option<DateTime<Utc>> {
    let said = [mount.delete_version_after, secret.delete_version_after];
    if said.iter().any(|seconds| *seconds < 0) {
        return None;
    }
    let after = said.into_iter().filter(|seconds| *seconds > 0).min()?;
    // Beyond the calendar is never.
    now.checked_add_signed(TimeDelta::try_seconds(after)?)
}

/// Why a write of that check-and-set cannot follow version `current`.
pub(super) fn refuse_cas(cas: Option<i64>, is_required: bool, current: i32) -> Option<&'static str> {
    match cas {
        None if is_required => Some("check-and-set parameter required for this call"),
        None => None,
        Some(cas) if cas == i64::from(current) => None,
        Some(_) => Some("check-and-set parameter did not match the current version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn keeping(max_versions: i32) -> SecretSettings {
        SecretSettings { max_versions, ..SecretSettings::default() }
    }

    fn deleting(delete_version_after: i64) -> SecretSettings {
        SecretSettings { delete_version_after, ..SecretSettings::default() }
    }

    #[test]
    fn the_oldest_versions_are_dropped_for_the_newest() {
        for (version, oldest, mount, secret, then) in [
            (1, 0, 0, 0, 0),
            (10, 0, 0, 0, 0),
            (11, 0, 0, 0, 2),
            (3, 0, 2, 0, 2),
            (3, 0, 2, 5, 0),
            (9, 4, 20, 3, 7),
            // Raised again: what was dropped does not come back.
            (10, 7, 0, 20, 7),
            (2, 0, 0, 1, 2),
        ] {
            let found = oldest_after(version, oldest, keeping(mount), keeping(secret));
            assert_eq!(found, then, "{version} {oldest} {mount} {secret}");
        }
    }

    #[test]
    fn the_shorter_time_counts_and_a_negative_one_is_never() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        for (mount, secret, after) in [
            (0, 0, None),
            (30, 0, Some(30)),
            (0, 20, Some(20)),
            (30, 20, Some(20)),
            (10, 20, Some(10)),
            (-1, 20, None),
            (30, -1, None),
            (i64::MAX, 0, None),
        ] {
            let expected = after.map(|seconds| now + TimeDelta::seconds(seconds));
            assert_eq!(deletion_time(now, deleting(mount), deleting(secret)), expected, "{mount} {secret}");
        }
    }

    #[test]
    fn check_and_set_compares_with_the_newest_version() {
        for (cas, is_required, current, fits) in [
            (None, false, 3, true),
            (None, true, 3, false),
            (Some(0), false, 0, true),
            (Some(0), false, 1, false),
            (Some(3), true, 3, true),
            (Some(-1), false, 0, false),
            (Some(i64::MAX), false, 3, false),
        ] {
            assert_eq!(refuse_cas(cas, is_required, current).is_none(), fits, "{cas:?} {is_required} {current}");
        }
    }

    #[test]
    fn names_are_what_the_table_takes() {
        let name = |path: &str| SecretName { mount_id: Uuid::nil(), path: path.into() };
        for good in ["a", "a/b", "sp ace", "ü", "x..y", "http:/x", &"é".repeat(500)] {
            assert_eq!(refuse_name(&name(good)), None, "{good}");
        }
        for bad in ["", "a/", "/a", "a//b", ".", "a/./b", "..", "a\u{7}", &"é".repeat(501)] {
            assert!(refuse_name(&name(bad)).is_some(), "{bad:?}");
        }
    }
}
