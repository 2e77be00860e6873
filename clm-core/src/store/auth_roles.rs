//! Table `auth_roles`.

use super::bind::RowBytes;
use super::{Store, StoreError, bytes32, expect_one};
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "auth_roles";

/// A role as stored.
#[derive(Clone, Debug)]
pub(crate) struct RoleRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) mount_id: Uuid,
    pub(crate) name: String,
    /// JSON; its members in any order, as PostgreSQL gives them back.
    pub(crate) config: Arc<str>,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

impl RoleRow {
    /// What its MAC is over.
    pub(crate) fn bound_bytes(&self) -> Vec<u8> {
        let Self { id, organization_id, mount_id, name, config, revision, row_mac: _ } = self;
        RowBytes::new("auth_roles.v1")
            .uuid(*id)
            .uuid(*organization_id)
            .uuid(*mount_id)
            .text(name)
            .text(&canonical(config))
            .integer(*revision)
            .finish()
    }
}

/// One text for one value: members sorted, no blanks.
pub(super) fn canonical(config: &str) -> String {
    fn sorted(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Object(members) => {
                let members: std::collections::BTreeMap<_, _> =
                    members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
                serde_json::Value::Object(members.into_iter().collect())
            }
            serde_json::Value::Array(items) => items.into_iter().map(sorted).collect(),
            other => other,
        }
    }
    // What is no JSON is bound as it stands; reading it fails later.
    serde_json::from_str(config).map_or_else(|_| config.to_owned(), |value| sorted(value).to_string())
}

impl Store {
    /// A role by name.
    pub(crate) async fn auth_role(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        name: &str,
    ) -> Result<Option<RoleRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query!(
            r#"SELECT id, config::text AS "config!", revision, row_mac FROM auth_roles
             WHERE organization_id = $1 AND mount_id = $2 AND name = $3"#,
            organization_id,
            mount_id,
            name
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        row.map(|row| {
            Ok(RoleRow {
                id: row.id,
                organization_id,
                mount_id,
                name: name.to_owned(),
                config: row.config.into(),
                revision: row.revision,
                row_mac: bytes32(&row.row_mac, "auth_roles.row_mac")?,
            })
        })
        .transpose()
    }

    /// Names of a mount's roles, sorted.
    pub(crate) async fn auth_role_names(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let names = sqlx::query_scalar!(
            "SELECT name FROM auth_roles WHERE organization_id = $1 AND mount_id = $2 ORDER BY name COLLATE \"C\"",
            organization_id,
            mount_id
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(names)
    }
}

/// Adds a role, or replaces the row it was made from (its revision being one less).
pub(crate) async fn put(connection: &mut PgConnection, row: &RoleRow) -> Result<(), StoreError> {
    let done = if row.revision == 1 {
        sqlx::query!(
            "INSERT INTO auth_roles (id, organization_id, mount_id, name, config, revision, row_mac) \
             VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7) ON CONFLICT (organization_id, mount_id, name) DO NOTHING",
            row.id,
            row.organization_id,
            row.mount_id,
            row.name,
            &*row.config,
            row.revision,
            row.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    } else {
        sqlx::query!(
            "UPDATE auth_roles SET config = $2::text::jsonb, revision = $3, row_mac = $4 WHERE id = $1 AND revision = $3::bigint - 1",
            row.id,
            &*row.config,
            row.revision,
            row.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    };
    expect_one(&done, "role")
}

/// Deletes all of a mount; what records say of those that were there.
pub(crate) async fn delete_of_mount(
    connection: &mut PgConnection,
    mount_id: Uuid,
) -> Result<Vec<super::GoneRow>, StoreError> {
    let rows = sqlx::query!("DELETE FROM auth_roles WHERE mount_id = $1 RETURNING id, revision", mount_id)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| super::gone(TABLE, (row.id, row.revision))).collect())
}

/// Deletes that very revision.
pub(crate) async fn delete(connection: &mut PgConnection, row: &RoleRow) -> Result<(), StoreError> {
    let done = sqlx::query!("DELETE FROM auth_roles WHERE id = $1 AND revision = $2", row.id, row.revision)
        .execute(connection)
        .await?;
    expect_one(&done, "role")
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn one_value_has_one_text() {
        assert_eq!(
            canonical(r#"{"b": [1, {"y":2,"x":1}], "a": null}"#),
            canonical(r#"{"a":null,"b":[1,{"x":1,"y":2}]}"#)
        );
        assert_ne!(canonical(r#"{"a":1}"#), canonical(r#"{"a":"1"}"#));
    }
}
