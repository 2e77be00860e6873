//! Verbs: each is permitted, acts and is recorded, once, whoever asks. No HTTP in here.
//!
//! [`Context`] is the permission: it is made only for a request whose token was found good, and every verb takes one.

mod error;
pub(crate) mod initialise;
pub(crate) mod integrity;
mod key_life;
pub(crate) mod keys;
pub(crate) mod mounts;
pub(crate) mod named_secrets;
mod open;
mod pin;
mod record;
mod registry;
pub(crate) mod rekey;
pub(crate) mod root_token;
pub(crate) mod seal;
mod sealed_pin;
pub(crate) mod secrets;
mod services;
pub(crate) mod shamir;
mod shared_secrets;
pub(crate) mod system_settings;
pub(crate) mod wrapping;

pub use error::{Error, Result};
pub(crate) use open::keep_open;
pub(crate) use record::Ended;
pub use services::Services;

use audit_chain::Caller;
use clm_core::Authority;
use clm_core::access::{AccessRequest, Operation};
use serde_json::{Map, Value};

/// A request whose token is good: who asks, and what it may do.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) services: Services,
    pub(crate) authority: Authority,
    pub(crate) caller: Caller,
    /// The rule that let it pass grants `sudo`.
    pub(crate) sudo: bool,
    /// What its path names in a mount of keys, looked up once.
    pub(crate) looked_up: Option<keys::LookedUp>,
}

impl Context {
    /// Whether it may do `operation` on the caller's path; nothing is recorded.
    pub(crate) fn may(&self, operation: Operation, fields: &Map<String, Value>, wrap_ttl: Option<u64>) -> bool {
        let request = AccessRequest { path: &self.caller.path, operation, parameters: Some(fields), wrap_ttl };
        self.authority.decide(&request).allowed
    }

    /// May it do `operation` on the caller's path? A refusal is recorded before it is answered.
    pub(crate) async fn permit(
        &mut self,
        operation: Operation,
        fields: &Map<String, Value>,
        wrap_ttl: Option<u64>,
    ) -> Result<()> {
        let request = AccessRequest { path: &self.caller.path, operation, parameters: Some(fields), wrap_ttl };
        let decision = self.authority.decide(&request);
        self.sudo = decision.sudo;
        self.caller.verdict = Some(decision.verdict());
        if decision.allowed {
            return Ok(());
        }
        Box::pin(self.services.core.record_denied(&self.caller, operation, &decision)).await?;
        Err(Error::Denied)
    }

    /// As [`Self::permit`], on a path that the caller's stands for; of `sudo`, both must grant it.
    pub(crate) async fn permit_also(
        &mut self,
        path: String,
        operation: Operation,
        fields: &Map<String, Value>,
        wrap_ttl: Option<u64>,
    ) -> Result<()> {
        let (sudo, verdict) = (self.sudo, self.caller.verdict.clone());
        let written = std::mem::replace(&mut self.caller.path, path.into());
        let permitted = self.permit(operation, fields, wrap_ttl).await;
        // Records of what is done tell of the path as it was written.
        (self.caller.path, self.caller.verdict) = (written, verdict);
        self.sudo &= sudo;
        permitted
    }
}
