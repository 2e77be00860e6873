//! Which rate limit counts for a path: the narrowest one.

use super::limiter::{Limiter, Verdict};
use crate::app::{Error, Result};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A rate limit's document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RateLimit {
    /// Empty: everything. Of a mount with its final slash: all of it. With a final `*`: what begins so. Else that path alone.
    pub(crate) path: String,
    /// Requests of one address in each interval.
    pub(crate) rate: f64,
    /// Seconds.
    pub(crate) interval: u64,
    /// For so many seconds nothing passes after one too many; 0: only until the interval is over.
    pub(crate) block_interval: u64,
}

/// What they have in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct QuotaConfiguration {
    pub(crate) rate_limit_exempt_paths: Vec<String>,
    pub(crate) enable_rate_limit_audit_logging: bool,
    pub(crate) enable_rate_limit_response_headers: bool,
}

/// All rate limits of this server, with what they have counted.
#[derive(Debug, Default)]
pub(crate) struct QuotaTable {
    limits: Vec<Arc<Counted>>,
    pub(crate) configuration: QuotaConfiguration,
}

#[derive(Debug)]
struct Counted {
    id: Uuid,
    revision: i64,
    limit: RateLimit,
    limiter: Limiter,
}

/// What opens the service, and what watches it, is asked whatever the limits are.
pub(crate) fn is_never_limited(path: &str) -> bool {
    matches!(path, "sys/health" | "sys/seal-status" | "sys/unseal" | "sys/leader")
        || ["sys/generate-root/", "sys/rekey/", "sys/rekey-recovery-key/", "sys/quotas/"]
            .iter()
            .any(|exempt| path.starts_with(exempt))
}

impl RateLimit {
    /// As asked, if it can be.
    pub(crate) fn checked(self) -> Result<Self> {
        if !self.rate.is_finite() || self.rate <= 0.0 {
            return Err(Error::invalid("'rate' is invalid: it must be above zero"));
        }
        if self.interval == 0 {
            return Err(Error::invalid("'interval' is invalid: it must be at least a second"));
        }
        Ok(self)
    }

    fn covers(&self, path: &str) -> bool {
        match self.path.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None if self.path.is_empty() => true,
            None if self.path.ends_with('/') => path.starts_with(&self.path) || path == self.path.trim_end_matches('/'),
            None => path == self.path,
        }
    }

    /// The longer, the narrower; of two of one length the one without `*`.
    fn narrowness(&self) -> (usize, bool) {
        let wide = self.path.ends_with('*');
        (self.path.len() - usize::from(wide), !wide)
    }
}

impl QuotaTable {
    /// These limits; what `before` has counted of those that did not change goes on.
    pub(crate) fn new(
        limits: impl IntoIterator<Item = (Uuid, i64, RateLimit)>,
        configuration: QuotaConfiguration,
        before: &Self,
    ) -> Self {
        let limits = limits.into_iter().map(|(id, revision, limit)| {
            let known = before.limits.iter().find(|known| (known.id, known.revision) == (id, revision));
            known.cloned().unwrap_or_else(|| {
                let seconds = Duration::from_secs;
                let limiter = Limiter::new(limit.rate, seconds(limit.interval), seconds(limit.block_interval));
                Arc::new(Counted { id, revision, limit, limiter })
            })
        });
        let mut limits: Vec<_> = limits.collect();
        limits.sort_by_key(|counted| std::cmp::Reverse(counted.limit.narrowness()));
        Self { limits, configuration }
    }

    /// No limit is for anybody.
    pub(crate) fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Counts a request; `None`: no limit is for it.
    pub(crate) fn take(&self, path: &str, source: Option<IpAddr>, now: Instant) -> Option<Verdict> {
        if self.is_empty() || is_never_limited(path) {
            return None;
        }
        let is_exempt = |exempt: &String| match exempt.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == exempt.trim_matches('/') || (exempt.ends_with('/') && path.starts_with(exempt.as_str())),
        };
        if self.configuration.rate_limit_exempt_paths.iter().any(is_exempt) {
            return None;
        }
        let counted = self.limits.iter().find(|counted| counted.limit.covers(path))?;
        Some(counted.limiter.take(source, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(number: u128, path: &str, rate: f64) -> (Uuid, i64, RateLimit) {
        (Uuid::from_u128(number), 1, RateLimit { path: path.into(), rate, interval: 60, block_interval: 0 })
    }

    #[test]
    fn the_narrowest_limit_counts_and_no_other() {
        let limits = [
            limit(1, "", 1.0),
            limit(2, "transit/", 2.0),
            limit(3, "transit/sign/*", 3.0),
            limit(4, "transit/sign/a", 4.0),
        ];
        let table = QuotaTable::new(limits, QuotaConfiguration::default(), &QuotaTable::default());
        let now = Instant::now();
        for (path, rate) in
            [("kv/a", 1), ("transit/keys", 2), ("transit", 2), ("transit/sign/b", 3), ("transit/sign/a", 4)]
        {
            assert_eq!(table.take(path, None, now).map(|verdict| verdict.limit), Some(rate), "{path}");
        }
        assert_eq!(table.take("sys/health", None, now), None);
    }

    #[test]
    fn exempt_paths_are_not_counted_and_counts_outlive_a_reload() {
        let configuration = QuotaConfiguration {
            rate_limit_exempt_paths: vec!["kv/free".into(), "pub/*".into()],
            ..Default::default()
        };
        let first = QuotaTable::new([limit(1, "", 1.0)], configuration.clone(), &QuotaTable::default());
        let now = Instant::now();
        assert_eq!((first.take("kv/free", None, now), first.take("pub/x", None, now)), (None, None));
        assert!(first.take("kv/a", None, now).is_some_and(|verdict| verdict.allowed));
        let second = QuotaTable::new([limit(1, "", 1.0)], configuration, &first);
        assert!(second.take("kv/a", None, now).is_some_and(|verdict| !verdict.allowed));
    }
}
