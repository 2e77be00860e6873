//! What is asked of a new token, and what comes back.

use super::Token;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sentence for the answer's `warnings`.
pub type Warning = String;

/// Fields of `auth/token/create`, already parsed. Times in seconds.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The caller's own text for it; needs sudo.
    pub id: Option<SecretString>,
    /// As sent; none: the parent's.
    pub policies: Vec<String>,
    /// What to write on it.
    pub meta: Option<BTreeMap<String, String>>,
    /// Not to die with its maker; needs sudo.
    pub no_parent: bool,
    /// Through `create-orphan`: the same, without sudo.
    pub orphan_path: bool,
    /// Without the policy `default`.
    pub no_default_policy: bool,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Wanted time-to-live; 0: the default.
    pub ttl: i64,
    /// `service` or `batch`; none: `service`.
    pub token_type: Option<String>,
    /// Never longer than this; 0: the system's maximum.
    pub explicit_max_ttl: i64,
    /// By which name auth/token is to know whom it is for, in place of its maker's entity; the token role must allow it.
    pub entity_alias: Option<String>,
    /// Becomes `token-<name>`.
    pub display_name: Option<String>,
    /// 0: any number.
    pub num_uses: i64,
    /// Each renewal gives this; needs sudo. 0: none.
    pub period: i64,
    /// Whether the request's rule grants `sudo` ([`crate::access::Decision::sudo`]).
    pub sudo: bool,
    /// Path of the request, kept on the token: `auth/token/create`.
    pub path: String,
    /// The token role it is made through.
    pub role: Option<String>,
}

impl NewToken {
    /// As `{}` asks, at `path`.
    pub fn at(path: &str) -> Self {
        Self {
            id: None,
            policies: Vec::new(),
            meta: None,
            no_parent: false,
            orphan_path: false,
            no_default_policy: false,
            renewable: true,
            ttl: 0,
            token_type: None,
            explicit_max_ttl: 0,
            entity_alias: None,
            display_name: None,
            num_uses: 0,
            period: 0,
            sudo: false,
            path: path.to_owned(),
            role: None,
        }
    }
}

/// A token and, this once, its text.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The text; leaves with the answer and is nowhere else.
    pub client_token: SecretString,
    /// The rest.
    pub token: Arc<Token>,
    /// Policies that it has because of who bears it, sorted.
    pub identity_policies: Vec<String>,
}
