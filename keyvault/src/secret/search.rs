//! Finding secrets by name, tag and age.

use super::SecretProfile;
use super::config::whole;
use crate::store::{read_as_of_now, secrets};
use crate::{Result, Vault};
use audit_chain::{Caller, Value};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct SecretSearch {
    /// In this mount.
    pub mount_id: Uuid,
    /// Paths like this, `*` standing for any text.
    pub pattern: String,
    /// A regular expression of PostgreSQL's that paths fit as well.
    pub shape: &'static str,
    /// With this tag.
    pub tag: Option<String>,
    /// Whose value was written before.
    pub written_before: Option<DateTime<Utc>>,
    /// Paths after this one, in the order of their bytes.
    pub after: String,
    /// So many at most.
    pub limit: i64,
}

/// One that was found, without what it holds.
#[derive(Clone, Debug)]
pub struct FoundSecret {
    /// Below the mount.
    pub path: String,
    /// The newest version; 0: none yet.
    pub version: i32,
    /// When that was written.
    pub value_written_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// By people, for people.
    pub custom_metadata: BTreeMap<String, String>,
    /// What else it is.
    pub profile: SecretProfile,
}

impl Vault {
    /// Secrets that fit, in the order of their paths' bytes; what is shown of them is what this service wrote.
    pub async fn search_secrets(&self, caller: &Caller, search: &SecretSearch) -> Result<Vec<FoundSecret>> {
        let organization_id = caller.organization_id;
        let mut event = self.secret_event(caller, "secret.search", &whole(search.mount_id));
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let ids = secrets::search::ids(&mut transaction, organization_id, search).await?;
        let rows = secrets::search::by_ids(&mut transaction, &ids).await?;
        let times = secrets::search::value_times(&mut transaction, &ids).await?;
        transaction.rollback().await?;
        let bound: Vec<_> =
            rows.iter().map(|row| (secrets::TABLE, row.id, row.row_bytes(), row.row_mac.as_slice())).collect();
        if !bound.is_empty() {
            self.check_rows(organization_id, &bound).await?;
        }
        event.data.insert("pattern".into(), Value::Text(search.pattern.clone().into()));
        event.data.insert("count".into(), Value::Integer(i64::try_from(rows.len()).unwrap_or(i64::MAX)));
        self.inner.audit.append(event).await?;
        let times: HashMap<Uuid, DateTime<Utc>> = times.into_iter().collect();
        let found = rows.into_iter().map(|row| FoundSecret {
            value_written_at: times.get(&row.id).copied(),
            path: row.name.path,
            version: row.version,
            created_at: row.created_at,
            custom_metadata: row.custom_metadata,
            profile: row.profile,
        });
        Ok(found.collect())
    }
}
