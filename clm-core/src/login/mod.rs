//! What all login methods share: what their roles say of tokens, and the token that a login gives.

mod alerts;
mod basis;
mod config;
mod even;
mod found;
mod give;
mod issue;
mod pending;
mod settings;

// The public interface is:
pub use give::Admitted;
pub use issue::Visitor;
pub use settings::{TokenSettings, TokenSettingsChange};

pub(crate) use alerts::LoginAlerts;
pub(crate) use basis::Basis;
pub(crate) use found::{Login, Terms};
pub(crate) use give::Grounds;
pub(crate) use pending::Awaited;
pub(crate) use settings::count;
