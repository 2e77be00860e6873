//! Old months leave the database once they are exported, and come back.
//!
//! The log itself says so, before it is done: `audit.detach` names the file and the stretch of each chain that is in it. So whoever verifies
//! what remains knows a month that was exported from one that was taken away.

use super::check::Check;
use super::month::Month;
use super::{Database, Urls, file, signature};
use crate::settings::Settings;
use anyhow::{Context, Result, bail, ensure};
use audit_chain::{DETACHED, Event, Head, Outcome, Severity, Stretch, Value};
use audit_log::AuditLog;
use chrono::{DateTime, Months, Utc};
use clm_core::clock::Clock;
use futures_util::{TryStreamExt, pin_mut};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use uuid::Uuid;

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Detach {
    /// Which log.
    #[arg(long, value_enum)]
    database: Database,
    /// That month (UTC); earlier ones must be detached already.
    #[arg(long, value_name = "YYYY-MM")]
    month: Month,
    /// Its exported file, which is verified and compared with the database first.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Public half of the audit key (PEM); again for an older key.
    #[arg(long, value_name = "FILE", required = true)]
    public_key: Vec<PathBuf>,
    #[command(flatten)]
    urls: Urls,
}

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Attach {
    /// Which log.
    #[arg(long, value_enum)]
    database: Database,
    /// That month (UTC).
    #[arg(long, value_name = "YYYY-MM")]
    month: Month,
}

impl Detach {
    pub(super) async fn run(&self, settings: &Settings) -> Result<()> {
        let now = clm_core::clock::SystemClock::new().now();
        let (from, until) = self.month.bounds();
        // The month before this one is made again where it is missing.
        let open = until.checked_add_months(Months::new(1)).is_none_or(|closed| now < closed);
        ensure!(!open, "{} is too young: this month and the one before stay", self.month);
        let (table, owner) = (self.database.table(), self.database.owner_url(settings)?);

        let keys = self.public_key.iter().map(|path| signature::read_key(path)).collect::<Result<Vec<_>>>()?;
        let stretches = self.verified(&keys)?;
        let url = self.database.url(&self.urls, settings)?;
        let mut connection = audit_log::snapshot(url.expose_secret()).await?;
        let records = self.compared(&mut connection, (from, until)).await?;
        // It holds the partition.
        connection.close().await?;

        let data = [
            ("chains".to_owned(), Value::List(stretches.iter().map(Stretch::value).collect())),
            ("records".to_owned(), Value::Integer(records)),
            ("file_sha256".to_owned(), Value::Text(sha256(&self.file)?.into())),
        ];
        let log = self.database.writer(settings)?;
        let event = |outcome| event(DETACHED, "detach", self.month, now, outcome);
        log.append(Event { data: data.into(), ..event(Outcome::Success) }).await?;
        match audit_log::detach(owner.expose_secret(), table, from, records).await {
            Ok(partition) => say(&format!(
                "{partition} is detached: {records} records. It is a table of its own now; keep {} as long as the log, and drop the table when you \
                 want its room.",
                self.file.display()
            )),
            Err(error) => {
                log.append(Event { error_message: Some(error.to_string()), ..event(Outcome::Failure) }).await?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The file's own verification.
    fn verified(&self, keys: &[Vec<u8>]) -> Result<Vec<Stretch>> {
        let (table, month) = (self.database.table(), self.month.to_string());
        let (log, of) = file::kind(&self.file)?;
        ensure!(
            log == table.name && of.as_ref() == Some(&month),
            "{}: holds {} of {log}, not {month} of {}",
            self.file.display(),
            of.as_deref().unwrap_or("the whole"),
            table.name
        );
        let mut check = Check::new(&log, keys.to_vec(), false);
        file::take(&self.file, &mut check)?;
        let (good, report) = check.finish();
        ensure!(good, "{}: does not hold; export the month again, and verify the database", self.file.display());
        let starts: HashMap<Uuid, Head> =
            file::starts(&self.file)?.into_iter().map(|head| (head.chain_id, head)).collect();
        let stretch = |end: Head| {
            let start = starts.get(&end.chain_id).copied().filter(|start| start.seq < end.seq)?;
            Some(Stretch { start, end })
        };
        Ok(report.chains.iter().filter_map(|chain| stretch(chain.head)).collect())
    }

    /// Each record of the month must be in the file, or in one of a month that was detached before. How many there are.
    async fn compared(&self, connection: &mut PgConnection, bounds: (DateTime<Utc>, DateTime<Utc>)) -> Result<i64> {
        let table = self.database.table();
        {
            let earlier = audit_log::read_month(connection, table, DateTime::UNIX_EPOCH, bounds.0);
            pin_mut!(earlier);
            if let Some(head) = earlier.try_next().await? {
                bail!(
                    "record {} of chain {} is older and still in the log: detach earlier months first",
                    head.seq,
                    head.chain_id
                );
            }
        }
        let before: Vec<Stretch> =
            audit_log::read_detached(connection, table).await?.iter().flat_map(Stretch::told_by).collect();
        let mut exported = file::records(&self.file)?;
        let mut next = exported.next().transpose()?;
        let mut records = 0;
        let there = audit_log::read_month(connection, table, bounds.0, bounds.1);
        pin_mut!(there);
        while let Some(head) = there.try_next().await? {
            while let Some(passed) = next
                && (passed.chain_id, passed.seq) < (head.chain_id, head.seq)
            {
                next = exported.next().transpose()?;
            }
            let is_exported = next == Some(head) || before.iter().any(|stretch| stretch.holds(head.chain_id, head.seq));
            ensure!(
                is_exported,
                "record {} of chain {} is not in {} as it is in the database: export the month again",
                head.seq,
                head.chain_id,
                self.file.display()
            );
            records += 1;
        }
        Ok(records)
    }
}

impl Attach {
    pub(super) async fn run(&self, settings: &Settings) -> Result<()> {
        let now = clm_core::clock::SystemClock::new().now();
        let owner = self.database.owner_url(settings)?;
        let log = self.database.writer(settings)?;
        let event = |outcome| event("audit.attach", "attach", self.month, now, outcome);
        log.append(event(Outcome::Success)).await?;
        match audit_log::attach(owner.expose_secret(), self.database.table(), self.month.bounds()).await {
            Ok(partition) => say(&format!("{partition} is attached")),
            Err(error) => {
                log.append(Event { error_message: Some(error.to_string()), ..event(Outcome::Failure) }).await?;
                return Err(error.into());
            }
        }
        Ok(())
    }
}

impl Database {
    fn owner_url(self, settings: &Settings) -> Result<secrecy::SecretString> {
        let urls = settings.migration.as_ref().context("set [migration] secure_url and core_url (role clm_migrate)")?;
        Ok(match self {
            Self::Secure => urls.secure_url.clone(),
            Self::Core => urls.core_url.clone(),
        })
    }

    /// The service's own role writes the record.
    fn writer(self, settings: &Settings) -> Result<AuditLog> {
        let (section, name) = match self {
            Self::Secure => (&settings.secure_database, "secure_database"),
            Self::Core => (&settings.core_database, "core_database"),
        };
        let section = section.as_ref().with_context(|| format!("the settings have no section [{name}]"))?;
        let options: PgConnectOptions =
            section.url(name)?.expose_secret().parse().with_context(|| format!("{name}.url"))?;
        Ok(if section.pooler {
            AuditLog::start_pooled(options.statement_cache_capacity(0), self.table())
        } else {
            AuditLog::start(options, self.table())
        })
    }
}

fn event(event_type: &'static str, action: &'static str, month: Month, now: DateTime<Utc>, outcome: Outcome) -> Event {
    Event {
        id: Uuid::now_v7(),
        timestamp: now,
        event_type: event_type.into(),
        category: "system".into(),
        severity: Severity::Warning,
        organization_id: clm_core::ROOT_ORGANIZATION,
        resource_type: "audit_month".into(),
        resource_id: Some(month.to_string()),
        action: action.into(),
        outcome,
        error_message: None,
        result_sha256: None,
        request_id: Uuid::now_v7(),
        user_id: None,
        accessor: None,
        ip_address: None,
        user_agent: None,
        data: [].into(),
        arrival: None,
    }
}

fn sha256(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match std::io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            length => hasher.update(&buffer[..length]),
        }
    }
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn say(text: &str) {
    println!("{text}");
}
