//! Does the time of a failed login tell what was wrong? Two kinds of failure, one after the other in an order of chance over one connection, are
//! compared by ranks (Mann and Whitney, 1947): whatever else the machine does meets both alike.

use crate::load::refused;
use crate::service::Service;
use anyhow::{Result, ensure};
use serde_json::json;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

pub(super) const NAME: &str = "ACCESS failed logins";
/// Beyond so many standard deviations chance is no explanation: as dudect has it (Reparaz, Balasch, Verbauwhede, 2017).
const LEAK: f64 = 4.5;
/// Of each kind, at least.
const LEAST: usize = 50;
/// Does not count: connections, caches, the first secret that is opened.
const WARMING: usize = 5;

/// Two failures that nobody should tell apart: path and body of each.
struct Pair {
    name: &'static str,
    kinds: [(String, String); 2],
}

/// A table, with a verdict for each pair.
pub(super) async fn measure(service: &mut Service, window: Duration) -> Result<String> {
    service.speak_tls(false).await?;
    // Nobody is locked out meanwhile: that is another answer to the same question.
    let settings = std::fs::read_to_string(service.site.path("clm.toml"))?;
    std::fs::write(service.site.path("clm.toml"), format!("{settings}\n[login]\nlockout_failures = 1000000000\n"))?;
    let root = service.server.token.clone();
    service.restart().await?;
    service.server.token.clone_from(&root);
    let mut table = String::new();
    for pair in prepare(service).await? {
        let samples = sample(service, &pair, window).await?;
        let [one, other] = &samples;
        let (z, first_is_quicker) = ranks(one, other);
        let verdict = if z.abs() <= LEAK { "indistinguishable" } else { "**distinguishable**" };
        let median = |times: &[u64]| times[times.len() / 2] as f64 / 1e6;
        eprintln!("{NAME}, {}: {:.3} and {:.3} ms, z = {z:.2}: {verdict}", pair.name, median(one), median(other));
        writeln!(
            table,
            "| {} | {} | {:.3} | {:.3} | {first_is_quicker:.3} | {z:.2} | {verdict} |",
            pair.name,
            one.len(),
            median(one),
            median(other)
        )?;
    }
    std::fs::write(service.site.path("clm.toml"), settings)?;
    service.restart().await?;
    service.server.token = root;
    Ok(format!(
        "\n{NAME}: the times of two kinds over one connection, mixed by chance. `first quicker`: how often, of one of each, the first is (0.5: a coin); \
         beyond |z| = {LEAK} chance is no explanation:\n\n\
         | first, second | of each | median of the first, ms | of the second | first quicker | z | |\n|---|---|---|---|---|---|---|\n{table}"
    ))
}

async fn prepare(service: &Service) -> Result<Vec<Pair>> {
    let server = &service.server;
    for kind in ["approle", "userpass"] {
        let enabled = server.put(&format!("sys/auth/{kind}"), json!({ "type": kind })).await?;
        ensure!(enabled.status == 204 || enabled.error().contains("in use"), "{enabled:?}");
    }
    ensure!(server.put("auth/approle/role/timed", json!({"token_policies": "signs"})).await?.status == 204, "no role");
    let role_id = server.get("auth/approle/role/timed/role-id").await?.text("role_id").to_owned();
    for user in ["ann", "bob"] {
        let made = server.put(&format!("auth/userpass/users/{user}"), json!({"password": "right"})).await?;
        ensure!(made.status == 204, "{made:?}");
    }
    let enrolled = server.put("auth/userpass/users/bob/totp", json!({})).await?;
    let now = std::time::UNIX_EPOCH.elapsed()?.as_secs();
    let code = json!({"passcode": ::tests::totp(enrolled.text("secret"), now)?});
    let confirmed = server.put("auth/userpass/users/bob/totp/confirm", code).await?;
    ensure!(confirmed.status == 200, "{confirmed:?}");
    let other = "8f0b7a2e-7f5d-4c61-9d0e-1d8f5c2b3a49";
    let login = |path: &str, body: serde_json::Value| (format!("auth/{path}"), body.to_string());
    let user = |name: &str, password: &str| {
        login(&format!("userpass/login/{name}"), json!({"password": password, "passcode": "000000"}))
    };
    Ok(vec![
        Pair {
            name: "AppRole: wrong role, wrong secret",
            kinds: [
                login("approle/login", json!({"role_id": other, "secret_id": other})),
                login("approle/login", json!({"role_id": role_id, "secret_id": other})),
            ],
        },
        Pair { name: "userpass: unknown user, wrong password", kinds: [user("eve", "wrong"), user("ann", "wrong")] },
        Pair { name: "userpass: wrong password, wrong code", kinds: [user("bob", "wrong"), user("bob", "right")] },
        Pair { name: "userpass: unknown user, wrong code", kinds: [user("eve", "wrong"), user("bob", "right")] },
    ])
}

/// Nanoseconds of both kinds, sorted.
async fn sample(service: &Service, pair: &Pair, window: Duration) -> Result<[Vec<u64>; 2]> {
    let mut stream = TcpStream::connect(service.address()?).await?;
    stream.set_nodelay(true)?;
    let (mut buffer, mut samples, mut chance) = (Vec::new(), [Vec::new(), Vec::new()], 0x2545_f491_4f6c_dd1d_u64);
    let began = Instant::now();
    let mut round = 0;
    while round < LEAST + WARMING || began.elapsed() < window {
        // xorshift64: which of the two comes first.
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        let first = (chance >> 33) as usize & 1;
        for kind in [first, 1 - first] {
            let (path, body) = &pair.kinds[kind];
            let asked = Instant::now();
            refused(&mut stream, &mut buffer, path, body).await?;
            if round >= WARMING {
                samples[kind].push(u64::try_from(asked.elapsed().as_nanos())?);
            }
        }
        round += 1;
    }
    samples.iter_mut().for_each(|times| times.sort_unstable());
    Ok(samples)
}

/// How many standard deviations the sum of the first one's ranks is from what chance would give, and how often one of the first is the quicker.
fn ranks(one: &[u64], other: &[u64]) -> (f64, f64) {
    let (n, m) = (one.len() as f64, other.len() as f64);
    let wins: f64 = one
        .iter()
        .map(|time| {
            let smaller = other.partition_point(|rival| rival < time) as f64;
            let same = other.partition_point(|rival| rival <= time) as f64 - smaller;
            m - smaller - same / 2.0
        })
        .sum();
    ((wins - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt(), wins / (n * m))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorted, of a generator that both share, the second ones that much slower.
    fn drawn(count: usize, slower: u64) -> [Vec<u64>; 2] {
        let mut chance = 1_u64;
        let mut draw = || {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            1_000_000 + (chance >> 40) % 100_000
        };
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..count {
            samples[0].push(draw());
            samples[1].push(draw() + slower);
        }
        samples.iter_mut().for_each(|times| times.sort_unstable());
        samples
    }

    #[test]
    fn a_difference_is_seen_and_chance_is_not_taken_for_one() {
        let [one, other] = drawn(2_000, 0);
        let (z, share) = ranks(&one, &other);
        assert!(z.abs() < LEAK && (share - 0.5).abs() < 0.05, "{z} {share}");
        let [one, other] = drawn(2_000, 10_000);
        let (z, share) = ranks(&one, &other);
        assert!(z > LEAK && share > 0.55, "{z} {share}");
        assert!(ranks(&other, &one).0 < -LEAK);
        assert_eq!(ranks(&[1, 1], &[1, 1]), (0.0, 0.5));
    }
}
