//! Who may do what: access policies and the decision they make.

pub mod access;
mod store;

// The public interface is:
pub use store::migrate;
