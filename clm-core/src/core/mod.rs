//! The service's face: what is open, and what all verbs share.

mod initialise;
mod listen;
mod mounts;
mod refusals;
mod seal;
mod sweep;

pub use seal::{SealConfiguration, SealShares};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fetch::Fetch;
use crate::jwt::KeySets;
use crate::login::LoginAlerts;
use crate::mac::{MacDomain, RowMac};
use crate::mfa::KnownEnforcements;
use crate::organization_quotas::OrganizationQuotas;
use crate::settings::Settings;
use crate::store::{Store, StoreError};
use crate::token::AuthorityCache;
use crate::userpass::{Decoys, PasswordWork};
use audit_chain::Event;
use audit_log::{AuditLog, ChangeError, examine};
use chrono::{DateTime, SubsecRound, Utc};
use futures_util::future::BoxFuture;
use listen::Freshness;
use mounts::KnownMounts;
use quick_cache::sync::Cache;
use refusals::Refusals;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use subtle::ConstantTimeEq;
use tokio::sync::Notify;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The organization `root`: owner of the root namespace, the same in both databases and every installation.
pub const ROOT_ORGANIZATION: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_726f_6f74_0000);

/// Rows whose MAC needs not be made again: what many tokens share is read for each.
const KNOWN_ROWS: usize = 20_000;

/// Who may do what. A cheap clone; background work ends with the last one.
#[derive(Clone)]
pub struct Core(Arc<Inner>);

struct Inner {
    settings: Settings,
    mac: Arc<dyn RowMac>,
    clock: Arc<dyn Clock>,
    store: Store,
    audit: AuditLog,
    cache: AuthorityCache,
    freshness: Freshness,
    mounts: KnownMounts,
    quotas: Arc<OrganizationQuotas>,
    refusals: Refusals,
    entries_written: Notify,
    system_changes: AtomicU64,
    passwords: PasswordWork,
    decoys: Decoys,
    enforcements: KnownEnforcements,
    alerts: LoginAlerts,
    key_sets: KeySets,
    /// SHA-256 of rows' bytes with the MAC that was found right.
    known_rows: Cache<[u8; 32], ()>,
    alarms: AtomicU64,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Core {
    /// Connects, refuses a database that may lose what it said it kept or whose schema is another's, and starts listening.
    /// The HSM may be away.
    pub async fn open(settings: Settings, mac: Arc<dyn RowMac>, clock: Arc<dyn Clock>) -> Result<Self> {
        let options = database_options(&settings)?;
        let pool = audit_log::pool(options.clone(), settings.connections.max(2));
        let mut connection = audit_log::begin(&pool, "BEGIN").await.map_err(StoreError::from)?;
        if let Some((name, setting)) = examine::not_durable(&mut connection).await.map_err(StoreError::from)?.first() {
            return Err(StoreError::Schema(format!(
                "PostgreSQL of clm_core_db runs with {name} = {setting}: a crash could lose acknowledged records; set {name} = on and reload"
            ))
            .into());
        }
        crate::migrate::schema_check(&mut connection).await?;
        connection.rollback().await.map_err(StoreError::from)?;
        let start = if settings.pooler { AuditLog::start_pooled } else { AuditLog::start };
        let core = Self(Arc::new(Inner {
            cache: AuthorityCache::new(settings.cached_tokens),
            audit: start(options, audit_log::CORE),
            store: Store::new(pool),
            freshness: Freshness::default(),
            mounts: KnownMounts::default(),
            quotas: Arc::default(),
            refusals: Refusals::default(),
            entries_written: Notify::new(),
            system_changes: AtomicU64::new(1),
            passwords: PasswordWork::default(),
            decoys: Decoys::default(),
            enforcements: KnownEnforcements::default(),
            alerts: LoginAlerts::default(),
            key_sets: KeySets::new(Fetch),
            known_rows: Cache::new(KNOWN_ROWS),
            alarms: AtomicU64::new(0),
            settings,
            mac,
            clock,
        }));
        core.start_listening()?;
        core.start_flushing_refusals();
        core.start_sweeping();
        Ok(core)
    }

    /// The organization `root`.
    pub fn root_organization(&self) -> Uuid {
        ROOT_ORGANIZATION
    }

    /// Organizations that are active.
    pub async fn active_organizations(&self) -> Result<Vec<Uuid>> {
        Ok(self.store().active_organizations().await?)
    }

    /// The audit log of `clm_core_db`.
    pub fn audit(&self) -> &AuditLog {
        &self.0.audit
    }

    /// Rows refused since start because they were changed behind the service's back.
    pub fn integrity_alarms(&self) -> u64 {
        self.0.alarms.load(Ordering::Relaxed)
    }

    /// Has checkpoints over this log signed from now on.
    pub fn sign_checkpoints(&self, signer: audit_log::BoxedSigner) -> Result<()> {
        let options = database_options(&self.0.settings)?;
        let clock = Arc::clone(&self.0.clock);
        self.audit().checkpoint_with(options, signer, move || clock.now());
        Ok(())
    }

    /// Now, as PostgreSQL can keep it.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.0.clock.now().trunc_subsecs(6)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Whether only approved algorithms are to be used.
    pub fn is_fips(&self) -> bool {
        self.0.settings.fips
    }

    pub(crate) fn passwords(&self) -> Result<&PasswordWork> {
        if self.0.settings.fips {
            return Err(Error::invalid(
                "passwords are hashed with argon2id, which FIPS 140-3 does not approve: with `fips = true` nobody logs in with one",
            ));
        }
        Ok(&self.0.passwords)
    }

    pub(crate) fn decoys(&self) -> &Decoys {
        &self.0.decoys
    }

    pub(crate) fn known_enforcements(&self) -> &KnownEnforcements {
        &self.0.enforcements
    }

    pub(crate) fn alerts(&self) -> &LoginAlerts {
        &self.0.alerts
    }

    pub(crate) fn key_sets(&self) -> &KeySets {
        &self.0.key_sets
    }

    pub(crate) fn cache(&self) -> &AuthorityCache {
        &self.0.cache
    }

    pub(crate) fn quotas(&self) -> &Arc<OrganizationQuotas> {
        &self.0.quotas
    }

    pub(crate) fn entries_written(&self) -> &Notify {
        &self.0.entries_written
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.0.freshness.holds()
    }

    /// Grows with each change of system entries that was heard of: what was read at another number may be old.
    pub fn system_changes(&self) -> u64 {
        self.0.system_changes.load(Ordering::Acquire)
    }

    /// A system entry has changed.
    pub fn note_system_change(&self) {
        self.0.system_changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets all authority (sealing): the next request of each token is looked up again.
    pub fn invalidate_all(&self) {
        self.0.cache.invalidate_all();
    }

    pub(crate) async fn token_hmac(&self, token: &str) -> Result<[u8; 32]> {
        Ok(self.0.mac.mac(MacDomain::Token, token.as_bytes().to_vec()).await?)
    }

    pub(crate) async fn batch_mac(&self, payload: Vec<u8>) -> Result<[u8; 32]> {
        Ok(self.0.mac.mac(MacDomain::BatchToken, payload).await?)
    }

    pub(crate) async fn api_key_hmac(&self, text: &SecretString) -> Result<[u8; 32]> {
        Ok(self.0.mac.mac(MacDomain::ApiKey, text.expose_secret().as_bytes().to_vec()).await?)
    }

    pub(crate) async fn backup_code_hmac(&self, bytes: Vec<u8>) -> Result<[u8; 32]> {
        Ok(self.0.mac.mac(MacDomain::BackupCode, bytes).await?)
    }

    pub(crate) async fn pending_login_hmac(&self, handle: &str) -> Result<[u8; 32]> {
        Ok(self.0.mac.mac(MacDomain::PendingLogin, handle.as_bytes().to_vec()).await?)
    }

    pub(crate) async fn secret_id_hmac(&self, bytes: Vec<u8>) -> Result<[u8; 32]> {
        Ok(self.0.mac.mac(MacDomain::SecretId, bytes).await?)
    }

    /// Encrypts what the database shall not hold in clear; `context` says what it is, and it opens as nothing else.
    pub(crate) async fn sealed(&self, organization_id: Uuid, context: &str, content: Vec<u8>) -> Result<Vec<u8>> {
        Ok(self.0.mac.seal(organization_id, context.to_owned(), content.into()).await?)
    }

    /// What was sealed so.
    pub(crate) async fn opened(
        &self,
        organization_id: Uuid,
        context: &str,
        sealed: Vec<u8>,
    ) -> Result<Zeroizing<Vec<u8>>> {
        Ok(self.0.mac.open(organization_id, context.to_owned(), sealed).await?)
    }

    pub(crate) async fn row_mac(&self, bytes: Vec<u8>) -> Result<[u8; 32]> {
        Ok(self.0.mac.mac(MacDomain::Row, bytes).await?)
    }

    /// Refuses a row that was written behind the service's back, and says so in the audit log.
    pub(crate) async fn check_row(
        &self,
        (table, organization_id, id): (&'static str, Uuid, Uuid),
        bytes: Vec<u8>,
        row_mac: &[u8; 32],
    ) -> Result<()> {
        let right = self.row_mac(bytes).await?;
        if bool::from(right.ct_eq(row_mac)) {
            return Ok(());
        }
        self.0.alarms.fetch_add(1, Ordering::Relaxed);
        tracing::error!(table, %id, "a row does not carry its MAC: it was changed behind the service's back and is refused");
        self.record_row_refused(table, organization_id, id).await?;
        Err(Error::RowTampered { table, id })
    }

    /// The same, without asking the HSM again about bytes and MAC that it found to belong together before.
    pub(crate) async fn check_known_row(
        &self,
        which: (&'static str, Uuid, Uuid),
        bytes: Vec<u8>,
        row_mac: [u8; 32],
    ) -> Result<()> {
        let known = known_row(&bytes, row_mac);
        if self.0.known_rows.get(&known).is_none() {
            self.check_row(which, bytes, &row_mac).await?;
            self.0.known_rows.insert(known, ());
        }
        Ok(())
    }

    /// Takes as long as [`Core::check_known_row`] does for a row that is known, where there is none.
    pub(crate) fn pass_for_known_row(&self, bytes: &[u8]) {
        std::hint::black_box(self.0.known_rows.get(&known_row(bytes, [0; 32])));
    }

    /// A change and its record in one transaction.
    pub(crate) async fn change<T, F>(&self, organization_id: Uuid, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<(T, Event), StoreError>> + Send + 'static,
    {
        self.0.audit.commit(organization_id, change).await.map_err(|error| match error {
            ChangeError::Change(error) => Error::from(error),
            ChangeError::Audit(error) => Error::Audit(error),
        })
    }
}

/// Bytes and MAC of a row, as one.
fn known_row(bytes: &[u8], row_mac: [u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(bytes).chain_update(row_mac).finalize().into()
}

/// Of the connections that work; the one that listens is direct.
fn database_options(settings: &Settings) -> Result<PgConnectOptions> {
    let options = connect_options(settings.database_url.expose_secret())?;
    Ok(if settings.pooler { options.statement_cache_capacity(0) } else { options })
}

/// Statements are never logged: they may carry what is secret.
fn connect_options(url: &str) -> Result<PgConnectOptions> {
    let options: PgConnectOptions =
        url.parse().map_err(|_| Error::Internal("the database URL of clm_core_db cannot be read".into()))?;
    Ok(options.application_name("clm").disable_statement_logging())
}
