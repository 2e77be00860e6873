//! Shows what is being recorded, as lines of JSON like those of an export.

use super::{Database, Urls};
use crate::settings::Settings;
use anyhow::{Context, Result};
use audit_chain::Found;
use audit_chain::export::{Line, write as line};
use audit_log::Part;
use chrono::{DateTime, TimeDelta, Utc};
use clm_core::clock::{Clock, SystemClock};
use futures_util::{TryStreamExt, pin_mut};
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;
use uuid::Uuid;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Records may bear a time a little before the one at which they are written, and servers' clocks differ.
const SLACK: TimeDelta = TimeDelta::minutes(5);

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Tail {
    /// One log only.
    #[arg(long, value_enum)]
    database: Option<Database>,
    /// Begin with the records of so many seconds before now.
    #[arg(long, default_value_t = 600)]
    since: u32,
    /// Go on with what is recorded from now on, until interrupted.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    urls: Urls,
}

/// One log, and how far it was shown: the number of the last record by chain.
struct Shown {
    database: Database,
    url: SecretString,
    last: HashMap<Uuid, i64>,
}

impl Tail {
    /// Nothing is verified here; `clm audit verify` does.
    pub(super) async fn run(&self, settings: &Settings) -> Result<()> {
        let databases = self.database.map_or(vec![Database::Secure, Database::Core], |database| vec![database]);
        let mut logs = Vec::new();
        for database in databases {
            logs.push(Shown { database, url: database.url(&self.urls, settings)?, last: HashMap::new() });
        }
        let clock = SystemClock::new();
        let mut from = clock.now() - TimeDelta::seconds(self.since.into());
        loop {
            let mut lines = Vec::new();
            for log in &mut logs {
                lines.extend(log.news(from, clock.now() + SLACK).await.context(log.database.name())?);
            }
            lines.sort();
            let mut out = std::io::stdout().lock();
            for (_, text) in lines {
                // Whoever reads may have seen enough.
                if writeln!(out, "{text}").is_err() {
                    return Ok(());
                }
            }
            if out.flush().is_err() || !self.follow {
                return Ok(());
            }
            drop(out);
            tokio::time::sleep(PAUSE).await;
            from = clock.now() - SLACK;
        }
    }
}

impl Shown {
    /// What was not shown yet, by time.
    async fn news(&mut self, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<(DateTime<Utc>, String)>> {
        let table = self.database.table();
        let mut connection = audit_log::snapshot(self.url.expose_secret()).await?;
        let mut lines = Vec::new();
        for part in audit_log::parts(&mut connection, table, from, until).await? {
            let chain = part.start.chain_id;
            let seen = self.last.get(&chain).copied().unwrap_or(part.start.seq).max(part.start.seq);
            let found = audit_log::read_part(
                &mut connection,
                table,
                Part { start: audit_chain::Head { seq: seen, ..part.start }, last: part.last },
            );
            pin_mut!(found);
            while let Some(found) = found.try_next().await? {
                lines.push(match found {
                    Found::Record(record) => (record.event.timestamp, line(&Line::Record(record))?),
                    Found::Unreadable(unreadable) => (
                        from,
                        serde_json::json!({ "kind": "record", "chain_id": unreadable.chain_id, "seq": unreadable.seq, "unreadable": true })
                            .to_string(),
                    ),
                });
            }
            self.last.insert(chain, part.last.max(seen));
        }
        Ok(lines)
    }
}
