//! Export for the holder of another key. That holder is aws-lc, or another mount of the same service.

use super::import::{P256, openssl, pair, wrapped};
use super::{b64, done, read, sign, started, started_with, verifies};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OaepAlgorithm, OaepPrivateDecryptingKey,
    PrivateDecryptingKey,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// What comes out of RSA-OAEP(key, AES key) ‖ AES-KWP(AES key, material).
fn unwrapped(private: &[u8], hash: &'static OaepAlgorithm, sent: &Value) -> Vec<u8> {
    let sent = BASE64_STANDARD.decode(sent.as_str().unwrap()).unwrap();
    let key = OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(private).unwrap()).unwrap();
    let (first, second) = sent.split_at(key.key_size_bytes());
    let (mut kek, mut material) = (vec![0; key.key_size_bytes()], vec![0; second.len()]);
    let kek = key.decrypt(hash, first, &mut kek, None).unwrap();
    AesKek::new(&AES_256, kek).unwrap().unwrap_with_padding(second, &mut material).unwrap().to_vec()
}

#[tokio::test]
async fn a_key_reaches_the_holder_of_another_as_it_is() {
    let (site, server) = started().await;
    let (holder, public) = pair(&site, "-algorithm RSA -pkeyopt rsa_keygen_bits:3072");
    done(&server, "keys/holder/import", json!({"type": "rsa-3072", "public_key": public})).await;
    let (private, public) = pair(&site, P256);
    for (name, kind, material) in [("pair", "ecdsa-p256", private), ("secret", "aes256-gcm96", vec![0x3c; 32])] {
        let ciphertext = wrapped(&server, &OAEP_SHA256_MGF1SHA256, &material).await;
        let body = json!({"type": kind, "ciphertext": ciphertext, "exportable": true, "allow_rotation": true});
        done(&server, &format!("keys/{name}/import"), body).await;
        for (query, hash) in [
            ("", &OAEP_SHA256_MGF1SHA256),
            ("?hash=SHA1", &OAEP_SHA1_MGF1SHA1),
            ("?hash=SHA384", &OAEP_SHA384_MGF1SHA384),
        ] {
            let answer = read(&server, &format!("byok-export/holder/{name}{query}")).await;
            let data = &answer.body["data"];
            assert_eq!((&data["name"], &data["type"]), (&json!(name), &json!(kind)), "{answer:?}");
            let got = unwrapped(&holder, hash, &data["keys"]["1"]);
            if name == "secret" {
                assert_eq!(got, material, "{query}");
                continue;
            }
            std::fs::write(site.path("got.der"), &got).unwrap();
            let half = openssl(&site, "pkey -inform DER -in got.der -pubout");
            assert_eq!(String::from_utf8(half).unwrap(), public, "{query}");
        }
    }
    // Over SHA-224, which openssl undoes.
    std::fs::write(site.path("holder.der"), &holder).unwrap();
    let answer = read(&server, "byok-export/holder/secret?hash=SHA224").await;
    let sent = BASE64_STANDARD.decode(answer.body["data"]["keys"]["1"].as_str().unwrap()).unwrap();
    std::fs::write(site.path("sent"), &sent[..384]).unwrap();
    let oaep = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha224";
    let kek = openssl(&site, &format!("pkeyutl -decrypt -keyform DER -inkey holder.der {oaep} -in sent"));
    let mut material = vec![0; sent.len() - 384];
    let material = AesKek::new(&AES_256, &kek).unwrap().unwrap_with_padding(&sent[384..], &mut material).unwrap();
    assert_eq!(material, [0x3c; 32]);
    // Versions, one and all.
    done(&server, "keys/secret/rotate", json!({})).await;
    let versions = async |path: &str| -> Vec<String> {
        let answer = read(&server, path).await;
        answer.body["data"]["keys"].as_object().unwrap_or_else(|| panic!("{answer:?}")).keys().cloned().collect()
    };
    assert_eq!(versions("byok-export/holder/secret").await, ["1", "2"]);
    assert_eq!(versions("byok-export/holder/secret/2").await, ["2"]);
    assert_eq!(versions("byok-export/holder/secret/latest").await, ["2"]);

    let mut superuser = site.secure.superuser().await.unwrap();
    let told = "SELECT count(*) FROM secure_audit_log WHERE event_type = 'key.export' AND severity = 'warning' AND event_category = 'export' \
                AND result = 'success' AND event_data ->> 'destination' = 'holder'";
    let told: i64 = sqlx::query_scalar(told).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(told, 10);
}

#[tokio::test]
async fn a_mount_takes_in_what_another_exports_for_it() {
    let (_site, server) = started().await;
    assert_eq!(server.put("sys/mounts/other", json!({"type": "transit"})).await.unwrap().status, 204);
    let theirs = server.get("other/wrapping_key").await.unwrap().text("public_key").to_owned();
    done(&server, "keys/theirs/import", json!({"type": "rsa-4096", "public_key": theirs})).await;
    for kind in ["ecdsa-p384", "rsa-2048"] {
        done(&server, &format!("keys/{kind}"), json!({"type": kind, "exportable": true})).await;
        let exported = read(&server, &format!("byok-export/theirs/{kind}")).await;
        let body = json!({"type": kind, "ciphertext": exported.body["data"]["keys"]["1"]});
        let imported = server.put(&format!("other/keys/{kind}/import"), body).await.unwrap();
        assert_eq!(imported.status, 204, "{imported:?}");
        let signed = server.put(&format!("other/sign/{kind}"), json!({"input": b64("m")})).await.unwrap();
        assert!(verifies(&server, kind, b"m", signed.text("signature")).await, "{kind}");
    }
}

#[tokio::test]
async fn a_key_that_was_not_made_to_leave_is_exported_for_nobody() {
    let (_site, server) = started().await;
    done(&server, "keys/rsa", json!({"type": "rsa-2048"})).await;
    done(&server, "keys/ec", json!({"type": "ecdsa-p256", "exportable": true})).await;
    done(&server, "keys/stays", json!({"type": "ecdsa-p256"})).await;
    done(&server, "keys/hard", json!({"type": "ecdsa-p256", "exportable": true, "storage": "token"})).await;
    for (path, ends) in [
        ("rsa/stays", "key is not exportable"),
        ("rsa/hard", "(storage = token), which nobody can export"),
        ("ec/ec", "unsupported key type in use; must be a rsa key"),
        ("none/ec", "no such destination key to export to"),
        ("rsa/none", "no such source key to export"),
        ("rsa/ec/2", "version does not exist or cannot be found"),
        ("rsa/ec/0", "version for export is below minimum decryption version"),
        ("rsa/ec/x", "invalid key version"),
        ("rsa/ec?hash=md5", "unknown hash function: md5"),
    ] {
        let answer = read(&server, &format!("byok-export/{path}")).await;
        assert_eq!(answer.status, if path.contains("none") { 404 } else { 400 }, "{path}: {answer:?}");
        assert!(answer.error().ends_with(ends), "{path}: {answer:?}");
    }
    // It works on as if nobody had asked.
    let signature = sign(&server, "stays", json!({"input": b64("m")})).await;
    assert!(verifies(&server, "stays", b"m", &signature).await);

    let (_site, server) = started_with("fips = true").await;
    done(&server, "keys/rsa", json!({"type": "rsa-2048"})).await;
    done(&server, "keys/ec", json!({"type": "ecdsa-p256", "exportable": true})).await;
    let answer = read(&server, "byok-export/rsa/ec").await;
    assert!(answer.status == 400 && answer.error().contains("fips: "), "{answer:?}");
}
