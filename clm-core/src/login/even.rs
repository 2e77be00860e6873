//! When a refused login is told.
//!
//! The kinds of refusal take the same steps, yet not to the microsecond: a row that exists is longer than one that does not. What is left of that
//! is hidden by telling refusals only at full steps of time since the request came.

use std::time::{Duration, Instant};

/// Much longer than kinds of refusal differ, and short beside what a person or a program waits.
const STEP: Duration = Duration::from_millis(5);

/// Waits for the next full step since `began`.
pub(super) async fn wait(began: Instant) {
    tokio::time::sleep_until((began + next(began.elapsed())).into()).await;
}

/// The next full step after `elapsed`.
fn next(elapsed: Duration) -> Duration {
    let steps = elapsed.as_nanos() / STEP.as_nanos() + 1;
    STEP * u32::try_from(steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::next;
    use std::time::Duration;

    #[test]
    fn refusals_that_differ_by_less_than_a_step_are_told_at_the_same_time() {
        let (quick, slow) = (Duration::from_micros(766), Duration::from_micros(4_812));
        assert_eq!(next(quick), Duration::from_millis(5));
        assert_eq!(next(slow), next(quick));
        assert_eq!(next(Duration::from_millis(5)), Duration::from_millis(10), "none is told before its step");
        assert_eq!(next(Duration::from_micros(22_441)), Duration::from_millis(25));
    }
}
