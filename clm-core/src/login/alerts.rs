//! Logins that fail again and again: somebody guesses, or a program has an old password.
//!
//! Counted by each server for itself, in memory: by the client's address, and by the path, which names whoever is guessed at.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::login::Visitor;
use audit_chain::{Outcome, Severity, Value};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// More failures than this,
const TOLERATED: usize = 5;
/// within this time, are told.
const WINDOW: TimeDelta = TimeDelta::minutes(5);
/// Sources and paths that are counted at once; beyond them what is quiet is forgotten.
const COUNTED: usize = 20_000;

/// What fails.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Suspect {
    Source(IpAddr),
    /// Of an organization.
    Path(Uuid, Arc<str>),
}

#[derive(Debug, Default)]
pub(crate) struct LoginAlerts {
    failures: Mutex<HashMap<Suspect, VecDeque<DateTime<Utc>>>>,
    told: AtomicU64,
}

impl LoginAlerts {
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Counts a failure; whom to tell of. Of one suspect it is told again only after a whole window without a word.
    fn note(&self, suspects: impl IntoIterator<Item = Suspect>, now: DateTime<Utc>) -> Vec<Suspect> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= COUNTED {
            failures.retain(|_, times| times.back().is_some_and(|last| now - *last < WINDOW));
        }
        let mut alerts = Vec::new();
        for suspect in suspects {
            if failures.len() >= COUNTED && !failures.contains_key(&suspect) {
                continue;
            }
            let times = failures.entry(suspect.clone()).or_default();
            times.retain(|time| now - *time < WINDOW);
            times.push_back(now);
            // One more than that is kept, which stands for having told.
            match times.len() {
                count if count == TOLERATED + 1 => alerts.push(suspect),
                count if count > TOLERATED + 2 => drop(times.remove(TOLERATED)),
                _ => {}
            }
        }
        alerts
    }
}

impl Core {
    /// Alerts of failed logins since start.
    pub fn login_alerts(&self) -> u64 {
        self.alerts().told()
    }

    /// A login was refused: counted, and told of where there were too many.
    pub(crate) async fn note_failed_login(&self, visitor: &Visitor) -> Result<()> {
        let source = visitor.source.map(|source| Suspect::Source(source.to_canonical()));
        let suspects = source.into_iter().chain([Suspect::Path(visitor.organization_id, Arc::clone(&visitor.path))]);
        for suspect in self.alerts().note(suspects, self.now()) {
            self.alerts().told.fetch_add(1, Ordering::Relaxed);
            let (kind, named) = match &suspect {
                Suspect::Source(source) => ("source", source.to_string()),
                Suspect::Path(_, path) => ("path", path.to_string()),
            };
            tracing::warn!(
                alarm = "login_failures",
                kind,
                named,
                "more than {TOLERATED} logins failed within five minutes"
            );
            let mut event =
                self.event(&visitor.caller(), "login.alert", "authentication", ("login", Some(named)), "alert");
            // It tells of many logins, not how this one ended: that is counted.
            event.arrival = None;
            event.severity = Severity::Warning;
            event.outcome = Outcome::Failure;
            event.error_message = Some("too many logins failed within five minutes".into());
            event.data.insert("by".into(), Value::Text(kind.into()));
            event.data.insert("failures".into(), Value::Integer(6));
            self.audit().append(event).await.map_err(Error::Audit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_failure_within_five_minutes_is_told_and_the_next_ones_are_not() {
        let alerts = LoginAlerts::default();
        let start = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let bob = || [Suspect::Path(Uuid::nil(), "auth/userpass/login/bob".into())];
        let note = |seconds: i64| alerts.note(bob(), start + TimeDelta::seconds(seconds)).len();
        assert_eq!((0..5).map(note).sum::<usize>(), 0);
        assert_eq!(note(5), 1);
        assert_eq!((6..200).map(note).sum::<usize>(), 0);
        // Somebody else is somebody else.
        assert!(alerts.note([Suspect::Path(Uuid::nil(), "auth/userpass/login/eve".into())], start).is_empty());
        // Slow ones are none: five in each five minutes.
        let slow = LoginAlerts::default();
        for step in 0..50 {
            assert!(slow.note(bob(), start + TimeDelta::seconds(step * 61)).is_empty(), "{step}");
        }
    }
}
