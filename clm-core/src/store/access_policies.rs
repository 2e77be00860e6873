//! Table `access_policies`.

use super::bind::RowBytes;
use super::{Store, StoreError, bytes32, expect_one};
use crate::access::{Policy, SecretsPolicy};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "access_policies";

/// A policy as stored.
#[derive(Clone, Debug)]
pub(crate) struct PolicyRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) name: String,
    pub(crate) document: String,
    pub(crate) kind: DocumentKind,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

/// What its text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DocumentKind {
    /// Paths and capabilities.
    Acl,
    /// Secrets by their names.
    Secrets {
        /// For whom; none: for whoever carries its name.
        entity_bindings: Vec<String>,
        max_ttl_seconds: Option<i64>,
        denies: bool,
    },
}

impl DocumentKind {
    fn columns(&self) -> (&'static str, &[String], Option<i64>, bool) {
        match self {
            Self::Acl => ("acl", &[], None, false),
            Self::Secrets { entity_bindings, max_ttl_seconds, denies } => {
                ("secrets", entity_bindings, *max_ttl_seconds, *denies)
            }
        }
    }
}

impl PolicyRow {
    /// What its MAC is over.
    pub(crate) fn bound_bytes(&self) -> Vec<u8> {
        let Self { id, organization_id, name, document, kind, revision, row_mac: _ } = self;
        let what = if *kind == DocumentKind::Acl { "access_policies.v1" } else { "access_policies.v2" };
        let row = RowBytes::new(what).uuid(*id).uuid(*organization_id).text(name).text(document).integer(*revision);
        match kind {
            DocumentKind::Acl => row.finish(),
            DocumentKind::Secrets { entity_bindings, max_ttl_seconds, denies } => row
                .list(entity_bindings.iter(), |row, binding| row.text(binding))
                .optional(*max_ttl_seconds, RowBytes::integer)
                .flag(*denies)
                .finish(),
        }
    }

    /// Whether it counts for those.
    pub(crate) fn is_for(&self, bearers: &[String]) -> bool {
        match &self.kind {
            DocumentKind::Secrets { entity_bindings, .. } if !entity_bindings.is_empty() => {
                entity_bindings.iter().any(|binding| bearers.contains(binding))
            }
            _ => true,
        }
    }

    /// Its rules.
    pub(crate) fn compiled(&self) -> crate::Result<Policy> {
        let stored = |error| crate::Error::Internal(format!("stored policy {}: {error}", self.name).into());
        match &self.kind {
            DocumentKind::Acl => Policy::parse(&self.name, &self.document).map_err(stored),
            DocumentKind::Secrets { max_ttl_seconds, denies, .. } => {
                let mut document = SecretsPolicy::parse(&self.document).map_err(stored)?;
                let bounds = [document.conditions.max_ttl_seconds, max_ttl_seconds.map(i64::unsigned_abs)];
                document.conditions.max_ttl_seconds = bounds.into_iter().flatten().min();
                Ok(document.compile(&self.name, *denies))
            }
        }
    }
}

/// Those of `names` that exist.
pub(crate) async fn known(
    connection: &mut PgConnection,
    organization_id: Uuid,
    names: &[String],
) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT name FROM access_policies WHERE organization_id = $1 AND name = ANY($2)",
        organization_id,
        names
    )
    .fetch_all(connection)
    .await?)
}

impl Store {
    /// [`known`], by itself.
    pub(crate) async fn known_policies(
        &self,
        organization_id: Uuid,
        names: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let known = known(&mut transaction, organization_id, names).await?;
        transaction.commit().await?;
        Ok(known)
    }

    /// Those of `names` that exist, and those bound to one of `bearers`.
    pub(crate) async fn policies(
        &self,
        organization_id: Uuid,
        names: &[String],
        bearers: &[String],
    ) -> Result<Vec<PolicyRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let rows = sqlx::query!(
            "SELECT id, organization_id, name, document, document_kind, entity_bindings, max_ttl_seconds, deny_policy, revision, row_mac \
             FROM access_policies WHERE organization_id = $1 AND (name = ANY($2) OR (document_kind = 'secrets' AND entity_bindings && $3))",
            organization_id,
            names,
            bearers
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        rows.into_iter()
            .map(|row| {
                let secrets = DocumentKind::Secrets {
                    entity_bindings: row.entity_bindings,
                    max_ttl_seconds: row.max_ttl_seconds,
                    denies: row.deny_policy,
                };
                Ok(PolicyRow {
                    id: row.id,
                    organization_id: row.organization_id,
                    name: row.name,
                    document: row.document,
                    kind: if row.document_kind == "secrets" { secrets } else { DocumentKind::Acl },
                    revision: row.revision,
                    row_mac: bytes32(&row.row_mac, "access_policies.row_mac")?,
                })
            })
            .collect()
    }

    /// Names of those about secrets, sorted.
    pub(crate) async fn secrets_policy_names(&self, organization_id: Uuid) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let names = sqlx::query_scalar!(
            r#"SELECT name FROM access_policies WHERE organization_id = $1 AND document_kind = 'secrets' ORDER BY name COLLATE "C""#,
            organization_id
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(names)
    }

    /// All names, sorted.
    pub(crate) async fn policy_names(&self, organization_id: Uuid) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let names = sqlx::query_scalar!(
            r#"SELECT name FROM access_policies WHERE organization_id = $1 ORDER BY name COLLATE "C""#,
            organization_id
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(names)
    }
}

/// Adds a policy, or replaces the row it was made from (its revision being one less).
pub(crate) async fn put(connection: &mut PgConnection, row: &PolicyRow) -> Result<(), StoreError> {
    let (kind, entity_bindings, max_ttl_seconds, denies) = row.kind.columns();
    let done = if row.revision == 1 {
        sqlx::query!(
            "INSERT INTO access_policies (id, organization_id, name, document, revision, row_mac, document_kind, entity_bindings, max_ttl_seconds, deny_policy) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (organization_id, name) DO NOTHING",
            row.id,
            row.organization_id,
            row.name,
            row.document,
            row.revision,
            row.row_mac.as_slice(),
            kind,
            entity_bindings,
            max_ttl_seconds,
            denies
        )
        .execute(connection)
        .await?
    } else {
        sqlx::query!(
            "UPDATE access_policies SET document = $2, revision = $3, row_mac = $4, entity_bindings = $6, max_ttl_seconds = $7, deny_policy = $8 \
             WHERE id = $1 AND revision = $3::bigint - 1 AND document_kind = $5",
            row.id,
            row.document,
            row.revision,
            row.row_mac.as_slice(),
            kind,
            entity_bindings,
            max_ttl_seconds,
            denies
        )
        .execute(connection)
        .await?
    };
    expect_one(&done, "policy")
}

/// Deletes that very revision.
pub(crate) async fn delete(connection: &mut PgConnection, row: &PolicyRow) -> Result<(), StoreError> {
    let done = sqlx::query!("DELETE FROM access_policies WHERE id = $1 AND revision = $2", row.id, row.revision)
        .execute(connection)
        .await?;
    expect_one(&done, "policy")
}
