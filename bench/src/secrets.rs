//! Secrets: writing, reading and listing them beside the token's own rate of AES-GCM for values of the same length, and reading one of a hundred, of
//! ten thousand and of a million.
//!
//! The many are loaded by keyvault's own function for that (`Vault::load_secrets`), which has the token encrypt and make MACs in batches of a
//! thousand: each row is one that the service wrote, with its record.

mod fill;
mod traffic;

use crate::postgres;
use crate::raw::{self, Key, Rate};
use crate::service::Service;
use anyhow::{Result, ensure};
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;
use traffic::{Asked, Traffic};

/// Bytes of the one field of a value.
const VALUE: usize = 200;
/// Where the rows of each size are.
const SIZES: [(&str, u32); 3] = [("hundred", 100), ("myriad", 10_000), ("million", 1_000_000)];
/// Secrets that are written over and over, and those of a folder that is listed.
const WRITTEN: u32 = 1_000;
const LISTED: u32 = 100;

/// A table of its own, and whether all held.
pub(crate) async fn measure(
    service: &mut Service,
    window: Duration,
    only: &str,
    connections: Option<usize>,
) -> Result<Option<(String, bool)>> {
    let wanted = |asked: Asked, count: usize| {
        asked.name().starts_with(only) && connections.is_none_or(|connections| connections == count)
    };
    let rows: Vec<(Asked, usize)> = [8, 64]
        .into_iter()
        .flat_map(|count| [Asked::Write, Asked::Read(0), Asked::List].map(|asked| (asked, count)))
        .chain((0..SIZES.len()).map(|size| (Asked::Read(size), 1)))
        .filter(|(asked, count)| wanted(*asked, *count))
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    service.speak_tls(false).await?;
    let token = prepare(service, rows.iter().any(|(asked, _)| *asked == Asked::Read(2))).await?;
    let length = value(0).len();
    let before = raw::measure(&service.site, Key::Aes256, length, window)?;
    let (mut table, mut all_hold) = (String::new(), true);
    for (asked, connections) in rows {
        let auditor = service.auditor();
        let heads = postgres::heads(&auditor).await?;
        let traffic = Traffic { address: service.address()?, token: token.clone(), connections, asked };
        let answered = traffic.run(window).await?;
        let (records, _) = postgres::records(&auditor, asked.event(), &heads).await?;
        let holds = records == answered.answers;
        all_hold &= holds;
        let rate = answered.latencies.len() as f64 / answered.window.as_secs_f64();
        let ms = |share| f64::from(answered.percentile(share)) / 1e3;
        eprintln!(
            "{} at {connections}: {rate:.0} requests/s, p50 {:.2} ms; {} answers = {records} records",
            asked.name(),
            ms(0.5),
            answered.answers
        );
        let held = if holds { "=" } else { "**FAILED** ≠" };
        let _ = writeln!(
            table,
            "| {} | {connections} | {rate:.0} | {} | {:.2} | {:.2} | {} {held} {records} |",
            asked.name(),
            share(&before, rate, asked),
            ms(0.5),
            ms(0.99),
            answered.answers
        );
    }
    let after = raw::measure(&service.site, Key::Aes256, length, window)?;
    let mut text = format!(
        "Secrets: values of {VALUE} bytes in the KV engine of version 2, {length} as JSON. The token by itself encrypts so many such texts a second with AES-256-GCM, before and after:\n\n\
         | object | in | before | after |\n|---|---|---|---|\n"
    );
    for (before, after) in before.iter().zip(&after) {
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.0} |",
            before.object,
            if before.processes == 1 { "one process" } else { "two processes" },
            before.per_second,
            after.per_second
        );
    }
    let _ = writeln!(
        text,
        "\n`raw`: encryptions or decryptions a second as a share of that, in two processes, before. A read at one connection shows whether it costs more among more secrets:\n\n\
         | request | connections | requests/s | raw | p50 ms | p99 ms | answers = records |\n|---|---|---|---|---|---|---|\n{table}"
    );
    let (holds, said) = service.verify_audit()?;
    if !holds {
        eprintln!("FAILED: {said}");
    }
    Ok(Some((text, all_hold && holds)))
}

/// A list encrypts nothing.
fn share(raw: &[Rate], rate: f64, asked: Asked) -> String {
    let two = raw.iter().find(|rate| rate.processes == 2).map_or(f64::NAN, |rate| rate.per_second);
    if asked == Asked::List { String::new() } else { format!("{:.3}", rate / two) }
}

/// Mounts with secrets in them, and a token for these alone.
async fn prepare(service: &mut Service, with_million: bool) -> Result<String> {
    let server = &service.server;
    for (name, _) in SIZES {
        let mounted = server.put(&format!("sys/mounts/{name}"), json!({"type": "kv-v2"})).await?;
        ensure!(mounted.status == 204, "{mounted:?}");
    }
    let policy = SIZES.map(|(name, _)| {
        format!("path \"{name}/*\" {{ capabilities = [\"create\", \"read\", \"update\", \"list\"] }}\n")
    });
    let written = server.put("sys/policies/acl/secrets", json!({ "policy": policy.concat() })).await?;
    ensure!(written.status == 204, "{written:?}");
    let made = server.put("auth/token/create", json!({"policies": ["secrets"], "no_default_policy": true})).await?;
    let token = made.body["auth"]["client_token"].as_str().unwrap_or_default().to_owned();
    for (name, count) in SIZES {
        if count <= 10_000 || with_million {
            let mount = server.get(&format!("sys/mounts/{name}")).await?.text("uuid").parse()?;
            fill::fill(&service.site, mount, count).await?;
        }
    }
    Ok(token)
}

/// Where a secret is; the first hundred of each mount are also what is listed.
fn path(number: u32) -> String {
    format!("f{}/s{}", number / LISTED, number % LISTED)
}

/// JSON of a value.
fn value(number: u64) -> String {
    format!("{{\"v\":\"{number:0width$}\"}}", width = VALUE)
}
