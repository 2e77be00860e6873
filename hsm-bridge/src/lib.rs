//! PKCS#11 behind worker processes.
//!
//! The vendor's library is loaded only in small worker processes. The server holds a [`Bridge`], a cheap clone, and asks
//! it for whole operations; a request is data, so it crosses the process boundary and an idempotent one can be asked
//! again of another worker.
//!
//! ```text
//!   server (Bridge) ──packets──► supervisor (the PIN) ──packets──► worker (vendor's library)
//!         └───────────────── frames, pipelined ───────────────────────┘
//! ```

mod bridge;
mod error;
mod key;
mod launch;
mod packet;
mod process;
mod protocol;
mod settings;
pub mod setup;
pub mod supervisor;
pub mod worker;

// The public interface is:
pub use bridge::{Bridge, ObjectAttributes, Status, WorkerStatus};
pub use error::{Error, Responsible, Result};
pub use key::{
    AgreementKdf, Ciphertext, Context, ContextDerivation, ContextKdf, Encapsulated, GeneratedKey, HashAlgorithm,
    ImportedKey, KeyRef, KeyType, PROBES, Plaintext, PublicKey, Purpose, RsaDecrypted, Sealed, SignMechanism, TokenKey,
    TransportedKey, WorkerUnpadding, WrappedKey,
};
pub use settings::{Capabilities, PinSource, Settings, TokenDescription, TokenSelector};
