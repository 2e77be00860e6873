//! All SQL of `clm_core_db`, one file per table.
//!
//! Reading sets the tenant per transaction; changing happens on the audit writer's connection, which has set it already.

pub(crate) mod access_policies;
mod bind;
mod error;
pub(crate) mod mounts;
pub(crate) mod organizations;
pub(crate) mod tokens;

pub(crate) use access_policies::PolicyRow;
pub use error::StoreError;
pub(crate) use mounts::MountRow;
pub(crate) use tokens::FoundToken;

use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

/// Reads; cheap clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pool: PgPool,
}

impl Store {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// A transaction that sees one tenant, as of one moment.
    async fn tenant(&self, organization_id: Uuid) -> Result<Transaction<'static, Postgres>, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        sqlx::query("SELECT set_config('clm.organization_id', $1, true)")
            .bind(organization_id.to_string())
            .execute(&mut *transaction)
            .await?;
        Ok(transaction)
    }
}

/// An update or delete that must touch exactly one row.
fn expect_one(done: &sqlx::postgres::PgQueryResult, what: &'static str) -> Result<(), StoreError> {
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict { what }) }
}

/// A MAC or HMAC column.
fn bytes32(bytes: &[u8], what: &'static str) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Malformed(what))
}
