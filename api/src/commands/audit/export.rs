//! Writes a log to a file.

use super::month::Month;
use super::signature;
use anyhow::{Context, Result};
use audit_chain::export::{FORMAT, Line, write as line};
use audit_chain::{Found, StoredCheckpoint, Unreadable};
use audit_log::{Part, Table};
use futures_util::{Stream, TryStreamExt, pin_mut};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A file of that name is never overwritten; one that could not be finished is taken away.
pub(super) async fn write(url: &str, table: Table, month: Option<Month>, path: &Path) -> Result<()> {
    let mut connection = audit_log::snapshot(url).await?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{}: cannot be made", path.display()))?;
    let mut out = Out { file: BufWriter::new(file), records: 0, unreadable: 0 };
    let written = match out.log(&mut connection, table, month).await {
        Ok(()) => out.finish(path),
        Err(error) => Err(error),
    };
    if written.is_err() {
        // What is there of it is of no use; the error says why.
        drop(std::fs::remove_file(path));
    }
    written
}

struct Out {
    file: BufWriter<File>,
    records: u64,
    unreadable: u64,
}

impl Out {
    async fn log(&mut self, connection: &mut PgConnection, table: Table, month: Option<Month>) -> Result<()> {
        let mut checkpoints = audit_log::read_checkpoints(connection, table).await?;
        let parts = match month {
            None => None,
            Some(month) => {
                let (from, until) = month.bounds();
                let parts = audit_log::parts(connection, table, from, until).await?;
                checkpoints
                    .retain(|stored| (from..until).contains(&stored.checkpoint.created_at) && within(stored, &parts));
                Some(parts)
            }
        };
        let public_keys: BTreeSet<&[u8]> = checkpoints.iter().map(|stored| stored.public_key.as_slice()).collect();
        self.line(&Line::Export {
            format: FORMAT,
            log: table.name.to_owned(),
            month: month.map(|month| month.to_string()),
            public_keys: public_keys.into_iter().map(signature::pem).collect::<Result<_>>()?,
        })?;
        let count = checkpoints.len() as u64;
        for stored in checkpoints {
            self.line(&Line::Checkpoint(stored))?;
        }
        match parts {
            None => self.records(audit_log::scan(connection, table)).await?,
            Some(parts) => {
                for part in parts {
                    self.line(&Line::Start(part.start))?;
                    self.records(audit_log::read_part(connection, table, part)).await?;
                }
            }
        }
        self.line(&Line::End { records: self.records, checkpoints: count })
    }

    async fn records(&mut self, found: impl Stream<Item = Result<Found, sqlx::Error>>) -> Result<()> {
        pin_mut!(found);
        while let Some(found) = found.try_next().await? {
            self.records += 1;
            match found {
                Found::Record(record) => self.line(&Line::Record(record))?,
                Found::Unreadable(unreadable) => self.unreadable(unreadable)?,
            }
        }
        Ok(())
    }

    /// Its place is kept, so that the verifier names it.
    fn unreadable(&mut self, unreadable: Unreadable) -> Result<()> {
        self.unreadable += 1;
        let Unreadable { chain_id, seq, event_id } = unreadable;
        let place = serde_json::json!({
            "kind": "record", "chain_id": chain_id, "seq": seq, "event": { "id": event_id }, "unreadable": true
        });
        Ok(writeln!(self.file, "{place}")?)
    }

    fn line(&mut self, content: &Line) -> Result<()> {
        Ok(writeln!(self.file, "{}", line(content)?)?)
    }

    fn finish(mut self, path: &Path) -> Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        tracing::info!(records = self.records, file = %path.display(), "exported");
        if self.unreadable > 0 {
            tracing::error!(
                records = self.unreadable,
                "records were edited into something unreadable; `clm audit verify` names them"
            );
        }
        Ok(())
    }
}

/// A checkpoint near the border of the month, by another server's clock, may know records of the next one.
fn within(stored: &StoredCheckpoint, parts: &[Part]) -> bool {
    let last: BTreeMap<_, _> = parts.iter().map(|part| (part.start.chain_id, part.last)).collect();
    stored.checkpoint.heads.iter().all(|head| last.get(&head.chain_id).is_none_or(|last| head.seq <= *last))
}
