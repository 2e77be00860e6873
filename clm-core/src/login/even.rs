//! When a refused login is told.
//!
//! The kinds of refusal take the same steps, yet not to the microsecond: a row that exists is longer than one that does not. What is left of that
//! is hidden by telling refusals only at full steps of time since the request came.

use std::time::{Duration, Instant};

/// Much longer than kinds of refusal differ, and short beside what a person or a program waits.
const STEP: Duration = Duration::from_millis(5);

/// The last part of it, slept by itself: how soon a processor is awake depends on how long it was not.
const LAST: Duration = Duration::from_millis(1);

/// Waits for the next full step since `began`.
///
/// The runtime's timers end so many full milliseconds after they were set, which would carry on what is to be hidden, and would wake a processor at
/// a moment that tells of it: the wait is a thread's, whose sleep ends when it was told to, with nothing between the work and the last part.
pub(super) async fn wait(began: Instant) {
    let end = began + next(began.elapsed());
    let slept = tokio::task::spawn_blocking(move || {
        for until in [end.checked_sub(LAST).unwrap_or(end), end] {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    });
    if let Err(error) = slept.await {
        tracing::debug!(%error, "a refused login was told at once");
    }
}

/// The next full step after `elapsed`.
fn next(elapsed: Duration) -> Duration {
    let steps = elapsed.as_nanos() / STEP.as_nanos() + 1;
    STEP * u32::try_from(steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{next, wait};
    use std::time::{Duration, Instant};

    #[tokio::test]
    async fn none_is_told_before_its_step() {
        let began = Instant::now();
        wait(began).await;
        assert!(began.elapsed() >= Duration::from_millis(5), "{:?}", began.elapsed());
    }

    #[test]
    fn refusals_that_differ_by_less_than_a_step_are_told_at_the_same_time() {
        let (quick, slow) = (Duration::from_micros(766), Duration::from_micros(4_812));
        assert_eq!(next(quick), Duration::from_millis(5));
        assert_eq!(next(slow), next(quick));
        assert_eq!(next(Duration::from_millis(5)), Duration::from_millis(10));
        assert_eq!(next(Duration::from_micros(22_441)), Duration::from_millis(25));
    }
}
