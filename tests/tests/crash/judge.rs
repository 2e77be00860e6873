//! Whether what clients were told is true, and databases, log and token say the same.

use crate::load::{Signature, Told};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hsm_bridge::Bridge;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use tests::{Server, Site};
use uuid::Uuid;

/// All of it.
pub(crate) async fn all(site: &Site, server: &Server, told: &Told) {
    server.until_health(200).await.unwrap();
    let mut secure = site.secure.superuser().await.unwrap();
    records(&mut secure, told).await;
    rows(&mut secure).await;
    keys(server, told).await;
    objects(site, server, &mut secure, told).await;
    let said = site.succeeds(&["audit", "verify", "--rows"]).unwrap();
    assert!(said.contains("secure_audit_log: holds") && said.contains("\naudit_log: holds"), "{said}");
    said.lines().filter(|line| line.contains(" chain ")).for_each(|line| eprintln!("{line}"));
}

/// Every success that a client was told of has its record, once; of a signature with its hash.
async fn records(secure: &mut PgConnection, told: &Told) {
    let all = "SELECT user_agent, event_type, request_id::text, encode(result_sha256, 'hex') FROM secure_audit_log \
               WHERE user_agent LIKE 'crash-%' AND result = 'success'";
    let all: Vec<(String, String, String, Option<String>)> = sqlx::query_as(all).fetch_all(secure).await.unwrap();
    let mut records = BTreeMap::new();
    for (user_agent, event_type, request_id, hash) in all {
        let other = records.insert(user_agent.clone(), (event_type, request_id, hash));
        assert!(other.is_none(), "two records of {user_agent}: {other:?}, {:?}", records[&user_agent]);
    }
    assert!(!told.done.is_empty());
    for done in &told.done {
        let Some((event_type, request_id, hash)) = records.get(&done.user_agent) else {
            panic!("answered, and there is no record: {done:?}");
        };
        assert_eq!(event_type, done.event_type, "{done:?}");
        assert!(done.request_id.is_empty() || *request_id == done.request_id, "{request_id}: {done:?}");
        if let Some(signature) = &done.signature {
            let expected = hex::encode(digest(&SHA256, &signature.bytes()));
            assert_eq!(hash.as_ref(), Some(&expected), "{done:?}");
        }
    }
}

/// A row's revision counts the changes in the log, and a key has the versions that it says; `--rows` of the verification compares MACs.
async fn rows(secure: &mut PgConnection) {
    let wrong = "SELECT n.name || ': revision ' || n.revision || ', ' || count(l.seq) || ' records; version ' || n.latest_version || ', ' || \
                 (SELECT count(*) FROM private_keys p WHERE p.named_key_id = n.id) || ' versions' \
                 FROM named_keys n LEFT JOIN secure_audit_log l ON l.resource_id = n.id::text AND l.result = 'success' \
                 AND l.event_type IN ('key.create', 'key.rotate', 'key.configure', 'key.delete') GROUP BY n.id \
                 HAVING count(l.seq) <> n.revision OR n.latest_version <> (SELECT count(*) FROM private_keys p WHERE p.named_key_id = n.id)";
    let wrong: Vec<String> = sqlx::query_scalar(wrong).fetch_all(secure).await.unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Listed is what was made and not deleted, perhaps what nobody was told of, and nothing else; each version of each listed key signs, and what
/// was signed before verifies.
async fn keys(server: &Server, told: &Told) {
    let listed = server.ask(Method::from_bytes(b"LIST").unwrap(), "transit/keys", None).await.unwrap();
    let listed: Vec<String> = serde_json::from_value(listed.body["data"]["keys"].clone()).unwrap();
    for (name, key) in &told.keys {
        let there = listed.contains(name);
        assert!(there || !key.made || key.deletion_asked, "{name} was made, and is not there: {key:?}");
        assert!(!there || !key.deletion_done, "{name} was deleted, and is there: {key:?}");
    }
    let mut public = BTreeMap::new();
    for name in &listed {
        let key = told.keys.get(name).unwrap_or_else(|| panic!("nobody asked for {name}"));
        let shown = server.get(&format!("transit/keys/{name}")).await.unwrap();
        let latest = shown.body["data"]["latest_version"].as_u64().unwrap();
        assert!((key.rotations_done..=key.rotations_asked).contains(&(latest - 1)), "{name} {latest}: {key:?}");
        for version in 1..=latest {
            let kept = shown.body["data"]["keys"][version.to_string()]["public_key"].clone();
            public.insert((name.clone(), version), PublicKey::of(&shown.body["data"]["type"], &kept));
            let body = json!({"input": "YQ==", "key_version": version});
            let signed = server.put(&format!("transit/sign/{name}"), body).await.unwrap();
            assert_eq!(signed.status, 200, "half-made: {name}, version {version}: {signed:?}");
            let text = signed.text("signature").to_owned();
            let signature = Signature { key: name.clone(), message: b"a".into(), text };
            assert_eq!(signature.version(), version);
            assert!(public[&(name.clone(), version)].verifies(&signature), "{signature:?}");
        }
    }
    let mut verified = 0;
    for signature in told.signatures().filter(|signature| listed.contains(&signature.key)) {
        let key = public.get(&(signature.key.clone(), signature.version()));
        assert!(key.is_some_and(|key| key.verifies(signature)), "{signature:?}");
        verified += 1;
    }
    eprintln!("{} keys with {} versions are there; {verified} signatures verify", listed.len(), public.len());
}

/// Each object on the token has its row or, after a repair, is listed; no more of these than key-making requests whose answers left it open.
async fn objects(site: &Site, server: &Server, secure: &mut PgConnection, told: &Told) {
    let repaired = server.put("sys/hsm/integrity", json!({})).await.unwrap();
    assert_eq!(repaired.status, 200, "{repaired:?}");
    let checked = server.get("sys/hsm/integrity").await.unwrap();
    let orphans = checked.body["data"]["orphans"].as_array().unwrap_or_else(|| panic!("{checked:?}"));
    let known: BTreeSet<&str> = orphans
        .iter()
        .map(|orphan| {
            assert_eq!(orphan["kind"], "object_without_row", "{orphan}");
            orphan["id"].as_str().unwrap()
        })
        .collect();
    let unclear: u64 = told.keys.values().map(|key| key.unclear).sum();
    assert!(known.len() as u64 <= unclear, "{} objects of {unclear} requests: {known:?}", known.len());

    let rows = "SELECT hsm_key_id FROM private_keys WHERE hsm_key_id IS NOT NULL AND key_state <> 'destroyed'";
    let rows: Vec<Uuid> = sqlx::query_scalar(rows).fetch_all(secure).await.unwrap();
    let bridge = Bridge::open(site.hsm().unwrap()).await.unwrap();
    let objects: BTreeSet<Uuid> =
        bridge.find_objects("clm-key-").await.unwrap().iter().filter_map(|object| object.id).collect();
    assert!(rows.iter().all(|id| objects.contains(id)), "a row without its object");
    let nameless: Vec<&Uuid> =
        objects.iter().filter(|id| !rows.contains(id) && !known.contains(id.to_string().as_str())).collect();
    assert!(nameless.is_empty(), "on the token without a row, and not listed: {nameless:?}");
    eprintln!("{} objects on the token; {} without a row, of {unclear} unclear answers", objects.len(), known.len());
}

enum PublicKey {
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// As `transit/keys` shows it: PEM, of Ed25519 its bytes in base64.
    fn of(kind: &Value, shown: &Value) -> Self {
        let shown = shown.as_str().unwrap();
        let text: String = shown.lines().filter(|line| !line.starts_with('-')).collect();
        let bytes = BASE64_STANDARD.decode(&text).unwrap();
        match kind.as_str().unwrap() {
            "ed25519" => Self::Ed25519(bytes),
            // A SubjectPublicKeyInfo ends with the point.
            _ => Self::P256(bytes[bytes.len() - 65..].into()),
        }
    }

    fn verifies(&self, signature: &Signature) -> bool {
        let made = signature.bytes();
        match self {
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(&signature.message, &made)
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(&signature.message, &made),
        }
        .is_ok()
    }
}

impl Signature {
    fn version(&self) -> u64 {
        self.text.strip_prefix("vault:v").and_then(|rest| rest.split_once(':')).unwrap().0.parse().unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(self.text.rsplit_once(':').unwrap().1).unwrap()
    }
}
