//! Logging in with a name and a password, over the people in `users`.
//!
//! A person is a row of `users`, with the password's hash; what tokens are like is the role of the same name below the login method.

mod login;
mod password;
mod user;

// The public interface is:
pub use login::UserLogin;
pub use user::{UserChange, UserRole};

pub(crate) use password::PasswordWork;
