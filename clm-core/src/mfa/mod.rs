//! A second factor for every login method: kinds of it (methods), which logins need one of them (enforcements), secrets of entities, and
//! logins that wait for a code. A method or an enforcement is a row of `system_entries`.

mod enforcement;
mod factor;
mod merge;
mod method;
mod validate;

// The public interface is:
pub use enforcement::{EnforcementChange, LoginEnforcement, RequiredFactor};
pub use factor::PresentedFactor;
pub use method::{MfaMethod, MfaMethodChange};
pub use validate::{MfaRequirement, MfaValidation};

pub(crate) use enforcement::KnownEnforcements;
pub(crate) use factor::Spent;
pub(crate) use merge::MergedFactors;
pub(crate) use validate::spend_all;
