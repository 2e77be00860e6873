//! Table `app_roles`.

use super::bind::RowBytes;
use super::{Store, StoreError, bytes32, expect_one};
use crate::approle::AppRole;
use crate::login::TokenSettings;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "app_roles";

/// What the seeds have no column for, as the column `token_settings`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Others {
    explicit_max_ttl: u64,
    no_default_policy: bool,
    num_uses: u32,
    old_names: Vec<String>,
    period: u64,
    strictly_bind_ip: bool,
    token_type: String,
}

impl Others {
    fn of(settings: &TokenSettings) -> Self {
        Self {
            explicit_max_ttl: settings.explicit_max_ttl,
            no_default_policy: settings.no_default_policy,
            num_uses: settings.num_uses,
            old_names: settings.old_names.clone(),
            period: settings.period,
            strictly_bind_ip: settings.strictly_bind_ip,
            token_type: settings.token_type.clone(),
        }
    }

    /// One text for one value.
    fn canonical(&self) -> String {
        serde_json::to_string(self).expect("numbers, flags and texts always have a JSON form")
    }
}

/// What the row's MAC is over. The columns `policies`, `metadata` and `description` are the seeds' and give nothing here.
pub(crate) fn bound_bytes(role: &AppRole) -> Vec<u8> {
    let AppRole {
        id,
        organization_id,
        mount_id,
        name,
        role_id,
        bind_secret_id,
        secret_id_bound_cidrs,
        secret_id_num_uses,
        secret_id_ttl,
        local_secret_ids,
        token,
        enabled,
        revision,
        row_mac: _,
    } = role;
    RowBytes::new("app_roles.v1")
        .uuid(*id)
        .uuid(*organization_id)
        .uuid(*mount_id)
        .text(name)
        .text(role_id)
        .flag(*bind_secret_id)
        .list(secret_id_bound_cidrs.iter(), |row, network| row.text(&network.to_string()))
        .integer(i64::from(*secret_id_num_uses))
        .integer(seconds(*secret_id_ttl))
        .flag(*local_secret_ids)
        .list(token.policies.iter(), |row, policy| row.text(policy))
        .integer(seconds(token.ttl))
        .integer(seconds(token.max_ttl))
        .list(token.bound_cidrs.iter(), |row, network| row.text(&network.to_string()))
        .text(&Others::of(token).canonical())
        .flag(*enabled)
        .integer(*revision)
        .finish()
}

/// The columns that say something here.
struct Columns {
    id: Uuid,
    organization_id: Uuid,
    mount_id: Uuid,
    role_name: String,
    role_id: String,
    bind_secret_id: bool,
    bound_cidr_list: Vec<IpNet>,
    secret_id_num_uses: i32,
    secret_id_ttl_seconds: i64,
    local_secret_ids: bool,
    ttl_seconds: i64,
    max_ttl_seconds: i64,
    token_policies: Vec<String>,
    token_bound_cidr_list: Vec<IpNet>,
    token_settings: String,
    enabled: bool,
    revision: i64,
    row_mac: Vec<u8>,
}

fn read(row: Columns) -> Result<AppRole, StoreError> {
    let duration = |stored: i64| u64::try_from(stored).map_err(|_| StoreError::Malformed("a role's duration"));
    let others: Others =
        serde_json::from_str(&row.token_settings).map_err(|_| StoreError::Malformed("app_roles.token_settings"))?;
    Ok(AppRole {
        id: row.id,
        organization_id: row.organization_id,
        mount_id: row.mount_id,
        name: row.role_name,
        role_id: row.role_id,
        bind_secret_id: row.bind_secret_id,
        secret_id_bound_cidrs: row.bound_cidr_list,
        secret_id_num_uses: u32::try_from(row.secret_id_num_uses)
            .map_err(|_| StoreError::Malformed("app_roles.secret_id_num_uses"))?,
        secret_id_ttl: duration(row.secret_id_ttl_seconds)?,
        local_secret_ids: row.local_secret_ids,
        token: TokenSettings {
            ttl: duration(row.ttl_seconds)?,
            max_ttl: duration(row.max_ttl_seconds)?,
            policies: row.token_policies,
            bound_cidrs: row.token_bound_cidr_list,
            explicit_max_ttl: others.explicit_max_ttl,
            no_default_policy: others.no_default_policy,
            num_uses: others.num_uses,
            period: others.period,
            token_type: others.token_type,
            strictly_bind_ip: others.strictly_bind_ip,
            old_names: others.old_names,
        },
        enabled: row.enabled,
        revision: row.revision,
        row_mac: bytes32(&row.row_mac, "app_roles.row_mac")?,
    })
}

impl Store {
    /// By name.
    pub(crate) async fn app_role(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        name: &str,
    ) -> Result<Option<AppRole>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query_as!(
            Columns,
            r#"SELECT id, organization_id, mount_id, role_name, role_id, bind_secret_id, bound_cidr_list, secret_id_num_uses,
             secret_id_ttl_seconds, local_secret_ids, ttl_seconds, max_ttl_seconds, token_policies, token_bound_cidr_list,
             token_settings::text AS "token_settings!", enabled, revision, row_mac FROM app_roles WHERE mount_id = $1 AND role_name = $2"#,
            mount_id,
            name
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        row.map(read).transpose()
    }

    /// By RoleID.
    pub(crate) async fn app_role_by_role_id(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        role_id: &str,
    ) -> Result<Option<AppRole>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query_as!(
            Columns,
            r#"SELECT id, organization_id, mount_id, role_name, role_id, bind_secret_id, bound_cidr_list, secret_id_num_uses,
             secret_id_ttl_seconds, local_secret_ids, ttl_seconds, max_ttl_seconds, token_policies, token_bound_cidr_list,
             token_settings::text AS "token_settings!", enabled, revision, row_mac FROM app_roles WHERE mount_id = $1 AND role_id = $2"#,
            mount_id,
            role_id
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        row.map(read).transpose()
    }

    /// Ids of those whose name, RoleID or id this is, in whichever mount.
    pub(crate) async fn app_role_ids(&self, organization_id: Uuid, called: &str) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let ids = sqlx::query_scalar!(
            "SELECT id FROM app_roles WHERE organization_id = $1 AND (role_name = $2 OR role_id = $2 OR id::text = $2) ORDER BY id",
            organization_id,
            called
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(ids)
    }

    /// Names, sorted.
    pub(crate) async fn app_role_names(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let names = sqlx::query_scalar!(
            "SELECT role_name FROM app_roles WHERE mount_id = $1 ORDER BY role_name COLLATE \"C\"",
            mount_id
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(names)
    }
}

/// Adds a role, or replaces the row it was made from (its revision being one less).
pub(crate) async fn put(connection: &mut PgConnection, role: &AppRole) -> Result<(), StoreError> {
    let token = &role.token;
    let uses = i32::try_from(role.secret_id_num_uses).unwrap_or(i32::MAX);
    let done = if role.revision == 1 {
        sqlx::query!(
            "INSERT INTO app_roles (id, organization_id, mount_id, role_name, role_id, bind_secret_id, bound_cidr_list, secret_id_num_uses, \
             secret_id_ttl_seconds, local_secret_ids, ttl_seconds, max_ttl_seconds, token_policies, token_bound_cidr_list, token_settings, \
             enabled, revision, row_mac) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::text::jsonb, $16, $17, $18)",
            role.id,
            role.organization_id,
            role.mount_id,
            role.name,
            role.role_id,
            role.bind_secret_id,
            &role.secret_id_bound_cidrs,
            uses,
            seconds(role.secret_id_ttl),
            role.local_secret_ids,
            seconds(token.ttl),
            seconds(token.max_ttl),
            &token.policies,
            &token.bound_cidrs,
            Others::of(token).canonical(),
            role.enabled,
            role.revision,
            role.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    } else {
        sqlx::query!(
            "UPDATE app_roles SET role_id = $2, bind_secret_id = $3, bound_cidr_list = $4, secret_id_num_uses = $5, \
             secret_id_ttl_seconds = $6, local_secret_ids = $7, ttl_seconds = $8, max_ttl_seconds = $9, token_policies = $10, \
             token_bound_cidr_list = $11, token_settings = $12::text::jsonb, enabled = $13, revision = $14, row_mac = $15 \
             WHERE id = $1 AND revision = $14::bigint - 1",
            role.id,
            role.role_id,
            role.bind_secret_id,
            &role.secret_id_bound_cidrs,
            uses,
            seconds(role.secret_id_ttl),
            role.local_secret_ids,
            seconds(token.ttl),
            seconds(token.max_ttl),
            &token.policies,
            &token.bound_cidrs,
            Others::of(token).canonical(),
            role.enabled,
            role.revision,
            role.row_mac.as_slice()
        )
        .execute(connection)
        .await?
    };
    expect_one(&done, "role")
}

/// Deletes that very revision.
pub(crate) async fn delete(connection: &mut PgConnection, role: &AppRole) -> Result<(), StoreError> {
    let done = sqlx::query!("DELETE FROM app_roles WHERE id = $1 AND revision = $2", role.id, role.revision)
        .execute(connection)
        .await?;
    expect_one(&done, "role")
}

/// Deletes all of a mount, with those of their SecretIDs that are left; what records say of them.
pub(crate) async fn delete_of_mount(
    connection: &mut PgConnection,
    mount_id: Uuid,
) -> Result<Vec<super::GoneRow>, StoreError> {
    let mut gone = super::app_role_secret_ids::delete_some(connection, mount_id, None, i64::MAX).await?;
    let roles = sqlx::query!("DELETE FROM app_roles WHERE mount_id = $1 RETURNING id, revision", mount_id)
        .fetch_all(connection)
        .await?;
    gone.extend(roles.into_iter().map(|row| super::gone(TABLE, (row.id, row.revision))));
    Ok(gone)
}

fn seconds(duration: u64) -> i64 {
    i64::try_from(duration).unwrap_or(i64::MAX)
}
