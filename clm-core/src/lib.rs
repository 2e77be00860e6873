//! Who may do what: organizations, tokens, policies and mounts. Alone talks to `clm_core_db`.
//!
//! [`Core`] is a cheap clone. A request goes: [`Core::authenticate`] gives an [`Authority`] (from memory, if the token was seen
//! before), [`Authority::decide`] says whether it may, [`Core::resolve`] says which engine is meant. Every change of state is one
//! transaction with its audit record.

pub mod access;
mod activity;
mod api_key;
mod approle;
mod attempts;
mod cert;
mod cidr;
pub mod clock;
mod core;
mod error;
mod explain;
mod fetch;
mod identity;
mod jobs;
mod jwt;
mod kubernetes;
mod leases;
mod login;
mod mac;
mod mfa;
mod migrate;
mod mount;
mod namespace;
mod namespace_lock;
mod notifications;
mod organization_quotas;
mod outbox;
mod policies;
mod record;
mod registry;
mod roles;
mod row_cache;
mod secrets_policies;
mod settings;
mod store;
mod system_entry;
mod system_roles;
mod token;
mod totp;
mod user_roles;
mod userpass;
mod versions;

// The public interface is:
pub use self::core::{Core, ROOT_ORGANIZATION, SealConfiguration, SealShares};
pub use activity::{Clients, MonthOfClients};
pub use api_key::{ApiKey, NewApiKey};
pub use approle::{AppRole, AppRoleChange, AppRoleLogin, IssuedSecretId, NewSecretId, SecretId, SecretRef};
pub use audit_chain::{Caller, Event, Outcome, Severity, Value};
pub use audit_log::{AuditError, AuditLog};
pub use cert::{CertLogin, CertRole, CertRoleChange};
pub use error::{AuthError, Error, Result, TokenRefusal};
pub use explain::{Explained, Whose};
pub use identity::{
    AliasChange, Entity, EntityAlias, EntityChange, EntityMerge, EntityName, Group, GroupAliasChange, GroupChange,
    GroupMember, GroupView, Persona,
};
pub use jwt::{JwtConfig, JwtConfigChange, JwtLogin, JwtRole, JwtRoleChange, OidcCallback, OidcRequest};
pub use kubernetes::{KubernetesConfig, KubernetesConfigChange, KubernetesLogin, KubernetesRole, KubernetesRoleChange};
pub use leases::Lease;
pub use login::{Admitted, TokenSettings, TokenSettingsChange, Visitor};
pub use mac::{MacDomain, MacError, RowMac};
pub use mfa::{
    EnforcementChange, LoginEnforcement, MfaMethod, MfaMethodChange, MfaRequirement, MfaValidation, PresentedFactor,
    RequiredFactor,
};
pub use migrate::{migrate, schema_check};
pub use mount::{
    ConfigChange, LockoutChange, Mount, MountClass, MountConfig, MountMove, NewMount, TuneMount, UserLockout, mountable,
};
pub use namespace::{Located, Namespace};
pub use notifications::{NewNotification, Notification};
pub use organization_quotas::OrganizationQuotas;
pub use outbox::{OutboxEntry, OutboxKind};
pub use registry::Kind as RegisteredKind;
pub use secrets_policies::{NewSecretsPolicy, StoredSecretsPolicy};
pub use settings::Settings;
pub use store::{GRANTS, StoreError};
pub use system_entry::{EntryKind, SystemEntry};
pub use token::{
    Authority, DEFAULT_POLICY_NAME, IssuedToken, NewToken, ROOT_POLICY, Token, TokenInfo, TokenRole, TokenRoleChange,
    WRAPPING_POLICY, Warning, random_base62,
};
pub use totp::TotpEnrolment;
pub use user_roles::{Assignment as RoleAssignment, RoleSpan};
pub use userpass::{TotpState, UserChange, UserLogin, UserRole};
pub use versions::InstalledVersion;
