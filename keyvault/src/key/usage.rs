//! How often a key encrypts: a version of an AES-GCM key does so 2^32 times and no more (SP 800-38D, 8.3). Each server takes encryptions from the
//! database in blocks, durably and before it makes them; what it has not made when it ends is lost, never made twice.

use super::change::ATTEMPTS;
use super::{Key, KeyVersion};
use crate::row_mac::MacDomain;
use crate::store::key_usage::{self, KeyUsageRow};
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
    limit: u64,
    blocks: Cache<Uuid, Arc<Block>>,
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
    /// `limit`: encryptions that a version may make.
    pub(crate) fn new(limit: u64) -> Result<Self> {
        if !(1..=ENCRYPTIONS).contains(&limit) {
            return Err(Error::Operator(format!("keys.encryptions_per_version must be between 1 and {ENCRYPTIONS}")));
        }
        Ok(Self { limit, blocks: Cache::new(REMEMBERED) })
    }

    /// The first is small, for keys that hardly encrypt; each is four times as large as the one before, up to a size that a busy key is
    /// minutes about.
    fn sizes(&self) -> (u64, u64) {
        ((self.limit >> 22).max(1), (self.limit >> 10).max(1))
    }
}

/// A key whose encryptions are counted.
pub(crate) struct Counted<'k> {
    pub(crate) organization_id: Uuid,
    /// The row of the version that encrypts.
    pub(crate) encryption_key_id: Uuid,
    pub(crate) version: i64,
    pub(crate) what: What<'k>,
}

/// Which kind of key.
#[derive(Clone, Copy)]
pub(crate) enum What<'k> {
    /// What an organization's secrets are encrypted under.
    DataKey,
    Named(&'k Key),
}

impl Vault {
    /// Takes so many encryptions by that version into account, before they are made.
    pub(super) async fn spend(&self, key: &Key, version: &KeyVersion, count: usize) -> Result<()> {
        self.spend_of(
            &Counted {
                organization_id: key.organization_id,
                encryption_key_id: version.id,
                version: version.version.into(),
                what: What::Named(key),
            },
            count as u64,
        )
        .await
    }

    /// The same, of whichever key.
    pub(crate) async fn spend_of(&self, key: &Counted<'_>, count: u64) -> Result<()> {
        let usage = &self.inner.usage;
        let (first, largest) = usage.sizes();
        let made = || Ok::<_, Error>(Arc::new(Block { left: AtomicU64::new(0), next: Mutex::new(first) }));
        let block = usage.blocks.get_or_insert_with(&key.encryption_key_id, made)?;
        if block.spend(count) {
            return Ok(());
        }
        // Boxed: it is rare, and its size would be every caller's.
        Box::pin(async {
            let mut size = block.next.lock().await;
            while !block.spend(count) {
                let taken = self.take(key, count, (*size).max(count)).await?;
                block.left.fetch_add(taken, Ordering::AcqRel);
                *size = (*size * 4).min(largest);
            }
            Ok(())
        })
        .await
    }

    /// Whether so much of a version's encryptions was taken that the next one should be made.
    pub(crate) async fn is_nearly_spent(&self, organization_id: Uuid, encryption_key_id: Uuid) -> Result<bool> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let row = key_usage::of_version(&mut transaction, encryption_key_id).await?;
        transaction.rollback().await?;
        let reserved = row.map_or(0, |row| u64::try_from(row.reserved).unwrap_or(u64::MAX));
        Ok(reserved >= self.inner.usage.limit / 4 * 3)
    }

    /// A block of `wanted`, or what is left if that is at least `needed`.
    async fn take(&self, key: &Counted<'_>, needed: u64, wanted: u64) -> Result<u64> {
        let limit = self.inner.usage.limit;
        for _ in 0..ATTEMPTS {
            let mut transaction = read_as_of_now(&self.inner.pool, key.organization_id).await?;
            let row = key_usage::of_version(&mut transaction, key.encryption_key_id).await?;
            transaction.rollback().await?;
            if let Some(row) = &row {
                let read = (key_usage::TABLE, row.id, row.row_bytes(), row.row_mac.as_slice());
                self.check_rows(key.organization_id, &[read]).await?;
            }
            let unused = || KeyUsageRow {
                id: Uuid::now_v7(),
                organization_id: key.organization_id,
                encryption_key_id: key.encryption_key_id,
                reserved: 0,
                revision: 0,
                row_mac: Vec::new(),
            };
            let mut row = row.unwrap_or_else(unused);
            let taken = wanted.min(limit.saturating_sub(u64::try_from(row.reserved).unwrap_or(u64::MAX)));
            if taken < needed {
                return Err(Error::Invalid(key.is_spent(limit)));
            }
            row.reserved = row.reserved.saturating_add_unsigned(taken);
            row.revision += 1;
            row.row_mac = self.mac(MacDomain::SecureRow, &row.row_bytes()).await?.to_vec();
            match self.write_usage(key, row, taken).await {
                Err(Error::Conflict) => {}
                other => return other.map(|()| taken),
            }
        }
        Err(Error::Conflict)
    }

    async fn write_usage(&self, key: &Counted<'_>, row: KeyUsageRow, taken: u64) -> Result<()> {
        let (caller, now) = (system(key.organization_id), self.inner.clock.now());
        let mut event = match key.what {
            What::DataKey => {
                let mut event = record::event(&caller, now, "key_access", "data_key.reserve");
                event.resource_id = Some(key.encryption_key_id.to_string());
                event
            }
            What::Named(named) => {
                let mut event = record::event(&caller, now, "key_access", "key.reserve");
                event.resource_id = Some(named.id.to_string());
                event.data.insert("key".into(), Value::Text(named.name.to_string().into()));
                event
            }
        };
        event.data.insert("version".into(), Value::Integer(key.version));
        event.data.insert("encryptions".into(), Value::Integer(i64::try_from(taken).unwrap_or(i64::MAX)));
        event.data.insert("reserved".into(), Value::Integer(row.reserved));
        let written = [(key_usage::TABLE, row.id, row.revision, row.row_mac.as_slice())];
        event.data.insert("rows".into(), record::rows(written));
        self.inner
            .audit
            .commit(key.organization_id, move |connection| {
                Box::pin(async move {
                    if key_usage::put(connection, &row).await? { Ok(((), event)) } else { Err(Error::Conflict) }
                })
            })
            .await
            .map_err(Error::from)
    }
}

impl Counted<'_> {
    fn is_spent(&self, limit: u64) -> String {
        let version = self.version;
        match self.what {
            What::DataKey => format!(
                "version {version} of the organization's data key has made the {limit} encryptions that one key may make (SP 800-38D, 8.3): rotate it (sys/rotate), or wait until the service has"
            ),
            What::Named(_) => format!(
                "version {version} has made the {limit} encryptions that one key may make (SP 800-38D, 8.3): rotate the key"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_from_what_a_rare_key_wastes_to_what_a_busy_one_needs() {
        assert_eq!(Usage::new(ENCRYPTIONS).expect("valid").sizes(), (1_024, 1 << 22));
        assert_eq!(Usage::new(50).expect("valid").sizes(), (1, 1));
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
