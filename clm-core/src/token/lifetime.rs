//! How long a token lives: pure.

use super::Warning;
use crate::access::format_seconds;

/// What is asked, seconds; 0: not said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) ttl: u64,
    pub(crate) period: u64,
    pub(crate) explicit_max_ttl: u64,
    /// Since the token was made.
    pub(crate) age: u64,
}

/// The system's or a mount's, seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System {
    pub(crate) default_ttl: u64,
    pub(crate) max_ttl: u64,
}

impl System {
    /// With a maximum of its own; 0: none.
    pub(super) fn bounded(self, max_ttl: u64) -> Self {
        if max_ttl == 0 { self } else { Self { max_ttl: self.max_ttl.min(max_ttl), ..self } }
    }
}

/// Time-to-live from now, seconds, with a warning where it is less than asked. `None`: the token is past its longest time.
pub(super) fn time_to_live(wanted: Wanted, system: System) -> Option<(u64, Option<Warning>)> {
    let explicit = Some(wanted.explicit_max_ttl).filter(|max| *max > 0);
    let max = explicit.map_or(system.max_ttl, |max| max.min(system.max_ttl));
    if wanted.period > 0 {
        let capped = wanted.period.min(max);
        let mut warning = (capped < wanted.period).then(|| exceeded("Period", "Period value", wanted.period, max));
        let Some(explicit) = explicit else { return Some((capped, warning)) };
        let left = explicit.checked_sub(wanted.age).filter(|left| *left > 0)?;
        if left < capped && warning.is_none() {
            warning = Some(exceeded("TTL", "TTL value", capped, max));
        }
        return Some((capped.min(left), warning));
    }
    let ttl = if wanted.ttl > 0 { wanted.ttl } else { system.default_ttl };
    let left = max.checked_sub(wanted.age).filter(|left| *left > 0)?;
    if ttl <= left {
        return Some((ttl, None));
    }
    Some((left, Some(exceeded("TTL", "TTL value", ttl, max))))
}

fn exceeded(what: &str, value: &str, asked: u64, max: u64) -> Warning {
    let (asked, max) = (format_seconds(asked), format_seconds(max));
    format!("{what} of \"{asked}\" exceeded the effective max_ttl of \"{max}\"; {value} is capped accordingly")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SYSTEM: System = System { default_ttl: 2_764_800, max_ttl: 2_764_800 };

    #[test]
    fn what_is_asked_is_clamped_with_a_warning() {
        let wanted = Wanted { ttl: 7200, explicit_max_ttl: 3600, ..Wanted::default() };
        let warning = "TTL of \"2h\" exceeded the effective max_ttl of \"1h\"; TTL value is capped accordingly";
        assert_eq!(time_to_live(wanted, SYSTEM), Some((3600, Some(warning.into()))));
        assert_eq!(time_to_live(Wanted { ttl: 60, ..Wanted::default() }, SYSTEM), Some((60, None)));
        assert_eq!(time_to_live(Wanted::default(), SYSTEM), Some((2_764_800, None)));
        let (ttl, warning) = time_to_live(Wanted { ttl: 99_999 * 3600, ..Wanted::default() }, SYSTEM).expect("alive");
        assert_eq!(ttl, 2_764_800);
        assert!(warning.is_some());
    }

    #[test]
    fn a_period_escapes_the_age_but_not_the_explicit_end() {
        let periodic = Wanted { ttl: 7200, period: 1800, age: 10_000_000, ..Wanted::default() };
        assert_eq!(time_to_live(periodic, SYSTEM), Some((1800, None)));
        let capped = Wanted { period: 1800, explicit_max_ttl: 600, ..Wanted::default() };
        let (ttl, warning) = time_to_live(capped, SYSTEM).expect("alive");
        assert_eq!((ttl, warning.is_some()), (600, true));
        let late = Wanted { period: 1800, explicit_max_ttl: 3600, age: 3000, ..Wanted::default() };
        assert_eq!(time_to_live(late, SYSTEM).map(|(ttl, _)| ttl), Some(600));
        assert_eq!(time_to_live(Wanted { age: 3600, ..late }, SYSTEM), None);
    }

    proptest! {
        /// However often and for whatever it is renewed.
        #[test]
        fn no_renewal_brings_a_token_past_its_end(
            increments in prop::collection::vec((0u64..5_000, 0u64..2_000), 1..20),
            period in 0u64..2_000, explicit_max_ttl in 0u64..4_000, default_ttl in 1u64..3_000, max_ttl in 1u64..5_000,
        ) {
            let system = System { default_ttl, max_ttl };
            let mut age = 0;
            for (increment, wait) in increments {
                let Some((ttl, _)) = time_to_live(Wanted { ttl: increment, period, explicit_max_ttl, age }, system) else { break };
                prop_assert!(ttl > 0 || period.min(increment) == 0);
                if explicit_max_ttl > 0 {
                    prop_assert!(age + ttl <= explicit_max_ttl);
                }
                if period == 0 {
                    prop_assert!(age + ttl <= max_ttl);
                } else {
                    prop_assert!(ttl <= period && ttl <= max_ttl);
                }
                // It lives on only as long as it was given.
                age += wait.min(ttl);
            }
        }

        #[test]
        fn a_warning_comes_exactly_when_less_is_given_than_was_asked(ttl in 1u64..5_000, age in 0u64..5_000, max_ttl in 1u64..5_000) {
            let system = System { default_ttl: 1, max_ttl };
            if let Some((given, warning)) = time_to_live(Wanted { ttl, age, ..Wanted::default() }, system) {
                prop_assert_eq!(warning.is_some(), given < ttl);
            }
        }
    }
}
