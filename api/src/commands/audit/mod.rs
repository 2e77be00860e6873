//! `clm audit`: verifies both logs and names each place where they do not hold; exports them for a verifier without databases.

mod check;
mod detach;
mod export;
mod file;
mod live;
mod month;
mod signature;
mod tail;

use crate::settings::{Settings, holds_password};
use anyhow::{Context, Result, bail};
use audit_log::Table;
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Verify the hash chains and the signed checkpoints, of both logs as the role clm_auditor or of exported files. Exit code 1: something
    /// was changed.
    Verify(Verify),
    /// Write a log, or a month of it, to a file that `clm audit verify --file` verifies without the database.
    Export(Export),
    /// Take an exported month out of the database: its file is verified and compared first, and the log says so.
    Detach(detach::Detach),
    /// Show the newest records of both logs, as JSON lines; with `--follow` also those to come.
    Tail(tail::Tail),
    /// Put a detached month back, if its table was not dropped.
    Attach(detach::Attach),
}

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Public half of the audit key (PEM), as the ceremony printed it; again for an older key. Without it the keys in the database are
    /// believed.
    #[arg(long, value_name = "FILE")]
    public_key: Vec<PathBuf>,
    /// Verify an exported file; again for the next month.
    #[arg(long, value_name = "FILE", requires = "public_key", conflicts_with_all = ["checkpoints", "exported", "rows", "database", "secure_url", "core_url"])]
    file: Vec<PathBuf>,
    /// Believe the checkpoints in an exported file too: finds a tail that was cut off together with the checkpoints in the database.
    #[arg(long, value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Verify the exported file of a detached month too, and the database as its continuation; again for the next month.
    #[arg(long, value_name = "FILE")]
    exported: Vec<PathBuf>,
    /// Also compare the rows that carry a MAC with what the log says of them.
    #[arg(long)]
    rows: bool,
    /// One database only.
    #[arg(long, value_enum)]
    database: Option<Database>,
    #[command(flatten)]
    urls: Urls,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Which log.
    #[arg(long, value_enum)]
    database: Database,
    /// The file to make; it must not be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// That month (UTC) only.
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<month::Month>,
    #[command(flatten)]
    urls: Urls,
}

/// Over the settings' section `[auditor]`.
#[derive(Debug, clap::Args)]
struct Urls {
    /// `postgresql://clm_auditor@HOST/clm_secure_db`. No password here, where every user of this machine could read it: PGPASSWORD,
    /// ~/.pgpass or a client certificate.
    #[arg(long, value_name = "URL")]
    secure_url: Option<String>,
    /// The same for clm_core_db.
    #[arg(long, value_name = "URL")]
    core_url: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Database {
    /// clm_secure_db: keys.
    Secure,
    /// clm_core_db: tokens, policies, mounts.
    Core,
}

impl Database {
    fn table(self) -> Table {
        match self {
            Self::Secure => audit_log::SECURE,
            Self::Core => audit_log::CORE,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Secure => "clm_secure_db",
            Self::Core => "clm_core_db",
        }
    }

    fn url(self, urls: &Urls, settings: &Settings) -> Result<SecretString> {
        let flag = match self {
            Self::Secure => &urls.secure_url,
            Self::Core => &urls.core_url,
        };
        if let Some(url) = flag {
            if holds_password(url) {
                bail!(
                    "a password on the command line can be read by every user of this machine; set PGPASSWORD or use ~/.pgpass"
                );
            }
            return Ok(url.clone().into());
        }
        let section = settings.auditor.as_ref().context("set [auditor] secure_url and core_url (role clm_auditor)")?;
        Ok(match self {
            Self::Secure => section.secure_url.clone(),
            Self::Core => section.core_url.clone(),
        })
    }
}

pub(super) async fn run(command: &Command, settings: Settings) -> Result<ExitCode> {
    let good = match command {
        Command::Verify(verify) => verify.run(&settings).await?,
        Command::Export(export) => {
            let url = export.database.url(&export.urls, &settings)?;
            export::write(url.expose_secret(), export.database.table(), export.month, &export.out)
                .await
                .context(export.database.name())?;
            true
        }
        Command::Detach(detach) => detach.run(&settings).await.map(|()| true)?,
        Command::Tail(tail) => tail.run(&settings).await.map(|()| true)?,
        Command::Attach(attach) => attach.run(&settings).await.map(|()| true)?,
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Verify {
    async fn run(&self, settings: &Settings) -> Result<bool> {
        let keys = self.public_key.iter().map(|path| signature::read_key(path)).collect::<Result<Vec<_>>>()?;
        if !self.file.is_empty() {
            return file::verify(&self.file, &keys);
        }
        let kept = file::checkpoints(&self.checkpoints)?;
        let mut good = true;
        let databases = self.database.map_or(vec![Database::Secure, Database::Core], |database| vec![database]);
        for database in databases {
            let url = database.url(&self.urls, settings)?;
            let mut check = check::Check::new(database.table().name, keys.clone(), self.rows);
            check.kept(&kept);
            good &= live::verify(url.expose_secret(), database.table(), check, &self.exported)
                .await
                .context(database.name())?;
        }
        if keys.is_empty() {
            check::remark(
                "signatures were held against the key that the databases name: --public-key has them held against the one of the ceremony",
            );
        }
        Ok(good)
    }
}
