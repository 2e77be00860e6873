//! When a secret is to be rotated: cron expressions, in UTC.

use chrono::{DateTime, Utc};
use cron_parser::Schedule;

/// Characters of an expression.
const LONGEST: usize = 200;

/// The first time after `now` that fits `expression` (five fields: minute, hour, day, month, day of the week); or why there is none.
pub(super) fn next(expression: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if expression.len() > LONGEST {
        return Err(format!("rotation_schedule has at most {LONGEST} characters"));
    }
    let schedule = Schedule::parse(expression)
        .map_err(|error| format!("rotation_schedule {expression:?} is no cron expression: {error}"))?;
    schedule.next_after(&now).ok_or_else(|| format!("rotation_schedule {expression:?} names no time to come"))
}

#[cfg(test)]
mod tests {
    use super::next;
    use chrono::{DateTime, Utc};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn the_next_time_is_after_now_and_in_utc() {
        for (expression, now, then) in [
            ("0 3 * * *", "2026-03-01T02:59:59Z", "2026-03-01T03:00:00Z"),
            ("0 3 * * *", "2026-03-01T03:00:00Z", "2026-03-02T03:00:00Z"),
            ("*/15 * * * *", "2026-12-31T23:59:00Z", "2027-01-01T00:00:00Z"),
            ("0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 * * MON", "2026-11-28T00:00:00Z", "2026-11-30T00:00:00Z"),
            ("* * * * *", "2026-11-28T00:00:59.5Z", "2026-11-28T00:01:00Z"),
        ] {
            assert_eq!(next(expression, at(now)), Ok(at(then)), "{expression} after {now}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in ["", "daily", "61 * * * *", "* * * *", "0 0 30 2 *", &"*".repeat(201)] {
            assert!(next(bad, at("2026-11-28T00:00:00Z")).is_err(), "{bad}");
        }
    }
}
