//! Time as an argument: everything that asks "is it over?" asks a [`Clock`].

use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Says what time it is, in UTC.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> DateTime<Utc>;
}

/// Steps of the system's clock up to this are followed slowly, larger ones at once.
const SLEWED_STEP: TimeDelta = TimeDelta::minutes(5);
/// Differences below this are ordinary drift and followed at once.
const DRIFT: TimeDelta = TimeDelta::milliseconds(500);
/// While following a step we go this much faster or slower than the monotonic clock: 1/10.
const SLEW_DIVISOR: i32 = 10;

/// The system's clock, without its small jumps.
///
/// A step of up to five minutes (NTP mending a wrong clock) is followed at a tenth of real time, so that it neither
/// ends tokens all at once nor brings ended ones back. A larger one is believed at once: the machine slept, or the
/// clock was plainly wrong.
#[derive(Debug)]
pub struct SystemClock(Mutex<Reference>);

#[derive(Clone, Copy, Debug)]
struct Reference {
    monotonic: Instant,
    shown: DateTime<Utc>,
}

impl SystemClock {
    /// Starts from what the system's clock says.
    #[expect(clippy::new_without_default, reason = "reading the clock is not a default value")]
    pub fn new() -> Self {
        Self(Mutex::new(Reference { monotonic: Instant::now(), shown: ambient_now() }))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        let mut reference = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let monotonic = Instant::now();
        let shown = follow(reference.shown, monotonic.duration_since(reference.monotonic), ambient_now());
        *reference = Reference { monotonic, shown };
        shown
    }
}

/// The time to show, after `elapsed` since `shown` was shown, while the system's clock says `wall`.
fn follow(shown: DateTime<Utc>, elapsed: Duration, wall: DateTime<Utc>) -> DateTime<Utc> {
    let elapsed = TimeDelta::from_std(elapsed).unwrap_or(TimeDelta::MAX);
    let steady = shown.checked_add_signed(elapsed).unwrap_or(wall);
    let ahead = wall - steady;
    if ahead.abs() <= DRIFT || ahead.abs() > SLEWED_STEP {
        return wall;
    }
    let allowed = elapsed / SLEW_DIVISOR;
    if ahead > TimeDelta::zero() { steady + ahead.min(allowed) } else { steady - (-ahead).min(allowed) }
}

#[expect(clippy::allow_attributes, reason = "the ban of the ambient clock lives in clippy.toml")]
#[allow(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
fn ambient_now() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_small_step_is_followed_slowly_and_a_large_one_at_once() {
        let start = DateTime::UNIX_EPOCH;
        let after = start + TimeDelta::seconds(1);
        assert_eq!(follow(start, SECOND, after), after);
        let jumped = after + TimeDelta::minutes(4);
        assert_eq!(follow(start, SECOND, jumped), after + TimeDelta::milliseconds(100));
        let back = after - TimeDelta::minutes(4);
        assert_eq!(follow(start, SECOND, back), after - TimeDelta::milliseconds(100));
        let slept = after + TimeDelta::hours(2);
        assert_eq!(follow(start, SECOND, slept), slept);
    }

    #[test]
    fn a_slewed_step_is_caught_up_and_time_never_runs_backwards() {
        let mut shown = DateTime::UNIX_EPOCH;
        let offset = TimeDelta::minutes(-4);
        for second in 1..=3000 {
            let wall = DateTime::UNIX_EPOCH + TimeDelta::seconds(second) + offset;
            let next = follow(shown, SECOND, wall);
            assert!(next > shown);
            shown = next;
        }
        assert_eq!(shown, DateTime::UNIX_EPOCH + TimeDelta::seconds(3000) + offset);
    }
}
