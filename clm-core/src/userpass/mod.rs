//! Logging in with a name and a password, over the people in `users`.
//!
//! A person is a row of `users`, with the password's hash and, where there is one, the second factor; what tokens are like is the role of the same name below the login method.

mod login;
mod password;
mod totp;
mod user;

// The public interface is:
pub use login::UserLogin;
pub use totp::TotpState;
pub use user::{UserChange, UserRole};

pub(crate) use password::PasswordWork;
pub(crate) use totp::Decoys;
