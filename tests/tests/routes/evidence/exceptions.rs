//! The closed list: where this software may have a secret of its own. docs/KEY-HIERARCHY.md says of each that exists where and how long.

use super::judge::Cause;

/// One of them.
pub(super) struct Exception {
    pub(super) cause: Cause,
    /// What it is.
    pub(super) what: &'static str,
    /// Why it is allowed.
    pub(super) why: &'static str,
}

/// A new one needs a decision page first.
pub(super) const EXCEPTIONS: &[Exception] = &[
    Exception {
        cause: Cause::DataKey,
        what: "the plaintext of a data key",
        why: "it is the caller's key; the token's generator makes it",
    },
    Exception {
        cause: Cause::DataKeyPair,
        what: "the private half of a data key pair",
        why: "it is the caller's key; made in the token, and encrypted there again under the caller's key",
    },
    Exception {
        cause: Cause::Export,
        what: "export of a key that was made exportable",
        why: "its owner asked for that when it was made",
    },
    Exception {
        cause: Cause::NewValue,
        what: "a new value of a secret: a key pair that its generator makes",
        why: "it is the caller's value, read by whoever may read the secret; made in the token, or from a seed that its generator draws",
    },
    Exception {
        cause: Cause::Seal,
        what: "shares and PIN while the service is initialised and unsealed, and while new shares are made",
        why: "people hold the shares; both are wiped after that",
    },
    Exception {
        cause: Cause::RawRsa,
        what: "the wrapping key of an import, or the plaintext of an RSA decryption, between raw RSA in the token and the unpadding",
        why: "tokens that know OAEP with SHA-1 only; in the worker alone, in constant time",
    },
];
