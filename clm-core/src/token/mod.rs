//! Tokens: who carries one may do what its policies say, until it ends.
//!
//! The text exists only in the client's hands and for the length of a request; the database holds its HMAC under a key of the HSM.

mod authenticate;
mod authority;
mod batch;
mod cache;
mod child_policies;
mod create;
mod draft;
mod entity_alias;
mod lifetime;
mod lookup;
mod new;
mod renew;
mod revoke;
mod role;
mod text;
mod wrapping;

// The public interface is:
pub use authority::Authority;
pub use lookup::TokenInfo;
pub use new::{IssuedToken, NewToken, Warning};
pub use role::{TokenRole, TokenRoleChange};

pub(crate) use authenticate::Sources;
pub(crate) use cache::AuthorityCache;
pub(crate) use child_policies::{sanitized, with_default};
pub(crate) use draft::{Draft, warn_of_others};
pub(crate) use lifetime::{System, Wanted};
pub(crate) use text::Secret28;
pub use text::random_base62;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Policy that may do everything.
pub const ROOT_POLICY: &str = "root";
/// Policy of the tokens that hold a wrapped answer, and of no other.
pub const WRAPPING_POLICY: &str = "response-wrapping";
/// Policy that every token has unless it was made without.
pub const DEFAULT_POLICY_NAME: &str = "default";

/// A token as stored: everything but its text. Times in seconds, 0: none.
#[derive(Clone, Debug)]
pub struct Token {
    /// Row id.
    pub id: Uuid,
    /// Organization it speaks for.
    pub organization_id: Uuid,
    /// User behind it.
    pub user_id: Option<Uuid>,
    /// Who bears it; its policies count beside the token's own.
    pub entity_id: Option<Uuid>,
    /// Names it without being it; 24 base62 characters.
    pub accessor: Arc<str>,
    /// HMAC-SHA-256 of the text.
    pub(crate) token_hmac: [u8; 32],
    /// The token it was made with, if it dies with that.
    pub parent_id: Option<Uuid>,
    /// Sorted, lower case.
    pub policies: Vec<String>,
    /// `root`, `token`, `token-<name>`.
    pub display_name: Arc<str>,
    /// What its maker wrote on it.
    pub meta: Option<BTreeMap<String, String>>,
    /// Where it was made: `auth/token/create`.
    pub path: String,
    /// Token role it was made through.
    pub role: Option<String>,
    /// When it was made.
    pub creation_time: DateTime<Utc>,
    /// Time-to-live at creation, seconds.
    pub creation_ttl: u64,
    /// Time-to-live of the last renewal, or at creation.
    pub lease_ttl: u64,
    /// Each renewal gives this, whatever is asked, seconds.
    pub period: u64,
    /// It never lives longer than this, seconds.
    pub explicit_max_ttl: u64,
    /// Renewals never bring it past this age, seconds; 0: the system's or the mount's.
    pub max_ttl: u64,
    /// When it ends; `None`: never.
    pub expire_time: Option<DateTime<Utc>>,
    /// When it was renewed last.
    pub last_renewal: Option<DateTime<Utc>>,
    /// Requests it was made for; 0: any number.
    pub num_uses: u32,
    /// Requests left, if limited. A counter outside the row's MAC.
    pub uses_left: Option<u32>,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Whether it has no parent.
    pub orphan: bool,
    /// Addresses that it may be used from; none: any.
    pub bound_cidrs: Vec<IpNet>,
    /// It is in no row: all that it is, its text says.
    pub batch: bool,
    /// Grows with each change of the row.
    pub revision: i64,
    /// MAC of the row.
    pub(crate) row_mac: [u8; 32],
}

impl Token {
    /// `service` or `batch`.
    pub fn token_type(&self) -> &'static str {
        if self.batch { "batch" } else { "service" }
    }

    /// Whether it has the policy `root`.
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == ROOT_POLICY)
    }

    /// Seconds that remain; 0 for a token that never ends.
    pub fn ttl(&self, now: DateTime<Utc>) -> u64 {
        self.expire_time.map_or(0, |end| u64::try_from((end - now).num_seconds()).unwrap_or(0))
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expire_time.is_some_and(|end| end <= now)
    }
}
