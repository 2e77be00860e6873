//! The server and PostgreSQL are killed in a storm of writes: what was acknowledged is there, and nothing is half there.

use super::done;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tests::process::{alive, descendants, signal};
use tests::{Cluster, Server, Site, until};
use tokio::task::JoinSet;

const WRITERS: usize = 8;
/// Who is killed, and who ends by that, is gone within this.
const SOON: Duration = Duration::from_secs(10);

/// Where the service is, and whether the storm goes on.
struct Storm {
    server: RwLock<Option<(String, String)>>,
    acknowledged: AtomicU64,
}

/// Writes its own secret over and over; what it sent with which number, and which version was acknowledged for what.
async fn write(storm: Arc<Storm>, writer: usize) -> (u64, BTreeMap<i64, u64>) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let (mut sent, mut acknowledged) = (0, BTreeMap::new());
    loop {
        let Some((address, token)) = storm.server.read().unwrap().clone() else { return (sent, acknowledged) };
        sent += 1;
        let body = json!({"data": {"number": sent, "filling": "x".repeat(2_000)}}).to_string();
        let url = format!("{address}/v1/secret/data/w{writer}");
        let answer = client.post(url).header("X-Vault-Token", token).body(body).send().await;
        match answer {
            Ok(answer) if answer.status() == 200 => {
                // Cut off in the middle of its answer it acknowledged nothing.
                let Ok(bytes) = answer.bytes().await else { continue };
                let body: Value = serde_json::from_slice(&bytes).unwrap();
                acknowledged.insert(body["data"]["version"].as_i64().unwrap(), sent);
                storm.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            // A client's own pause before it asks a service that is not there again.
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

impl Storm {
    fn direct(&self, server: &Server) {
        *self.server.write().unwrap() = Some((server.address().to_owned(), server.token.clone()));
    }

    async fn acknowledges(&self, more: u64) {
        let wanted = self.acknowledged.load(Ordering::Relaxed) + more;
        let acknowledged = async || self.acknowledged.load(Ordering::Relaxed) >= wanted;
        until(Duration::from_secs(60), "writes are acknowledged", true, acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_version_is_there_and_none_is_half_there() {
    let cluster = Cluster::start("").unwrap();
    let site = Site::ready_in(&cluster).await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    done(&server, "POST sys/mounts/secret {\"type\":\"kv-v2\"}").await;
    done(&server, "POST secret/config {\"max_versions\":10000}").await;
    let storm = Arc::new(Storm { server: RwLock::default(), acknowledged: AtomicU64::new(0) });
    storm.direct(&server);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let storm = Arc::clone(&storm);
        writers.spawn(async move { (writer, write(storm, writer).await) });
    }
    for kill in 0..4_u64 {
        storm.acknowledges(20 + kill * 7).await;
        if kill % 2 == 0 {
            let (token, followers) = (server.token.clone(), descendants(server.pid()));
            assert!(signal(server.pid(), "KILL"));
            drop(server);
            let outlive = async || followers.iter().any(|pid| alive(*pid));
            until(SOON, "workers outlive their server", false, outlive).await;
            server = site.serve().await.unwrap();
            server.token = token;
            storm.direct(&server);
        } else {
            let postmaster = cluster.postmaster().unwrap();
            assert!(signal(postmaster, "KILL"));
            let there = async || Path::new(&format!("/proc/{postmaster}")).exists();
            until(SOON, "the postmaster is there", false, there).await;
            cluster.resume().unwrap();
        }
    }
    storm.acknowledges(20).await;
    *storm.server.write().unwrap() = None;
    let mut all = 0;
    while let Some(told) = writers.join_next().await {
        let (writer, (sent, acknowledged)) = told.unwrap();
        let path = format!("w{writer}");
        let newest = done(&server, &format!("GET secret/metadata/{path}")).await["current_version"].as_i64().unwrap();
        let mut before = 0;
        for version in 1..=newest {
            let read = done(&server, &format!("GET secret/data/{path}?version={version}")).await;
            let number = read["data"]["number"].as_u64().unwrap();
            // One writer: its numbers rise with the versions, acknowledged or not, and none is there twice.
            assert!(before < number && number <= sent, "{path}: version {version} is {number} after {before}");
            before = number;
            assert_eq!(read["data"]["filling"].as_str().unwrap().len(), 2_000);
            assert!(acknowledged.get(&version).is_none_or(|sent| *sent == number), "{path}: version {version}");
        }
        let last = acknowledged.keys().next_back().copied().unwrap_or_default();
        assert!(last <= newest, "{path}: version {last} was acknowledged, {newest} is the newest");
        all += acknowledged.len();
    }
    assert!(all > 100, "{all} writes are no storm");
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}
