//! Where secrets are made: every route is called once, and those of keys once for each type of key, with a module between the workers and the
//! token that tells of each PKCS#11 call. From the answer and the calls it is judged (`judge`), never declared, whether this software had a
//! secret of its own; a yes must be on the closed list (`exceptions`). `make evidence` writes the table to docs/EVIDENCE.md.

mod exceptions;
mod judge;
mod page;

use super::recorded::{Known, notified};
use super::{requests, table::Row};
use exceptions::EXCEPTIONS;
use judge::{Answered, Finding, judge};
use keyvault::key::KeyAlgorithm;
use page::Line;
use serde_json::json;
use softhsm_fault::log::{Call, length, read};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tests::{Server, Site};

/// Keys whose contexts have keys of their own.
const CONVERGENT: &str = "aes256-gcm96-convergent";
/// These make the key that they name.
const MAKERS: [&str; 1] = ["transit-create-key"];

/// Every type that a key can have, and one whose contexts have keys of their own. What the token here cannot make is refused, and the page says so.
fn kinds() -> impl Iterator<Item = &'static str> {
    KeyAlgorithm::OF_ONE_SIZE.into_iter().map(KeyAlgorithm::name).chain(["hmac", CONVERGENT])
}

/// Types that SoftHSM2 knows nothing of.
fn may_be_missing(kind: &str) -> bool {
    kind.starts_with("ml-") || ["chacha20-poly1305", "x25519"].contains(&kind)
}

/// The service behind the spying module.
struct Spied {
    site: Site,
    server: Server,
    log: PathBuf,
    lines: Vec<Line>,
    /// Types of which no key was made.
    missing: Vec<&'static str>,
    known: Known,
}

impl Spied {
    async fn start() -> Self {
        let site =
            Site::ready("[seal]\ntype = 'shamir'\ngenerate_root = true\nrekey = true\n[audit]\ndevices = true\n")
                .await
                .unwrap();
        super::recorded::keep_certificates(&site).await;
        let log = site.spy().unwrap();
        let known = Known::of(&site).await;
        let server = site.serve().await.unwrap();
        server.until_health(501).await.unwrap();
        Self { site, server, log, lines: Vec::new(), missing: Vec::new(), known }
    }

    /// Calls, and judges: of the calls that the log gained meanwhile, those of workers that start or of a checkpoint aside.
    async fn ask(
        &mut self,
        row: &'static Row,
        kind: &'static str,
        method: &reqwest::Method,
        path: &str,
        body: Vec<u8>,
    ) -> tests::Answer {
        let before = length(&self.log);
        let sent = String::from_utf8(body.clone()).unwrap();
        let answer = self.server.ask(method.clone(), path, Some(body)).await.unwrap();
        assert!(!answer.status.is_server_error(), "{}: {answer:?}", row.id);
        if answer.status.is_success() {
            let calls: Vec<Call> = read(&self.log, before).into_iter().filter(judge::is_of_a_request).collect();
            let answered = Answered { id: row.id, event: row.event, kind, path, sent: &sent, body: &answer.body };
            let finding = judge(&answered, &calls);
            self.lines.push(Line { kind, id: row.id, finding, calls });
        }
        answer
    }

    /// Workers that start make calls that are no request's.
    async fn until_workers_are_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let status = self.server.get("sys/hsm/status").await.unwrap();
            let workers = status.body["data"]["workers"].as_array().cloned().unwrap_or_default();
            if !workers.is_empty() && workers.iter().all(|worker| worker["ready"] == true) {
                return;
            }
            assert!(Instant::now() < deadline, "{status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn every_secret_is_made_in_the_token_or_is_on_the_closed_list() {
    let mut spied = Spied::start().await;
    let mut known = std::mem::take(&mut spied.known);
    for request in requests() {
        let row = request.row;
        if row.id == "clm-list-notifications" {
            known.notification = notified(&spied.site).await;
        }
        let other = known.prepare(row, &mut spied.server).await;
        if row.id == "seal" {
            spied.server.token.clone_from(&known.root);
            each_type(&mut spied).await;
        }
        let path = known.fill(&request.path, &other);
        let body = known.fill(row.body, &other).into_bytes();
        let answer = spied.ask(row, "", &request.method, &path, body).await;
        spied.server.wrap_ttl.clear();
        if row.refused.is_some() {
            continue;
        }
        assert!(answer.status.is_success() || row.lacking, "{}: {answer:?}", row.id);
        known.learn(row, &answer, &mut spied.server).await;
        if row.id == "unseal" {
            spied.until_workers_are_ready().await;
        }
    }
    let lost: Vec<&str> = spied.missing.iter().copied().filter(|kind| !may_be_missing(kind)).collect();
    assert!(lost.is_empty(), "no key was made of {lost:?}");
    let page = page::page(&spied.lines, &spied.missing);
    let file = std::env::var_os("CLM_EVIDENCE");
    if file.is_some() {
        eprintln!("{page}");
    }
    let unlisted: Vec<String> = spied.lines.iter().filter(|line| !is_allowed(&line.finding)).map(Line::told).collect();
    assert!(unlisted.is_empty(), "not on the closed list of exceptions:\n{}", unlisted.join("\n"));
    let signed = spied.lines.iter().filter(|line| line.id == "transit-sign").count();
    assert!(signed >= 5, "{signed} types of key signed: the table would show too little");
    if let Some(file) = file {
        std::fs::write(file, page).unwrap();
    }
}

fn is_allowed(finding: &Finding) -> bool {
    match finding {
        Finding::Token(_) => true,
        Finding::Software(cause, _) => EXCEPTIONS.iter().any(|exception| exception.cause == *cause),
    }
}

/// The rows of keys, for a key of each type; what a type cannot do is refused.
async fn each_type(spied: &mut Spied) {
    for kind in kinds() {
        let mut known = Known::default();
        for row in super::TABLE
            .iter()
            .filter(|row| row.id.starts_with("transit-") && ["aes", "dh", "ec", "mac"].contains(&row.name))
        {
            let (method, path) = super::called(row, kind);
            let other = Default::default();
            let mut body = known.fill(row.body, &other).into_bytes();
            if MAKERS.contains(&row.id) {
                let derived = kind == CONVERGENT;
                let size = (kind == "hmac").then_some(32);
                let named = if derived { "aes256-gcm96" } else { kind };
                let wanted =
                    json!({"type": named, "key_size": size, "derived": derived, "convergent_encryption": derived});
                body = wanted.to_string().into_bytes();
            }
            let answer = spied.ask(row, kind, &method, &path, body).await;
            if answer.status.is_success() {
                known.learn(row, &answer, &mut spied.server).await;
            } else if MAKERS.contains(&row.id) {
                // Not offered.
                spied.missing.push(kind);
                break;
            }
        }
    }
}
