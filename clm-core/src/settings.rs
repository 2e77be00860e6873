//! What `clm-core` must be told.

use secrecy::SecretString;

/// 768 hours, as the clients expect of a server nobody tuned.
const DEFAULT_LEASE_TTL: u64 = 2_764_800;

/// Settings of [`crate::Core`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Database `clm_core_db`, as role `clm_core_app`.
    pub database_url: SecretString,
    /// A direct connection for LISTEN, where `database_url` goes through a pooler. Default: the same.
    pub listen_url: Option<SecretString>,
    /// `database_url` goes through a pooler that gives connections for one transaction and forgets statements after each.
    pub pooler: bool,
    /// Connections at most.
    pub connections: u32,
    /// Time-to-live of a lease when nobody says, seconds.
    pub default_lease_ttl: u64,
    /// Longest time-to-live of a lease, seconds.
    pub max_lease_ttl: u64,
    /// Wrong passwords that lock a person out.
    pub lockout_failures: u32,
    /// For how long, seconds; as long after the last one they are forgotten.
    pub lockout_seconds: u64,
    /// Logins of one method that may wait at a time, for a browser or for a second factor.
    pub pending_logins: u32,
    /// Passwords are refused: FIPS 140-3 does not approve how they are hashed.
    pub fips: bool,
    /// Tokens whose authority is kept in memory.
    pub cached_tokens: usize,
}

impl Settings {
    /// The usual ones for a database.
    pub fn new(database_url: SecretString) -> Self {
        Self {
            database_url,
            listen_url: None,
            pooler: false,
            connections: 8,
            default_lease_ttl: DEFAULT_LEASE_TTL,
            max_lease_ttl: DEFAULT_LEASE_TTL,
            lockout_failures: 5,
            lockout_seconds: 900,
            pending_logins: 10_000,
            fips: false,
            cached_tokens: 100_000,
        }
    }
}
