//! Access policies: paths and what may be done there. Pure: no IO, no clock.

mod acl;
mod capability;
mod parameters;
mod pattern;
mod policy;

// The public interface is:
pub use acl::{AccessRequest, Acl, Decision, Refusal};
pub use capability::{Capabilities, Capability};
pub use policy::{ParseError, Policy, Rule};
