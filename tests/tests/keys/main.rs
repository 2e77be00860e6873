//! The verbs around keys, from outside: what comes in, what goes out, and what is destroyed.
#![expect(clippy::unwrap_used, reason = "tests")]

mod agree;
mod agree_vectors;
mod alias;
mod backup;
mod byok;
mod callers;
mod certificate;
mod cmac;
mod crypto;
mod data_keys;
mod derived;
mod destruction;
mod encrypt;
mod export;
mod hmac;
mod import;
mod limits;
mod many;
mod nonces;
mod object;
mod post_quantum;
mod rsa;
mod secret_vectors;
mod sign;
mod state;
mod tools;
mod trim;
mod usage;
mod vectors;
mod versions;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tests::transit::{done, refused};
use tests::{Answer, Server, Site};

async fn started() -> (Site, Server) {
    started_with("").await
}

/// The server is ended, and another takes its place.
async fn restarted(site: &Site, server: Server) -> Server {
    site.restarted(server).await.unwrap()
}

/// `more` goes in front of the settings.
async fn started_with(more: &str) -> (Site, Server) {
    Site::started(more).await.unwrap()
}

async fn read(server: &Server, path: &str) -> Answer {
    server.get(&format!("transit/{path}")).await.unwrap()
}

/// The bytes of an exported key's first version.
async fn exported(server: &Server, kind: &str, name: &str) -> Vec<u8> {
    let answer = read(server, &format!("export/{kind}/{name}/1")).await;
    let text = answer.body["data"]["keys"]["1"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
    BASE64_STANDARD.decode(text).unwrap()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

async fn sign(server: &Server, key: &str, body: Value) -> String {
    done(server, &format!("sign/{key}"), body).await.text("signature").to_owned()
}

async fn verifies(server: &Server, key: &str, input: &[u8], signature: &str) -> bool {
    let body = json!({"input": b64(input), "signature": signature});
    done(server, &format!("verify/{key}"), body).await.body["data"]["valid"] == true
}
