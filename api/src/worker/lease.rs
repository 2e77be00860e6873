//! Leases, of jobs and of entries of the outbox alike: whoever works takes them anew in time, whoever was killed does not.

use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// How long a piece of work is one server's, by the clock of `clm_core_db`.
pub(super) const LEASE: Duration = Duration::from_secs(60);
/// How often it is taken anew: twice may fail.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(20);
const _: () = assert!(RENEW_EVERY.as_secs() * 3 <= LEASE.as_secs());

/// Does the work and renews its lease every so often. `None`: another server has taken it over, and the work was dropped where it was.
///
/// With an error of `renew` the work is dropped, too: nobody knows any more whose it is.
pub(super) async fn while_held<T, R: Future<Output = clm_core::Result<bool>>>(
    every: Duration,
    work: impl Future<Output = T>,
    mut renew: impl FnMut() -> R,
) -> clm_core::Result<Option<T>> {
    let mut work = pin!(work);
    let mut tick = tokio::time::interval_at(Instant::now() + every, every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = &mut work => return Ok(Some(done)),
            _ = tick.tick() => if !renew().await? {
                return Ok(None);
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const SHORT: Duration = Duration::from_millis(2);

    #[tokio::test]
    async fn work_that_lasts_is_renewed_until_it_is_done() {
        let renewed = Cell::new(0);
        let work = async {
            while renewed.get() < 3 {
                tokio::task::yield_now().await;
            }
            "done"
        };
        let done = while_held(SHORT, work, || {
            renewed.set(renewed.get() + 1);
            std::future::ready(Ok(true))
        });
        assert_eq!(done.await.expect("renewed"), Some("done"));
        assert_eq!(renewed.get(), 3);
    }

    #[tokio::test]
    async fn work_whose_lease_is_lost_is_dropped() {
        let lost = while_held(SHORT, std::future::pending::<()>(), || std::future::ready(Ok(false)));
        assert_eq!(lost.await.expect("asked"), None);
        let unknown = while_held(SHORT, std::future::pending::<()>(), || {
            std::future::ready(Err(clm_core::Error::Conflict("lease")))
        });
        unknown.await.expect_err("nobody knows whose it is");
    }
}
