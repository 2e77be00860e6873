//! The counting of one rate limit: for each address so many requests an interval, and where `block_interval` is set, none for that long after one
//! too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses that are remembered; before more are, those whose interval is over are forgotten.
const ADDRESSES: usize = 65_536;

/// Counts.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: u64,
    interval: Duration,
    block: Duration,
    addresses: Mutex<HashMap<Option<IpAddr>, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    used: u64,
    blocked_until: Option<Instant>,
}

/// Whether a request may pass, and what its client should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Until it may ask again.
    pub(crate) reset: Duration,
}

impl Limiter {
    /// `rate` an `interval`; a fraction counts as one.
    pub(super) fn new(rate: f64, interval: Duration, block: Duration) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, checked, and large ones saturate"
        )]
        let limit = rate.ceil() as u64;
        Self { limit, interval, block, addresses: Mutex::default() }
    }

    /// Takes one, at `now`.
    pub(super) fn take(&self, source: Option<IpAddr>, now: Instant) -> Verdict {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let source = source.map(host);
        if addresses.len() >= ADDRESSES && !addresses.contains_key(&source) {
            addresses.retain(|_, window| !window.is_over(self.interval, now));
            // Somebody asks from more addresses than that at once: they are counted together.
            if addresses.len() >= ADDRESSES {
                return self.count(addresses.entry(None).or_insert(Window::new(now)), now);
            }
        }
        self.count(addresses.entry(source).or_insert(Window::new(now)), now)
    }

    fn count(&self, window: &mut Window, now: Instant) -> Verdict {
        if let Some(until) = window.blocked_until.filter(|until| *until > now) {
            return Verdict { allowed: false, limit: self.limit, remaining: 0, reset: until - now };
        }
        if window.is_over(self.interval, now) {
            *window = Window::new(now);
        }
        let reset = self.interval.saturating_sub(now.saturating_duration_since(window.began));
        if window.used < self.limit {
            window.used += 1;
            return Verdict { allowed: true, limit: self.limit, remaining: self.limit - window.used, reset };
        }
        if self.block.is_zero() {
            return Verdict { allowed: false, limit: self.limit, remaining: 0, reset };
        }
        window.blocked_until = Some(now + self.block);
        Verdict { allowed: false, limit: self.limit, remaining: 0, reset: self.block }
    }
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { began: now, used: 0, blocked_until: None }
    }

    fn is_over(&self, interval: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= interval && self.blocked_until.is_none_or(|until| until <= now)
    }
}

/// An IPv6 host owns its /64.
fn host(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn each_address_has_its_own_count_and_it_begins_anew_after_the_interval() {
        let limiter = Limiter::new(1.5, SECOND, Duration::ZERO);
        let now = Instant::now();
        assert_eq!(limiter.take(address(1), now), Verdict { allowed: true, limit: 2, remaining: 1, reset: SECOND });
        assert!(limiter.take(address(1), now).allowed);
        let refused = limiter.take(address(1), now + SECOND / 2);
        assert_eq!(refused, Verdict { allowed: false, limit: 2, remaining: 0, reset: SECOND / 2 });
        assert!(limiter.take(address(2), now).allowed);
        assert!(limiter.take(address(1), now + SECOND).allowed);
    }

    #[test]
    fn who_asks_once_too_often_is_blocked_for_as_long_as_is_set() {
        let limiter = Limiter::new(1.0, SECOND, 10 * SECOND);
        let now = Instant::now();
        assert!(limiter.take(address(1), now).allowed);
        assert_eq!(limiter.take(address(1), now).reset, 10 * SECOND);
        assert!(!limiter.take(address(1), now + 9 * SECOND).allowed);
        assert!(limiter.take(address(1), now + 10 * SECOND).allowed);
    }

    #[test]
    fn a_hosts_ipv6_addresses_count_as_one() {
        let limiter = Limiter::new(1.0, SECOND, Duration::ZERO);
        let now = Instant::now();
        let v6 = |last| Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]));
        assert!(limiter.take(v6(1), now).allowed && !limiter.take(v6(2), now).allowed);
    }

    proptest! {
        #[test]
        fn no_more_pass_in_an_interval_than_the_rate_says(
            rate in 1u32..20, mut times in proptest::collection::vec(0u64..5_000, 1..300)
        ) {
            times.sort_unstable();
            let limiter = Limiter::new(rate.into(), SECOND, Duration::ZERO);
            let start = Instant::now();
            let passed: Vec<u64> = times
                .into_iter()
                .filter(|millis| limiter.take(address(1), start + Duration::from_millis(*millis)).allowed)
                .collect();
            for began in 0..5u64 {
                // Windows begin with a first request: any second holds parts of two at most.
                let within = passed.iter().filter(|at| (began * 1_000..began * 1_000 + 1_000).contains(*at)).count();
                prop_assert!(within <= 2 * rate as usize);
            }
        }
    }
}
