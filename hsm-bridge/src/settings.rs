//! What the operator says about the token, and what the token says of itself.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The `[hsm]` section of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The vendor's PKCS#11 module.
    pub module: PathBuf,
    /// Which token: `label`, `serial:…`, or a `pkcs11:` URI (RFC 7512). Never a slot number.
    pub token: String,
    /// Where the user PIN is read from (by the supervisor, not by the server).
    pub pin: PinSource,
    /// Worker processes for ordinary requests.
    pub workers: u16,
    /// Threads, each with its own session, in a worker: 1 for SoftHSM (global lock), more for a network HSM.
    pub threads_per_worker: u16,
    /// Worker processes for slow requests (RSA generation): they never queue in front of signing.
    pub slow_workers: u16,
    /// Unwrapped keys kept by a worker.
    pub cached_keys_per_worker: u32,
    /// Requests waiting for one worker before `Busy`.
    pub queue_limit: u32,
    /// A request's time, milliseconds, waiting included.
    pub deadline_ms: u64,
    /// A worker silent for so long while it has requests is killed and replaced, milliseconds.
    pub watchdog_ms: u64,
    /// Executable to start the supervisor and workers from; default: this process's own.
    #[serde(skip)]
    pub executable: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            module: PathBuf::new(),
            token: String::new(),
            pin: PinSource::default(),
            workers: 2,
            threads_per_worker: 1,
            slow_workers: 1,
            cached_keys_per_worker: 10_000,
            queue_limit: 4096,
            deadline_ms: 10_000,
            watchdog_ms: 30_000,
            executable: None,
        }
    }
}

/// Where the PIN comes from. Never argv.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinSource {
    /// `CREDENTIALS_DIRECTORY/NAME` (systemd).
    Credential(String),
    /// Environment variable.
    Environment(String),
    /// First line of a file.
    File(PathBuf),
    /// Given by [`crate::Bridge::unlock`] (Shamir seal).
    #[default]
    Unlock,
}

/// A token, by what identifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenSelector {
    /// CK_TOKEN_INFO label, trailing blanks cut.
    Label(String),
    /// CK_TOKEN_INFO serial number.
    Serial(String),
    /// All parts of a `pkcs11:` URI that name a token (RFC 7512).
    Uri {
        /// `token=`
        label: Option<String>,
        /// `serial=`
        serial: Option<String>,
        /// `manufacturer=`
        manufacturer: Option<String>,
        /// `model=`
        model: Option<String>,
    },
}

/// What the token was found able to do, by its mechanism list and by trying.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Capabilities {
    /// Manufacturer, as the token says.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Label.
    pub label: String,
    /// Firmware version.
    pub firmware: String,
    /// Names of all mechanisms (`CKM_…`).
    pub mechanisms: Vec<String>,
    /// Ed25519 keys can be wrapped and unwrapped with AES-KWP (SoftHSM cannot).
    pub wraps_ed25519: bool,
    /// Ed25519 signing works.
    pub ed25519: bool,
    /// AES-KWP by 0x210A (CKM_AES_KEY_WRAP_PAD) rather than 0x210B (CKM_AES_KEY_WRAP_KWP).
    pub kwp_is_key_wrap_pad: bool,
}
