//! Keys in the millions: what making one, using one for the first time and using it again cost, with so many rows beside it. The rows are loaded by
//! `clm load-keys`, each a key that works; the server and its workers are started anew for each size, so that nothing of them is in a cache.

use crate::load::{self, PLAINTEXT};
use crate::raw;
use crate::service::Service;
use anyhow::{Context, Result, ensure};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

/// Keys that are made, and keys that are used, at each size.
const MADE: u64 = 200;
const USED: u64 = 1_000;

/// Measures at each of `sizes`, which rise; the table, as Markdown.
pub(crate) async fn measure(service: &mut Service, sizes: &[u64]) -> Result<String> {
    let mut text = String::from(
        "| wrapped keys | loaded, s | rows and indexes, MB | objects on the token | making one, ms | first use, ms | cached use, ms |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let mut core = service.site.core.superuser().await?;
    let (organization, mount): (Uuid, Uuid) =
        sqlx::query_as("SELECT organization_id, id FROM mounts WHERE path = 'transit/'").fetch_one(&mut core).await?;
    let mut there = 0;
    for size in sizes {
        ensure!(*size > there, "sizes must rise: {size} after {there}");
        let began = Instant::now();
        load(service, organization, mount, there, size - there)?;
        let loaded = began.elapsed();
        there = *size;
        sqlx::query("VACUUM ANALYZE").execute(&mut service.superuser).await?;
        service.restart().await?;
        let mut client = Client::connect(service).await?;
        let used = spread(*size);
        let first = client.each(used.iter().map(|number| encrypt(*number))).await?;
        let again = client.each(used.iter().map(|number| encrypt(*number))).await?;
        let made = client.each((0..MADE).map(|number| (format!("keys/made-{size}-{number}"), "{}"))).await?;
        let line = format!(
            "| {size} | {:.1} | {:.1} | {} | {made} | {first} | {again} |\n",
            loaded.as_secs_f64(),
            megabytes(&mut service.superuser).await?,
            objects(service)?
        );
        eprint!("{line}");
        text += &line;
    }
    let (holds, said) = service.verify_audit()?;
    ensure!(holds, "{said}");
    let _ = write!(
        text,
        "\nMilliseconds are p50 / p99 of one connection, one request after the other: {MADE} keys that are made, and {USED} keys (or all) spread over all of them, each\n\
         used to encrypt 12 bytes, once when neither server nor worker has seen it, and once again. First use reads and checks two rows, unwraps\n\
         the key in the token and reserves encryptions durably; all three wait for their record.\n"
    );
    Ok(text)
}

fn load(service: &Service, organization: Uuid, mount: Uuid, first: u64, count: u64) -> Result<()> {
    let numbers = [organization.to_string(), mount.to_string(), first.to_string(), count.to_string()];
    let [organization, mount, first, count] = &numbers;
    let arguments = ["load-keys", "--organization", organization, "--mount", mount, "--first", first, "--count", count];
    let output = service.site.command(&arguments)?.output()?;
    ensure!(output.status.success(), "clm load-keys: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Numbers of keys all over the table, in an order that is not theirs.
fn spread(size: u64) -> Vec<u64> {
    // The golden ratio's fraction of 2^64: multiples of it are spread evenly, whatever their number.
    let place = |number: u64| (u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * u128::from(size)) >> 64;
    let mut seen = BTreeSet::new();
    let places = (1..=4 * USED).filter_map(|number| u64::try_from(place(number)).ok());
    places.filter(|place| seen.insert(*place)).take(USED.min(size) as usize).collect()
}

fn encrypt(number: u64) -> (String, &'static str) {
    (format!("encrypt/key-{number}"), r#"{"plaintext":"MDAwMDAwMDAwMDAw"}"#)
}

/// Of keys, their versions and what belongs to them.
async fn megabytes(superuser: &mut PgConnection) -> Result<f64> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT (pg_total_relation_size('named_keys') + pg_total_relation_size('encryption_keys') + pg_total_relation_size('key_usage'))::bigint",
    )
    .fetch_one(superuser)
    .await?;
    Ok(bytes as f64 / 1e6)
}

/// Counted in a process of its own, because the module reads its environment.
fn objects(service: &Service) -> Result<usize> {
    let hsm = service.site.hsm()?;
    let output = std::process::Command::new(std::env::current_exe()?)
        .args([raw::COUNTER, hsm.module.to_str().context("UTF-8")?, &hsm.token])
        .arg(service.site.path("pin"))
        .envs(&hsm.environment)
        .output()?;
    ensure!(output.status.success(), "counting objects: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// One connection, kept alive.
struct Client {
    stream: TcpStream,
    token: String,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(service: &Service) -> Result<Self> {
        let stream = TcpStream::connect(service.address()?).await?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, token: service.token.clone(), buffer: Vec::new() };
        // Whatever is read once and kept for all keys.
        client.each((0..20).map(|_| ("encrypt/aes256-gcm96".to_owned(), r#"{"plaintext":""}"#))).await?;
        Ok(client)
    }

    /// Asks one after the other, below `transit/`; p50 and p99.
    async fn each(&mut self, requests: impl Iterator<Item = (String, &'static str)>) -> Result<String> {
        let mut took: Vec<Duration> = Vec::new();
        for (path, body) in requests {
            let request = format!(
                "PUT /v1/transit/{path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench\r\nx-vault-token: {}\r\ncontent-length: {}\r\n\r\n{body}",
                self.token,
                body.len()
            );
            let began = Instant::now();
            self.stream.write_all(request.as_bytes()).await?;
            load::answer(&mut self.stream, &mut self.buffer, PLAINTEXT).await?;
            took.push(began.elapsed());
        }
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
        Ok(format!("{:.2} / {:.2}", at(0.5), at(0.99)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_used_are_all_over_the_table_and_each_is_another() {
        assert_eq!(spread(100).len(), 100);
        let spread = spread(1_000_000);
        assert_eq!(spread.len(), 1_000);
        for tenth in 0..10 {
            let there = spread.iter().filter(|number| **number / 100_000 == tenth).count();
            assert!((90..=110).contains(&there), "{there} in tenth {tenth}");
        }
    }
}
