//! What all login methods share: what their roles say of tokens, and the token that a login gives.

mod alerts;
mod basis;
mod config;
mod even;
mod give;
mod issue;
mod pending;
mod settings;

// The public interface is:
pub use give::Admitted;
pub use issue::Visitor;
pub use settings::{TokenSettings, TokenSettingsChange};

pub(crate) use alerts::LoginAlerts;
pub(crate) use basis::{Basis, expect_unchanged};
pub(crate) use give::LoginRecord;
pub(crate) use issue::Login;
pub(crate) use pending::Awaited;
pub(crate) use settings::count;
