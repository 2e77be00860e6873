//! Names of secrets. They are not checked against MACs: a name gives nothing, and reading what bears it does look.

use super::SecretName;
use crate::store::{read_as_of_now, secrets};
use crate::{Result, Vault};
use audit_chain::{Caller, Value};
use uuid::Uuid;

impl Vault {
    /// Names below a folder (empty: of the mount), sorted; what lies deeper as `name/`.
    pub async fn list_secrets(&self, caller: &Caller, mount_id: Uuid, folder: &str) -> Result<Vec<String>> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut transaction = read_as_of_now(&self.inner.pool, caller.organization_id).await?;
        let names = secrets::names(&mut transaction, caller.organization_id, mount_id, &prefix).await?;
        transaction.rollback().await?;
        let mut event = self.secret_event(caller, "secret.list", &SecretName { mount_id, path: folder.to_owned() });
        event.data.insert("count".into(), Value::Integer(i64::try_from(names.len()).unwrap_or(i64::MAX)));
        self.inner.audit.append(event).await?;
        Ok(names)
    }
}
