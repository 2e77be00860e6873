//! What a secret is beside its versions: what it is for, how it is found, when it ends, and who makes its next value and when.

use super::generator::Generator;
use super::schedule;
use crate::row_mac::RowBytes;
use chrono::{DateTime, SubsecRound, Utc};

/// Characters of a description.
const LONGEST_DESCRIPTION: usize = 2_000;
/// Tags of one secret, and characters of a tag.
const MOST_TAGS: usize = 32;
const LONGEST_TAG: usize = 64;

/// As it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretProfile {
    /// For people; empty: none.
    pub description: String,
    /// Sorted, each once.
    pub tags: Vec<String>,
    /// From when on all versions are shown as deleted.
    pub expires_at: Option<DateTime<Utc>>,
    /// Of the key pair that was made last, PEM.
    pub public_key: Option<String>,
    /// Its next values.
    pub rotation: Rotation,
}

/// When a secret gets its next value, and from whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Whether it comes by itself.
    pub enabled: bool,
    /// A cron expression, in UTC.
    pub schedule: Option<String>,
    /// None: people make it.
    pub generator: Option<Generator>,
    /// When a version was last written.
    pub last_at: Option<DateTime<Utc>>,
    /// The first time of the schedule that nothing was done about yet.
    pub next_at: Option<DateTime<Utc>>,
}

/// What is to be different; `None`: as it is.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    /// Empty: none.
    pub description: Option<String>,
    /// These and no other.
    pub tags: Option<Vec<String>>,
    /// `None` inside: never.
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// Whether the next value comes by itself.
    pub rotation_enabled: Option<bool>,
    /// A cron expression, in UTC; empty: none.
    pub rotation_schedule: Option<String>,
    /// `None` inside: people make it.
    pub generator: Option<Option<Generator>>,
}

impl SecretProfile {
    /// Whether it is over.
    pub fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Adds itself to a row, unless it says nothing: rows from before there were any carry the MAC of what they said.
    pub(crate) fn bind(&self, row: RowBytes) -> RowBytes {
        if *self == Self::default() {
            return row;
        }
        let rotation = &self.rotation;
        let mut row = row.text("profile").text(&self.description).integer(self.tags.len() as i64);
        for tag in &self.tags {
            row = row.text(tag);
        }
        row.time(self.expires_at)
            .bytes(self.public_key.as_deref().map(str::as_bytes))
            .flag(rotation.enabled)
            .bytes(rotation.schedule.as_deref().map(str::as_bytes))
            .bytes(rotation.generator.as_ref().map(Generator::text).as_deref().map(str::as_bytes))
            .time(rotation.last_at)
            .time(rotation.next_at)
    }

    /// The schedule's next time after `now`.
    pub(super) fn plan(&mut self, now: DateTime<Utc>) -> Result<(), String> {
        let rotation = &mut self.rotation;
        rotation.next_at = match (rotation.enabled, &rotation.schedule) {
            (false, _) => None,
            (true, Some(schedule)) => Some(schedule::next(schedule, now)?),
            (true, None) => return Err("rotation_enabled needs a rotation_schedule: a cron expression, in UTC".into()),
        };
        Ok(())
    }
}

impl ProfileChange {
    /// Changes a profile, or says why not.
    pub(super) fn apply(&self, profile: &mut SecretProfile, now: DateTime<Utc>) -> Result<(), String> {
        if let Some(description) = &self.description {
            checked("description", description, LONGEST_DESCRIPTION)?;
            profile.description.clone_from(description);
        }
        if let Some(tags) = &self.tags {
            profile.tags = checked_tags(tags)?;
        }
        if let Some(expires_at) = self.expires_at {
            profile.expires_at = expires_at.map(|end| end.trunc_subsecs(6));
        }
        if let Some(generator) = &self.generator {
            generator.as_ref().map_or(Ok(()), Generator::check)?;
            profile.rotation.generator.clone_from(generator);
        }
        let before = profile.rotation.clone();
        if let Some(schedule) = &self.rotation_schedule {
            profile.rotation.schedule = Some(schedule.clone()).filter(|schedule| !schedule.is_empty());
            // It must be one, also while nothing follows it.
            profile.rotation.schedule.as_deref().map_or(Ok(()), |schedule| schedule::next(schedule, now).map(drop))?;
        }
        profile.rotation.enabled = self.rotation_enabled.unwrap_or(profile.rotation.enabled);
        // What is due stays due, unless somebody says when anew.
        if (before.enabled, &before.schedule) != (profile.rotation.enabled, &profile.rotation.schedule) {
            profile.plan(now)?;
        }
        Ok(())
    }
}

fn checked(what: &str, text: &str, longest: usize) -> Result<(), String> {
    if text.chars().count() > longest {
        return Err(format!("{what} has at most {longest} characters"));
    }
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        return Err(format!("{what} holds a control character"));
    }
    Ok(())
}

fn checked_tags(tags: &[String]) -> Result<Vec<String>, String> {
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    tags.dedup();
    if tags.len() > MOST_TAGS {
        return Err(format!("a secret has at most {MOST_TAGS} tags"));
    }
    for tag in &tags {
        if tag.is_empty() || tag.contains([',', '\n', '\t']) {
            return Err(format!("tag {tag:?} is empty or holds a comma, a tab or the end of a line"));
        }
        checked("a tag", tag, LONGEST_TAG)?;
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn daily() -> ProfileChange {
        let (rotation_enabled, rotation_schedule) = (Some(true), Some("0 3 * * *".into()));
        ProfileChange { rotation_enabled, rotation_schedule, ..ProfileChange::default() }
    }

    #[test]
    fn what_is_due_stays_due_until_the_schedule_itself_changes() {
        let mut profile = SecretProfile::default();
        daily().apply(&mut profile, at("2026-01-01T00:00:00Z")).expect("applied");
        assert_eq!(profile.rotation.next_at, Some(at("2026-01-01T03:00:00Z")));
        let later = at("2026-01-05T00:00:00Z");
        let described = ProfileChange { description: Some("d".into()), ..daily() };
        described.apply(&mut profile, later).expect("applied");
        assert_eq!(profile.rotation.next_at, Some(at("2026-01-01T03:00:00Z")));
        let hourly = ProfileChange { rotation_schedule: Some("0 * * * *".into()), ..ProfileChange::default() };
        hourly.apply(&mut profile, later).expect("applied");
        assert_eq!(profile.rotation.next_at, Some(at("2026-01-05T01:00:00Z")));
        let never = ProfileChange { rotation_enabled: Some(false), ..ProfileChange::default() };
        never.apply(&mut profile, later).expect("applied");
        assert_eq!(profile.rotation.next_at, None);
    }

    #[test]
    fn a_rotation_needs_a_schedule_that_is_one() {
        for (enabled, schedule) in [(Some(true), None), (None, Some("soon")), (Some(true), Some(""))] {
            let change = ProfileChange {
                rotation_enabled: enabled,
                rotation_schedule: schedule.map(str::to_owned),
                ..ProfileChange::default()
            };
            assert!(change.apply(&mut SecretProfile::default(), at("2026-01-01T00:00:00Z")).is_err());
        }
    }

    #[test]
    fn a_row_that_says_nothing_more_is_bound_as_before_and_every_field_counts() {
        let bytes = |profile: &SecretProfile| profile.bind(RowBytes::new("secrets")).finish();
        let time = Some(at("2026-01-01T00:00:00Z"));
        let plain = SecretProfile::default();
        assert_eq!(bytes(&plain), RowBytes::new("secrets").finish());
        let rotation = |change: fn(&mut Rotation)| {
            let mut profile = SecretProfile::default();
            change(&mut profile.rotation);
            profile
        };
        let mut all = vec![
            bytes(&plain),
            bytes(&SecretProfile { description: "d".into(), ..plain.clone() }),
            bytes(&SecretProfile { tags: vec!["d".into()], ..plain.clone() }),
            bytes(&SecretProfile { tags: vec!["d".into(), "e".into()], ..plain.clone() }),
            bytes(&SecretProfile { expires_at: time, ..plain.clone() }),
            bytes(&SecretProfile { public_key: Some("d".into()), ..plain.clone() }),
            bytes(&rotation(|rotation| rotation.enabled = true)),
            bytes(&rotation(|rotation| rotation.schedule = Some("d".into()))),
            bytes(&rotation(|rotation| rotation.last_at = Some(DateTime::UNIX_EPOCH))),
            bytes(&rotation(|rotation| rotation.next_at = Some(DateTime::UNIX_EPOCH))),
        ];
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn tags_are_sorted_and_none_is_odd() {
        let tags = |tags: &[&str]| checked_tags(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        assert_eq!(tags(&["b", "a", "b"]), Ok(vec!["a".to_owned(), "b".to_owned()]));
        for bad in ["", "a,b", "a\nb", &"x".repeat(65)] {
            assert!(tags(&[bad]).is_err(), "{bad:?}");
        }
    }
}
