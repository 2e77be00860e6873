//! What each kind has, what of it cannot be, and over what its row's MAC is made.

mod inventory;
mod organization;
mod policy;
mod role;
mod workflow;

pub(crate) use inventory::InventoryFields;
pub(crate) use organization::OrganizationFields;
pub(crate) use policy::PolicyFields;
pub(crate) use role::RoleFields;
pub(crate) use workflow::WorkflowFields;

/// Types of certificates, as the schema lists them.
const CERTIFICATE_TYPES: [&str; 7] = ["root", "intermediate", "leaf", "client", "server", "code_signing", "email"];
/// States of a policy or workflow.
const STATUSES: [&str; 4] = ["draft", "active", "inactive", "archived"];
