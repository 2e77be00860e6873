//! API keys: a program logs in with one text, `prefix.secret`, and acts for the person whose key it is.

mod key;
mod login;

// The public interface is:
pub use key::{ApiKey, NewApiKey};
