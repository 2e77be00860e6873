//! `clm/`: what Vault does not have. A table a subject.

mod access_policies;
mod explain;
mod notifications;
mod registry;
mod secrets;
mod user_roles;

pub(super) use access_policies::ROUTES as ACCESS_POLICIES;
pub(super) use explain::ROUTES as EXPLANATIONS;
pub(super) use notifications::ROUTES as NOTIFICATIONS;
pub(super) use registry::ROUTES as REGISTRY;
pub(super) use secrets::ROUTES as SECRETS;
pub(super) use user_roles::ROUTES as USER_ROLES;
