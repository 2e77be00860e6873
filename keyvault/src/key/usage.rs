//! How often a key is used: a version of an AES-GCM key encrypts 2^32 times and no more (SP 800-38D, 8.3), and any key has the limits that its owner
//! sets. Each server takes uses, or bytes, from the database in blocks, durably and before it makes them; what it has not made when it ends is lost,
//! never made twice.

use super::change::ATTEMPTS;
use super::{Key, KeyVersion};
use crate::row_mac::MacDomain;
use crate::store::key_usage::{self, KeyUsageRow, VersionKind};
use crate::store::read_as_of_now;
use crate::vault::system;
use crate::{Error, Result, Vault, record};
use audit_chain::Value;
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;
use uuid::Uuid;

/// The most that any version may make.
pub const ENCRYPTIONS: u64 = 1 << 32;
/// Versions whose blocks a server remembers. What is left of a forgotten one is lost.
const REMEMBERED: usize = 100_000;

/// Blocks that this server has taken.
#[derive(Debug)]
pub(crate) struct Usage {
    /// Encryptions by AES-GCM that a version may make.
    encryptions: u64,
    /// By limit as well: when a key gets another, what is left of a block under the old one is lost.
    blocks: Cache<(Uuid, Measure, u64), Arc<Block>>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Measure {
    Bytes,
    Uses,
}

/// How much of it, and who says so.
#[derive(Clone, Copy, Debug)]
struct Limit {
    measure: Measure,
    most: u64,
    /// The algorithm's, or the operator's for all keys.
    of_gcm: bool,
}

#[derive(Debug)]
struct Block {
    left: AtomicU64,
    /// Size of the next one. Locked while that is being taken.
    next: Mutex<u64>,
}

impl Block {
    fn spend(&self, count: u64) -> bool {
        self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(count)).is_ok()
    }
}

impl Usage {
    /// `encryptions`: by AES-GCM, that a version may make.
    pub(crate) fn new(encryptions: u64) -> Result<Self> {
        if !(1..=ENCRYPTIONS).contains(&encryptions) {
            return Err(Error::Operator(format!("keys.encryptions_per_version must be between 1 and {ENCRYPTIONS}")));
        }
        Ok(Self { encryptions, blocks: Cache::new(REMEMBERED) })
    }

    /// What a key's versions may do; nothing is counted that has no limit.
    fn limits(&self, key: &Key) -> [Option<Limit>; 2] {
        let own = |most: u64, measure| (most > 0).then_some(Limit { measure, most, of_gcm: false });
        let gcm = Limit { measure: Measure::Uses, most: self.encryptions, of_gcm: true };
        let uses = own(key.settings.limits.max_uses, Measure::Uses);
        let uses = match uses.filter(|own| own.most < gcm.most) {
            None if key.algorithm.is_aead() => Some(gcm),
            _ => uses,
        };
        [uses, own(key.settings.limits.max_bytes, Measure::Bytes)]
    }
}

impl Limit {
    /// The first is small, for keys that are hardly used; each is four times as large as the one before, up to a size that a busy key is
    /// minutes about.
    fn sizes(self) -> (u64, u64) {
        ((self.most >> 22).max(1), (self.most >> 10).max(1))
    }

    fn refusal(self, key: &Counted<'_>) -> String {
        let (most, version) = (self.most, key.version);
        match self.measure {
            _ if matches!(key.what, What::CubbyholeKey) => {
                format!(
                    "version {version} of the organization's cubbyhole key has made the {most} encryptions that one key may make (SP 800-38D, 8.3): wait until the service has rotated it"
                )
            }
            _ if matches!(key.what, What::DataKey) => {
                format!(
                    "version {version} of the organization's data key has made the {most} encryptions that one key may make (SP 800-38D, 8.3): rotate it (sys/rotate), or wait until the service has"
                )
            }
            Measure::Uses if self.of_gcm => {
                format!(
                    "version {version} has made the {most} encryptions that one key may make (SP 800-38D, 8.3): rotate the key"
                )
            }
            Measure::Uses => {
                format!("version {version} has been used the {most} times that max_uses allows: rotate the key")
            }
            Measure::Bytes => {
                format!(
                    "that is more than is left of the {most} bytes that max_bytes allows version {version}: rotate the key"
                )
            }
        }
    }
}

/// A key whose uses are counted.
pub(crate) struct Counted<'k> {
    pub(crate) organization_id: Uuid,
    /// The row of the version that is used.
    pub(crate) version_id: Uuid,
    pub(crate) version: i64,
    pub(crate) what: What<'k>,
}

/// Which kind of key.
#[derive(Clone, Copy)]
pub(crate) enum What<'k> {
    /// What an organization's tokens keep is encrypted under, and answers on their way in a wrapping token.
    CubbyholeKey,
    /// What an organization's secrets are encrypted under.
    DataKey,
    Named(&'k Key),
}

impl What<'_> {
    /// Whose row a version is.
    fn kind(self) -> VersionKind {
        match self {
            Self::CubbyholeKey => VersionKind::CubbyholeKey,
            Self::Named(key) if !key.algorithm.is_symmetric() => VersionKind::Pair,
            Self::DataKey | Self::Named(_) => VersionKind::SecretKey,
        }
    }
}

impl Vault {
    /// Takes so many uses of that version, for so many bytes, into account, before they are made.
    pub(super) async fn spend(&self, key: &Key, version: &KeyVersion, uses: usize, bytes: usize) -> Result<()> {
        let counted = Counted {
            organization_id: key.organization_id,
            version_id: version.id,
            version: version.version.into(),
            what: What::Named(key),
        };
        for limit in self.inner.usage.limits(key).into_iter().flatten() {
            let count = if limit.measure == Measure::Uses { uses } else { bytes };
            self.spend_limited(&counted, limit, count as u64).await?;
        }
        Ok(())
    }

    /// The same, of the encryptions that a version of whichever key may make by AES-GCM.
    pub(crate) async fn spend_of(&self, key: &Counted<'_>, count: u64) -> Result<()> {
        let limit = Limit { measure: Measure::Uses, most: self.inner.usage.encryptions, of_gcm: true };
        self.spend_limited(key, limit, count).await
    }

    async fn spend_limited(&self, key: &Counted<'_>, limit: Limit, count: u64) -> Result<()> {
        let (first, largest) = limit.sizes();
        let made = || Ok::<_, Error>(Arc::new(Block { left: AtomicU64::new(0), next: Mutex::new(first) }));
        let block = self.inner.usage.blocks.get_or_insert_with(&(key.version_id, limit.measure, limit.most), made)?;
        if block.spend(count) {
            return Ok(());
        }
        // Boxed: it is rare, and its size would be every caller's.
        Box::pin(async {
            let mut size = block.next.lock().await;
            while !block.spend(count) {
                let taken = self.take(key, limit, count, (*size).max(count)).await?;
                block.left.fetch_add(taken, Ordering::AcqRel);
                *size = (*size * 4).min(largest);
            }
            Ok(())
        })
        .await
    }

    /// Whether so much of a version's encryptions was taken that the next one should be made.
    pub(crate) async fn is_nearly_spent(&self, organization_id: Uuid, version_id: Uuid) -> Result<bool> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let row = key_usage::of_version(&mut transaction, version_id).await?;
        transaction.rollback().await?;
        let reserved = row.map_or(0, |row| u64::try_from(row.reserved).unwrap_or(u64::MAX));
        Ok(reserved >= self.inner.usage.encryptions / 4 * 3)
    }

    /// A block of `wanted`, or what is left if that is at least `needed`.
    async fn take(&self, key: &Counted<'_>, limit: Limit, needed: u64, wanted: u64) -> Result<u64> {
        for _ in 0..ATTEMPTS {
            let mut transaction = read_as_of_now(&self.inner.pool, key.organization_id).await?;
            let row = key_usage::of_version(&mut transaction, key.version_id).await?;
            transaction.rollback().await?;
            if let Some(row) = &row {
                let read = (key_usage::TABLE, row.id, row.row_bytes(), row.row_mac.as_slice());
                self.check_rows(key.organization_id, &[read]).await?;
            }
            let unused = || KeyUsageRow {
                // The same for every server that makes the first row of a version: one of them does.
                id: Uuid::new_v5(&key.version_id, b"usage"),
                organization_id: key.organization_id,
                version_id: key.version_id,
                kind: key.what.kind(),
                reserved: 0,
                reserved_bytes: 0,
                revision: 0,
                row_mac: Vec::new(),
            };
            let mut row = row.unwrap_or_else(unused);
            let reserved = match limit.measure {
                Measure::Bytes => &mut row.reserved_bytes,
                Measure::Uses => &mut row.reserved,
            };
            let taken = wanted.min(limit.most.saturating_sub(u64::try_from(*reserved).unwrap_or(u64::MAX)));
            if taken < needed {
                return Err(Error::Invalid(limit.refusal(key)));
            }
            *reserved = reserved.saturating_add_unsigned(taken);
            row.revision += 1;
            row.row_mac = self.mac(MacDomain::SecureRow, &row.row_bytes()).await?.to_vec();
            match self.write_usage(key, row, limit, taken).await {
                Err(Error::Conflict) => {}
                other => return other.map(|()| taken),
            }
        }
        Err(Error::Conflict)
    }

    async fn write_usage(&self, key: &Counted<'_>, row: KeyUsageRow, limit: Limit, taken: u64) -> Result<()> {
        let (caller, now) = (system(key.organization_id), self.inner.clock.now());
        let of_organization = |event_type| {
            let mut event = record::event(&caller, now, "key_access", event_type);
            event.resource_id = Some(key.version_id.to_string());
            event
        };
        let mut event = match key.what {
            What::CubbyholeKey => of_organization("cubbyhole_key.reserve"),
            What::DataKey => of_organization("data_key.reserve"),
            What::Named(named) => {
                let mut event = record::event(&caller, now, "key_access", "key.reserve");
                event.resource_id = Some(named.id.to_string());
                event.data.insert("key".into(), Value::Text(named.name.to_string().into()));
                event
            }
        };
        event.data.insert("version".into(), Value::Integer(key.version));
        let (what, reserved) = match limit.measure {
            Measure::Uses if limit.of_gcm => ("encryptions", row.reserved),
            Measure::Uses => ("uses", row.reserved),
            Measure::Bytes => ("bytes", row.reserved_bytes),
        };
        event.data.insert(what.into(), Value::Integer(i64::try_from(taken).unwrap_or(i64::MAX)));
        event.data.insert("reserved".into(), Value::Integer(reserved));
        let written = [(key_usage::TABLE, row.id, row.revision, row.row_mac.as_slice())];
        event.data.insert("rows".into(), record::rows(written));
        let organization_id = key.organization_id;
        self.inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    if key_usage::put(connection, &row).await? { Ok(((), event)) } else { Err(Error::Conflict) }
                })
            })
            .await
            .map_err(Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_from_what_a_rare_key_wastes_to_what_a_busy_one_needs() {
        let of = |most| Limit { measure: Measure::Uses, most, of_gcm: true }.sizes();
        assert_eq!(of(ENCRYPTIONS), (1_024, 1 << 22));
        assert_eq!(of(50), (1, 1));
        assert!(Usage::new(0).is_err() && Usage::new(ENCRYPTIONS + 1).is_err());
    }

    #[test]
    fn a_block_is_spent_once_however_many_ask() {
        let block = Block { left: AtomicU64::new(1_000), next: Mutex::new(1) };
        let spent: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..400).filter(|_| block.spend(1)).count())).collect();
            threads.into_iter().map(|thread| thread.join().expect("it ended")).sum()
        });
        assert_eq!(spent, 1_000);
        assert!(!block.spend(1));
    }
}
