//! Verification from the database, of one moment, while the service writes on.

use super::check::Check;
use anyhow::{Context, Result};
use audit_log::Table;
use futures_util::{TryStreamExt, pin_mut};
use sqlx::PgConnection;

pub(super) async fn verify(url: &str, table: Table, mut check: Check) -> Result<bool> {
    let mut connection = audit_log::snapshot(url).await?;
    for stored in audit_log::read_checkpoints(&mut connection, table).await? {
        check.checkpoint(&stored);
    }
    for head in audit_log::read_heads(&mut connection).await? {
        check.head(head);
    }
    {
        let records = audit_log::scan(&mut connection, table);
        pin_mut!(records);
        while let Some(found) = records.try_next().await? {
            check.found(&found);
        }
    }
    if check.wants_rows() {
        compare_rows(&mut connection, &mut check).await?;
    }
    Ok(check.finish())
}

async fn compare_rows(connection: &mut PgConnection, check: &mut Check) -> Result<()> {
    for table in audit_log::bound_tables(connection).await? {
        let mut compared = 0u64;
        {
            let rows = audit_log::read_rows(connection, &table);
            pin_mut!(rows);
            while let Some((id, row)) = rows.try_next().await.with_context(|| format!("rows of {table}"))? {
                check.row(&table, id, row);
                compared += 1;
            }
        }
        check.say(&format!("{compared} rows of {table} compared"));
    }
    Ok(())
}
