//! Verification from the database, of one moment, while the service writes on.

use super::check::Check;
use super::file;
use anyhow::{Context, Result};
use audit_chain::{Found, Stretch};
use audit_log::Table;
use futures_util::{TryStreamExt, pin_mut};
use sqlx::PgConnection;
use std::collections::HashMap;
use std::path::PathBuf;

/// The exported files of this log come first; the database goes on where they end.
pub(super) async fn verify(url: &str, table: Table, mut check: Check, exported: &[PathBuf]) -> Result<bool> {
    let exported = file::of_log(exported, table.name)?;
    for path in &exported {
        file::take(path, &mut check)?;
    }
    let ends: HashMap<_, _> = check.heads().into_iter().map(|head| (head.chain_id, head.seq)).collect();
    let mut beside = HashMap::new();
    let mut connection = audit_log::snapshot(url).await?;
    for stored in audit_log::read_checkpoints(&mut connection, table).await? {
        check.checkpoint(&stored);
    }
    for head in audit_log::read_heads(&mut connection).await? {
        check.head(head);
    }
    for event in audit_log::read_detached(&mut connection, table).await? {
        Stretch::told_by(&event).into_iter().for_each(|stretch| check.detached(stretch));
    }
    {
        let records = audit_log::scan(&mut connection, table);
        pin_mut!(records);
        while let Some(found) = records.try_next().await? {
            match &found {
                Found::Record(record) if ends.get(&record.chain_id).is_some_and(|end| record.seq <= *end) => {
                    beside.insert((record.chain_id, record.seq), (record.hash, record.is_whole()));
                }
                _ => check.found(&found),
            }
        }
    }
    // What is in a file too must be the same here.
    for path in &exported {
        for head in file::records(path)? {
            let head = head?;
            if beside.get(&(head.chain_id, head.seq)).is_some_and(|(hash, whole)| *hash == head.hash && *whole) {
                beside.remove(&(head.chain_id, head.seq));
            }
        }
    }
    for (chain_id, seq) in beside.into_keys() {
        check.problem(&format!("chain {chain_id} record {seq}: is not what its exported file holds; it was edited"));
    }
    if check.wants_rows() {
        compare_rows(&mut connection, &mut check).await?;
    }
    Ok(check.finish().0)
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
