//! Keys in the HSM, their hierarchy and versions, and the secure audit log.
//!
//! ```text
//!   root wrapping key (one a token, never leaves it)
//!     ▸ organization key (wrapped once per token)
//!         ▸ working key, one a version (wrapped, or an object on the token)
//!         ▸ data key, under which secrets are encrypted
//! ```
//!
//! Every verb of [`Vault`] writes its record before it returns: no answer before its record.

mod cache;
pub mod ceremony;
pub mod clock;
mod cubbyhole;
mod cubbyhole_key;
mod deletion;
mod error;
mod held_keys;
mod hierarchy;
mod integrity;
pub mod key;
mod mount;
mod quota;
mod record;
mod row_mac;
mod sealed_text;
pub mod secret;
mod store;
mod vault;
mod verify;

// The public interface is:
pub use cubbyhole::EntryName;
pub use deletion::Deletable;
pub use error::{Error, Result};
pub use hsm_bridge::{
    Bridge, Capabilities, Error as HsmError, PinSource, Settings as HsmSettings, Status as HsmStatus, TokenDescription,
    TokenSelector, WorkerStatus as HsmWorker, setup as hsm_setup,
};
/// Bodies of the hidden subcommands `hsm-supervisor` and `hsm-worker`.
pub use hsm_bridge::{supervisor, worker};
pub use integrity::Finding;
pub use quota::Quotas;
pub use row_mac::MacDomain;
pub use store::hsm_tokens::RegisteredToken;
pub use store::{GRANTS, check_schema, migrate};
pub use vault::{Settings, Vault, system};
