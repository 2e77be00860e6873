//! Errors by who must act.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Result of the bridge.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who must act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Responsible {
    /// Who sent the request.
    Caller,
    /// The token, its module or the way to it.
    Hsm,
    /// Who runs the service (settings, PIN).
    Operator,
    /// Us: a defect.
    Us,
}

/// What can go wrong between a request and the token. Variants in alphabetical order.
#[derive(Clone, Debug, Error, Serialize, Deserialize)]
pub enum Error {
    /// The queues are full or the deadline passed before the token had time: try again.
    #[error("the HSM is busy: no worker took the request within its deadline; try again, or raise hsm.workers")]
    Busy,
    /// Setting or PIN is wrong; never retried by itself.
    #[error("HSM configuration: {0}")]
    Configuration(String),
    /// The bridge was locked (sealed): no worker runs.
    #[error("the HSM is locked: unseal first")]
    Locked,
    /// The token or module is away; workers try to reach it again.
    #[error("the HSM is not reachable: {0}")]
    Unavailable(String),
    /// No such object on the token.
    #[error("no object {0} on the token")]
    NotFound(String),
    /// The token refused the request as it is: bad blob, bad ciphertext, bad length.
    #[error("the token refused {function}: {reason}")]
    Refused {
        /// PKCS#11 function, `C_Sign` for example.
        function: String,
        /// Return value's name.
        reason: String,
    },
    /// The token lacks the mechanism.
    #[error("this token cannot do {0}")]
    Unsupported(String),
    /// Ours.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// Who must act.
    pub fn responsible(&self) -> Responsible {
        match self {
            Self::Busy | Self::Unavailable(_) => Responsible::Hsm,
            Self::Configuration(_) | Self::Locked | Self::Unsupported(_) => Responsible::Operator,
            Self::NotFound(_) | Self::Refused { .. } => Responsible::Caller,
            Self::Internal(_) => Responsible::Us,
        }
    }
}
