//! Policies about secrets, as stored: a JSON document and whom it is for.

use crate::access::SecretsPolicy;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::policies::{app_role_binding, certificate_binding, policy_name, refuse_kind, user_binding};
use crate::store::{DocumentKind, access_policies};
use crate::token::{DEFAULT_POLICY_NAME, ROOT_POLICY, WRAPPING_POLICY};
use audit_chain::Caller;
use uuid::Uuid;

/// How often a change is tried anew when somebody else changes the same policy.
const ATTEMPTS: usize = 5;
/// People and app roles that one policy is bound to.
const MOST_BINDINGS: usize = 1_000;

/// What a policy is to be.
#[derive(Clone, Debug)]
pub struct NewSecretsPolicy {
    /// JSON: `allowed_secrets`, `allowed_operations`, `conditions`.
    pub document: String,
    /// `user:NAME` and `app_role:NAME`, or with ids, and `certificate:SHA256`; none: for whoever carries the policy's name.
    pub entity_bindings: Vec<String>,
    /// It counts for tokens so long after they were made, seconds.
    pub max_ttl_seconds: Option<u64>,
    /// It forbids what it names, whatever others grant.
    pub denies: bool,
}

/// A policy as it was kept.
#[derive(Clone, Debug)]
pub struct StoredSecretsPolicy {
    /// Its name.
    pub name: String,
    /// What it says; bindings by ids.
    pub policy: NewSecretsPolicy,
}

impl Core {
    /// Writes a policy; it counts at once, also for tokens made before.
    pub async fn put_secrets_policy(&self, caller: &Caller, name: &str, new: NewSecretsPolicy) -> Result<()> {
        let name = policy_name(name)?;
        if [ROOT_POLICY, WRAPPING_POLICY, DEFAULT_POLICY_NAME].contains(&name.as_str()) {
            return Err(Error::invalid(format!("{name:?} is no policy about secrets")));
        }
        SecretsPolicy::parse(&new.document).map_err(|error| Error::invalid(error.to_string()))?;
        let max_ttl_seconds = new.max_ttl_seconds.map(i64::try_from).transpose();
        let max_ttl_seconds = max_ttl_seconds.ok().filter(|seconds| *seconds != Some(0));
        let kind = DocumentKind::Secrets {
            entity_bindings: self.bound(caller.organization_id, &new.entity_bindings).await?,
            max_ttl_seconds: max_ttl_seconds.ok_or_else(|| Error::invalid("max_ttl_seconds must be positive"))?,
            denies: new.denies,
        };
        for _ in 0..ATTEMPTS {
            match self.put_once(caller, &name, &new.document, kind.clone()).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
        Err(Error::Conflict("policy"))
    }

    /// A policy by its name.
    pub async fn secrets_policy(&self, organization_id: Uuid, name: &str) -> Result<Option<StoredSecretsPolicy>> {
        let Some(row) = self.policy_row(organization_id, &policy_name(name)?).await? else { return Ok(None) };
        self.check_row((access_policies::TABLE, organization_id, row.id), row.bound_bytes(), &row.row_mac).await?;
        let DocumentKind::Secrets { entity_bindings, max_ttl_seconds, denies } = row.kind else { return Ok(None) };
        let policy = NewSecretsPolicy {
            document: row.document,
            entity_bindings,
            max_ttl_seconds: max_ttl_seconds.map(i64::unsigned_abs),
            denies,
        };
        Ok(Some(StoredSecretsPolicy { name: row.name, policy }))
    }

    /// All names, sorted.
    pub async fn list_secrets_policies(&self, organization_id: Uuid) -> Result<Vec<String>> {
        Ok(self.store().secrets_policy_names(organization_id).await?)
    }

    /// Deletes a policy; it counts at once. `false`: there was none.
    pub async fn delete_secrets_policy(&self, caller: &Caller, name: &str) -> Result<bool> {
        let name = policy_name(name)?;
        let Some(row) = self.policy_row(caller.organization_id, &name).await? else { return Ok(false) };
        refuse_kind(&row, false)?;
        self.delete_policy_row(caller, row).await.map(|()| true)
    }

    /// Whom names mean now: who later has the same name is somebody else.
    async fn bound(&self, organization_id: Uuid, bindings: &[String]) -> Result<Vec<String>> {
        if bindings.len() > MOST_BINDINGS {
            return Err(Error::invalid(format!("entity_bindings has at most {MOST_BINDINGS} entries")));
        }
        let mut bound = Vec::with_capacity(bindings.len());
        for binding in bindings {
            let nobody = || Error::invalid(format!("entity_bindings: {binding:?} is nobody here"));
            bound.push(match binding.split_once(':') {
                Some(("user", called)) => {
                    let by_name = self.store().user_by_name(organization_id, &called.to_lowercase()).await?;
                    let user = match (by_name, Uuid::try_parse(called)) {
                        (None, Ok(id)) => self.store().user(organization_id, id).await?,
                        (by_name, _) => by_name,
                    };
                    user_binding(user.ok_or_else(nobody)?.id)
                }
                Some(("app_role", called)) => {
                    match self.store().app_role_ids(organization_id, called).await?.as_slice() {
                        [] => return Err(nobody()),
                        [only] => app_role_binding(*only),
                        _ => {
                            return Err(Error::invalid(format!(
                                "entity_bindings: {binding:?} are several, in several mounts: use its RoleID"
                            )));
                        }
                    }
                }
                // Whoever logs in with it: it need not be known here.
                Some(("certificate", called)) => {
                    let sha256 = called.replace(':', "").to_lowercase();
                    if hex::decode(&sha256).map_or(0, |bytes| bytes.len()) != 32 {
                        return Err(Error::invalid(format!(
                            "entity_bindings: {binding:?} is no SHA-256 of a certificate: 64 hexadecimal digits, with colons or without"
                        )));
                    }
                    certificate_binding(&sha256)
                }
                _ => {
                    return Err(Error::invalid(format!(
                        "entity_bindings: {binding:?} is neither user:NAME, app_role:NAME nor certificate:SHA256"
                    )));
                }
            });
        }
        bound.sort_unstable();
        bound.dedup();
        Ok(bound)
    }
}
