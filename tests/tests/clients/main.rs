//! Real clients of the Vault API, unchanged, against the real server: over HTTP and over TLS.
#![expect(clippy::unwrap_used, reason = "tests")]

mod ansible;
mod go;
mod hvac;
mod vaultrs;
mod vaultrs_access;
mod vaultrs_identity;
mod vaultrs_secrets;
mod vaultrs_transit;
mod wire;
