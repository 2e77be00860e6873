//! All SQL of `clm_core_db`, one file per table.
//!
//! Statements are checked when they are compiled, as the service's own role, against `.sqlx/`: `make renew` writes that from the schema.
//! Reading sets the tenant per transaction; changing happens on the audit writer's connection, which has set it already.

pub(crate) mod access_policies;
pub(crate) mod api_keys;
pub(crate) mod app_role_secret_ids;
pub(crate) mod app_roles;
mod audit_log;
pub(crate) mod auth_configs;
pub(crate) mod auth_roles;
pub(crate) mod bind;
pub(crate) mod certificate_metadata;
pub(crate) mod entities;
pub(crate) mod entity_aliases;
mod entries;
mod error;
mod failed_logins;
pub(crate) mod group_members;
pub(crate) mod identity_groups;
mod jobs;
mod leases;
mod logins;
pub(crate) mod mfa_secrets;
pub(crate) mod mount_moves;
pub(crate) mod mounts;
pub(crate) mod notifications;
pub(crate) mod organizations;
pub(crate) mod outbox;
pub(crate) mod pending_logins;
mod personas;
pub(crate) mod policies;
pub(crate) mod references;
pub(crate) mod roles;
pub(crate) mod system_entries;
pub(crate) mod tokens;
mod unchanged;
pub(crate) mod user_roles;
pub(crate) mod users;
pub(crate) mod workflows;

pub(crate) use access_policies::{DocumentKind, PolicyRow};
pub(crate) use auth_roles::RoleRow;
pub use error::StoreError;
pub(crate) use logins::{Comer, LoginRows};
pub(crate) use mfa_secrets::SecretRow;
pub(crate) use mounts::MountRow;
pub(crate) use pending_logins::PendingRow;
pub(crate) use personas::{PersonRows, PersonaRows};
pub(crate) use system_entries::EntryRow;
pub(crate) use tokens::FoundToken;
pub(crate) use unchanged::expect_unchanged;

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

/// What roles may do here, as the migrations grant it: `ROLE PRIVILEGE OBJECT` lines, made by `make renew`.
pub const GRANTS: &str = include_str!("grants.txt");

/// Reads; cheap clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pool: PgPool,
}

impl Store {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// A transaction for nobody: what belongs to no tenant, and what the schema's functions tell of all. Nothing runs outside a
    /// transaction: a pooler gives connections for one.
    async fn nobody(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        Ok(::audit_log::begin(&self.pool, "BEGIN").await?)
    }

    /// A transaction that sees one tenant, as of one moment.
    async fn tenant(&self, organization_id: Uuid) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", organization_id).await
    }

    /// The same, to count something down; whatever else changes goes through the audit log.
    async fn counting(&self, organization_id: Uuid) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.begin("BEGIN", organization_id).await
    }

    /// Says for whom it speaks in the message that begins it: a trip less for whatever is read. A UUID's text ends no literal.
    async fn begin(
        &self,
        begin: &'static str,
        organization_id: Uuid,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        let statement = format!("{begin}; SET LOCAL clm.organization_id = '{organization_id}'");
        Ok(::audit_log::begin(&self.pool, AssertSqlSafe(statement)).await?)
    }
}

/// Whoever counts or follows rows before a transaction goes on waits here for whoever does so now. One lock for all of them and for all
/// organizations, by the name of what was counted first: a transaction of the log's writer makes rows of several, and with a lock each two
/// writers could wait for each other.
async fn one_at_a_time(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('quota of certificates', 0))")
        .execute(connection)
        .await?;
    Ok(())
}

/// What was counted is within a quota, of that name and of those things.
fn expect_at_most(most: u32, counted: i64, (field, what): (&'static str, &'static str)) -> Result<(), StoreError> {
    if counted > i64::from(most) { Err(StoreError::Full { field, what, most }) } else { Ok(()) }
}

/// An update or delete that must touch exactly one row.
fn expect_one(done: &sqlx::postgres::PgQueryResult, what: &'static str) -> Result<(), StoreError> {
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict { what }) }
}

/// A row that is no more, as records name it: the revision after its last, so that a row put back is an older self.
pub(crate) type GoneRow = (&'static str, Uuid, i64, [u8; 32]);

fn gone(table: &'static str, (id, revision): (Uuid, i64)) -> GoneRow {
    (table, id, revision + 1, tokens::REVOKED_MAC)
}

/// A MAC or HMAC column.
fn bytes32(bytes: &[u8], what: &'static str) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Malformed(what))
}
