//! `clm audit tail`: what is being recorded, while it is.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;
use tests::Site;

#[tokio::test]
async fn the_newest_records_of_both_logs_are_shown_and_those_that_follow() {
    let (site, server) = Site::started("").await.unwrap();
    server.put("transit/keys/ec", json!({"type": "ecdsa-p256"})).await.unwrap();
    let shown = site.succeeds(&["audit", "tail"]).unwrap();
    let records: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<&str> = records.iter().filter_map(|record| record["event"]["event_type"].as_str()).collect();
    assert!(types.contains(&"key.create") && types.contains(&"mount.enable"), "{types:?}");
    let of_core = site.succeeds(&["audit", "tail", "--database", "core"]).unwrap();
    assert!(!of_core.contains("key.create") && of_core.contains("mount.enable"), "{of_core}");

    let mut command = site.command(&["audit", "tail", "--since", "0", "--follow"]).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let (lines, news) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            if lines.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    // Asked again until it is heard: it may not look yet when the first is recorded.
    let mut heard = String::new();
    for _ in 0..60 {
        server.put("transit/sign/ec", json!({"input": "YQ=="})).await.unwrap();
        let next = news.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        if next.contains("key.sign") {
            heard = next;
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let record: Value = serde_json::from_str(&heard).unwrap();
    assert_eq!((&record["kind"], &record["event"]["outcome"]), (&json!("record"), &json!("success")), "{record}");
}
