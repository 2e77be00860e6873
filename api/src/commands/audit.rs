//! `clm audit verify`: walks both logs and names each place where they do not hold.

use crate::settings::Settings;
use anyhow::{Context, Result};
use audit_chain::Verifier;
use audit_log::Table;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use futures_util::{TryStreamExt, pin_mut};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Verify the hash chains and the signed checkpoints of both logs, as the role clm_auditor. Exit code 1: something was changed.
    Verify {
        /// Public half of the audit key (PEM), as the ceremony printed it; without it the key in the database is believed.
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
    },
}

pub(super) async fn run(command: &Command, settings: Settings) -> Result<ExitCode> {
    let Command::Verify { public_key } = command;
    let urls = settings.auditor.context("set [auditor] secure_url and core_url (role clm_auditor)")?;
    let public_key = public_key.as_deref().map(read_public_key).transpose()?;
    let secure = verify(&urls.secure_url, audit_log::SECURE, public_key.as_deref()).await.context("clm_secure_db")?;
    let core = verify(&urls.core_url, audit_log::CORE, public_key.as_deref()).await.context("clm_core_db")?;
    Ok(if secure && core { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stdout, reason = "the findings are what was asked for")]
async fn verify(url: &SecretString, table: Table, public_key: Option<&[u8]>) -> Result<bool> {
    let mut connection = PgConnection::connect(url.expose_secret()).await?;
    let (mut good, mut checkpoints) = (true, Vec::new());
    for stored in audit_log::read_checkpoints(&mut connection).await? {
        let at = stored.checkpoint.created_at;
        let signed = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key.unwrap_or(&stored.public_key))
            .verify(&stored.checkpoint.signed_bytes(), &stored.signature)
            .is_ok();
        if signed {
            checkpoints.push(stored.checkpoint);
        } else {
            good = false;
            println!("{}: the checkpoint of {at} is not signed by the audit key", table.name);
        }
    }
    let mut verifier = Verifier::new(&checkpoints);
    {
        let records = audit_log::read_records(&mut connection, table);
        pin_mut!(records);
        while let Some(record) = records.try_next().await? {
            verifier.take(&record);
        }
    }
    let (chains, records, breaks) = verifier.finish();
    for found in &breaks {
        println!("{}: {found}", table.name);
    }
    good &= breaks.is_empty();
    let verdict = if good { "holds" } else { "DOES NOT HOLD" };
    println!(
        "{}: {verdict}: {records} records in {} chains, {} signed checkpoints",
        table.name,
        chains.len(),
        checkpoints.len()
    );
    Ok(good)
}

fn read_public_key(path: &Path) -> Result<Vec<u8>> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    let (label, der) = der::pem::decode_vec(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    anyhow::ensure!(label == "PUBLIC KEY", "{}: a `PUBLIC KEY` is wanted, not a `{label}`", path.display());
    Ok(der)
}
