//! Logging in with a signed statement of somebody else: a JSON Web Token (RFC 7519) of an issuer that the login method was told to believe.
//! Somebody brings it, or a browser is sent to an OpenID provider for it.

mod bound;
mod browser;
mod claims;
mod config;
mod exchange;
mod id_token;
mod keys;
mod login;
mod role;

// The public interface is:
pub use browser::{OidcCallback, OidcRequest};
pub use config::{JwtConfig, JwtConfigChange};
pub use login::JwtLogin;
pub use role::{JwtRole, JwtRoleChange};

pub(crate) use bound::pattern;
pub(crate) use keys::KeySets;
