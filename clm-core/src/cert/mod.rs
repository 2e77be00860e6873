//! Logging in with the client certificate of the TLS connection. The handshake shows that the client has the key; whom the certificate
//! makes him is decided here, by each role's own authority.

mod facts;
mod login;
mod role;
mod verify;

// The public interface is:
pub use login::CertLogin;
pub use role::{CertRole, CertRoleChange};

pub(crate) use login::FINGERPRINT;
