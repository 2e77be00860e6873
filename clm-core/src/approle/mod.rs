//! AppRole: programs log in with a RoleID, which is no secret, and a SecretID, which is kept only as HMAC under a key of the HSM.

mod destroy;
mod known;
mod login;
mod new_secret;
mod role;
mod secret;

// The public interface is:
pub use login::AppRoleLogin;
pub use new_secret::{IssuedSecretId, NewSecretId};
pub use role::{AppRole, AppRoleChange};
pub use secret::{SecretId, SecretRef};

pub(crate) use known::KnownLogin;

use crate::error::Error;

/// In the words that clients look for.
pub(crate) fn no_such_role(name: &str) -> Error {
    Error::NotFound(format!("role {name:?} does not exist").into())
}
