//! The vault: opened from settings; the door to keys and to the secure audit log.

use crate::cache::KeyCache;
use crate::clock::Clock;
use crate::hierarchy::{Deployment, VaultSigner};
use crate::key::DestructionWaits;
use crate::key::callers::{self, Callers};
use crate::key::usage::{ENCRYPTIONS, Usage};
use crate::quota::Quotas;
use crate::row_mac::MacDomain;
use crate::secret::Turns;
use crate::store::{self, hsm_tokens};
use crate::{Error, Result, record};
use audit_chain::{Caller, Outcome, Severity, Value};
use audit_log::{AuditLog, examine};
use hsm_bridge::{Bridge, HashAlgorithm, KeyRef, KeyType, TokenKey};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex, RwLock};
use uuid::Uuid;

/// To clm_secure_db, beside those of the audit log and of what listens.
const CONNECTIONS: u32 = 8;

/// What the vault needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgresql://clm_secure_app@…/clm_secure_db`.
    pub database_url: SecretString,
    /// A direct connection for LISTEN, where `database_url` goes through a pooler. Default: the same.
    pub listen_url: Option<SecretString>,
    /// `database_url` goes through a pooler that gives connections for one transaction and forgets statements after each.
    pub pooler: bool,
    /// The token.
    pub hsm: hsm_bridge::Settings,
    /// Encryptions that a version of an AES-GCM key may make, [`ENCRYPTIONS`] at most.
    pub encryptions_per_version: u64,
    /// How long a key waits for its destruction.
    pub destruction: DestructionWaits,
}

impl Settings {
    /// With as many encryptions a version as are safe.
    pub fn new(database_url: SecretString, hsm: hsm_bridge::Settings) -> Self {
        Self {
            database_url,
            listen_url: None,
            pooler: false,
            hsm,
            encryptions_per_version: ENCRYPTIONS,
            destruction: DestructionWaits::default(),
        }
    }
}

/// A cheap clone.
#[derive(Clone, Debug)]
pub struct Vault {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) pool: PgPool,
    pub(crate) bridge: Bridge,
    pub(crate) audit: AuditLog,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cache: Arc<KeyCache>,
    pub(crate) usage: Usage,
    pub(crate) deployment: RwLock<Option<Arc<Deployment>>>,
    pub(crate) turns: Turns,
    /// Whoever makes a mount's wrapping key, which takes seconds; the others wait for theirs.
    pub(crate) wrapping_key_turn: Mutex<()>,
    pub(crate) callers: Callers,
    pub(crate) destruction: DestructionWaits,
    pub(crate) doomed_uses: AtomicU64,
    /// Nobody has any before they are set.
    pub(crate) quotas: OnceLock<Arc<dyn Quotas>>,
    alarms: AtomicU64,
}

impl Vault {
    /// Connects the database and starts the HSM's supervisor. The HSM may be away. Refuses a database that does not keep what it says it wrote.
    pub async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let usage = Usage::new(settings.encryptions_per_version)?;
        settings.destruction.check()?;
        let mut options = connect_options(&settings.database_url, "url")?;
        let listening = settings.listen_url.as_ref().map(|url| connect_options(url, "listen_url")).transpose()?;
        let listening = listening.unwrap_or_else(|| options.clone());
        if settings.pooler {
            options = options.statement_cache_capacity(0);
        }
        let pool = audit_log::pool(options.clone(), CONNECTIONS);
        let mut connection = audit_log::begin(&pool, "BEGIN").await?;
        if let Some((name, setting)) = examine::not_durable(&mut connection).await?.first() {
            return Err(Error::Operator(format!(
                "PostgreSQL of clm_secure_db runs with {name} = {setting}: a crash could lose acknowledged records; set {name} = on and reload"
            )));
        }
        store::check_schema(&mut connection).await?;
        connection.rollback().await?;
        let bridge = Bridge::open(settings.hsm).await?;
        let cache = Arc::new(KeyCache::new());
        tokio::spawn(KeyCache::listen(Arc::downgrade(&cache), listening));
        let ahead = Box::new(bridge.backlog());
        let audit = AuditLog::start_behind(options.clone(), audit_log::SECURE, settings.pooler, ahead);
        let (deployment, alarms, doomed_uses) = (RwLock::new(None), AtomicU64::new(0), AtomicU64::new(0));
        let destruction = settings.destruction;
        let (turns, wrapping_key_turn) = (Turns::new(), Mutex::new(()));
        let inner = Arc::new(Inner {
            pool,
            bridge,
            audit,
            clock,
            cache,
            usage,
            deployment,
            turns,
            wrapping_key_turn,
            callers: Callers::default(),
            destruction,
            doomed_uses,
            quotas: OnceLock::new(),
            alarms,
        });
        tokio::spawn(callers::keep_flushed(Arc::downgrade(&inner)));
        let clock = Arc::clone(&inner.clock);
        inner.audit.checkpoint_with(options, Arc::new(VaultSigner(Arc::downgrade(&inner))), move || clock.now());
        Ok(Self { inner })
    }

    /// The HSM.
    pub fn bridge(&self) -> &Bridge {
        &self.inner.bridge
    }

    /// The secure audit log.
    pub fn audit(&self) -> &AuditLog {
        &self.inner.audit
    }

    /// Signs checkpoints with the token's audit key, for the other database's log; it does not keep the vault open.
    pub fn checkpoint_signer(&self) -> audit_log::BoxedSigner {
        Arc::new(VaultSigner(Arc::downgrade(&self.inner)))
    }

    /// Rows refused since start because they were changed behind the service's back.
    pub fn integrity_alarms(&self) -> u64 {
        self.inner.alarms.load(Ordering::Relaxed)
    }

    /// Since start, how often somebody wanted to use a key that is to be destroyed.
    pub fn doomed_key_uses(&self) -> u64 {
        self.inner.doomed_uses.load(Ordering::Relaxed)
    }

    /// Forgets everything cached (seal).
    pub async fn forget(&self) {
        self.inner.cache.clear();
        *self.inner.deployment.write().await = None;
    }

    /// HMAC-SHA-256 with the token's MAC key, for one purpose only.
    pub async fn mac(&self, domain: MacDomain, data: &[u8]) -> Result<[u8; 32]> {
        let deployment = self.deployment().await?;
        let macs = self.macs(deployment.mac_key(), domain, &[data]).await?;
        macs.into_iter().next().ok_or_else(|| Error::Hsm(hsm_bridge::Error::Internal("no MAC came back".into())))
    }

    /// The same over many at once.
    pub async fn macs_of(&self, domain: MacDomain, data: &[Vec<u8>]) -> Result<Vec<[u8; 32]>> {
        let deployment = self.deployment().await?;
        let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        self.macs(deployment.mac_key(), domain, &data).await
    }

    pub(crate) async fn macs(&self, key: Uuid, domain: MacDomain, data: &[&[u8]]) -> Result<Vec<[u8; 32]>> {
        let key = KeyRef::Token(TokenKey { id: key, key_type: KeyType::Hmac(32) });
        let inputs = data.iter().map(|data| domain.input(data)).collect();
        let macs = self.inner.bridge.hmac(&key, HashAlgorithm::Sha2_256, inputs).await?;
        macs.into_iter()
            .map(|mac| {
                mac.try_into().map_err(|_| Error::Hsm(hsm_bridge::Error::Internal("a MAC is not 32 bytes".into())))
            })
            .collect()
    }

    /// The rows must be what this service wrote; the first one that is not is refused, recorded and counted.
    pub(crate) async fn check_rows(
        &self,
        organization_id: Uuid,
        rows: &[(&'static str, Uuid, Vec<u8>, &[u8])],
    ) -> Result<()> {
        let deployment = self.deployment().await?;
        let data: Vec<&[u8]> = rows.iter().map(|(_, _, bytes, _)| bytes.as_slice()).collect();
        let macs = self.macs(deployment.mac_key(), MacDomain::SecureRow, &data).await?;
        for ((table, id, _, stored), mac) in rows.iter().zip(macs) {
            if !bool::from(mac.as_slice().ct_eq(stored)) {
                return Err(self.refuse_row(organization_id, table, *id).await);
            }
        }
        Ok(())
    }

    /// Raises the alarm about a row, durably.
    pub(crate) async fn refuse_row(&self, organization_id: Uuid, table: &'static str, id: Uuid) -> Error {
        self.inner.alarms.fetch_add(1, Ordering::Relaxed);
        tracing::error!(table, %id, alarm = "integrity", "a row was changed behind the service's back; it is refused");
        let mut event =
            record::event(&system(organization_id), self.inner.clock.now(), "key_access", "integrity.row_refused");
        event.severity = Severity::Critical;
        event.outcome = Outcome::Failure;
        event.resource_id = Some(id.to_string());
        event.data.insert("table".into(), Value::Text(table.into()));
        match self.inner.audit.append(event).await {
            Ok(()) => Error::RowTampered { table, id },
            Err(error) => Error::Audit(error),
        }
    }

    /// How many tokens can unwrap this deployment's keys. While it is one, losing that token loses them all.
    pub async fn registered_tokens(&self) -> Result<i64> {
        let mut transaction = audit_log::begin(&self.inner.pool, "BEGIN").await?;
        let count = hsm_tokens::count(&mut transaction).await?;
        transaction.rollback().await?;
        Ok(count)
    }
}

fn connect_options(url: &SecretString, setting: &str) -> Result<PgConnectOptions> {
    let options: PgConnectOptions = url
        .expose_secret()
        .parse()
        .map_err(|error| Error::Operator(format!("secure_database.{setting} cannot be read: {error}")))?;
    Ok(options.application_name("clm"))
}

/// The service itself as caller.
pub fn system(organization_id: Uuid) -> Caller {
    Caller {
        request_id: Uuid::now_v7(),
        organization_id,
        user_id: None,
        entity_id: None,
        accessor: "".into(),
        display_name: "system".into(),
        ip_address: None,
        user_agent: None,
        path: "".into(),
        verdict: None,
        arrival: None,
    }
}
