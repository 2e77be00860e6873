//! Encrypting with RSA keys.

use super::encrypt::bytes;
use super::{b64, done, read, refused, started, started_with};
use serde_json::json;
use std::process::Command;
use tests::Site;

const FAILED: &str = "failed to RSA decrypt the ciphertext: crypto/rsa: decryption error";

/// What `openssl pkeyutl` makes of `input` by RSA-OAEP with SHA-256.
fn openssl(site: &Site, arguments: &[&str], pem: &str, input: &[u8]) -> Vec<u8> {
    std::fs::write(site.path("rsa.pem"), pem).unwrap();
    std::fs::write(site.path("input"), input).unwrap();
    let oaep = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"];
    let output = Command::new("openssl")
        .arg("pkeyutl")
        .args(arguments)
        .args(oaep)
        .arg("-inkey")
        .arg(site.path("rsa.pem"))
        .arg("-in")
        .arg(site.path("input"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn openssl_decrypts_what_was_encrypted_and_is_decrypted() {
    let (site, server) = started().await;
    for (name, body, longest) in [
        ("r2", json!({"type": "rsa-2048", "exportable": true}), 190),
        ("r3", json!({"type": "rsa-3072", "exportable": true}), 318),
        ("hard", json!({"type": "rsa-2048", "storage": "token"}), 190),
    ] {
        done(&server, &format!("keys/{name}"), body).await;
        let public = read(&server, &format!("export/public-key/{name}")).await.body["data"]["keys"]["1"].clone();
        let (encrypt, decrypt) = (format!("encrypt/{name}"), format!("decrypt/{name}"));
        for plaintext in [&b"pay 100 to Alice"[..], b"", &vec![7; longest]] {
            let ours =
                done(&server, &encrypt, json!({"plaintext": b64(plaintext)})).await.text("ciphertext").to_owned();
            let opened = done(&server, &decrypt, json!({"ciphertext": ours})).await;
            assert_eq!(opened.text("plaintext"), b64(plaintext));
            if name != "hard" {
                let private = read(&server, &format!("export/encryption-key/{name}?format=pem")).await;
                let private = private.body["data"]["keys"]["1"].as_str().unwrap().to_owned();
                assert_eq!(openssl(&site, &["-decrypt"], &private, &bytes(&ours)), plaintext);
            }
            let theirs = openssl(&site, &["-encrypt", "-pubin"], public.as_str().unwrap(), plaintext);
            let theirs = format!("vault:v1:{}", b64(theirs));
            assert_eq!(done(&server, &decrypt, json!({"ciphertext": theirs})).await.text("plaintext"), b64(plaintext));
        }
        let too_long = json!({"plaintext": b64(vec![7; longest + 1])});
        refused(&server, &encrypt, too_long, &format!("{} bytes, where {longest} fit", longest + 1)).await;
    }
    // A worker undid the padding, because SoftHSM2 knows OAEP with SHA-1 alone: that is on record.
    let mut superuser = site.secure.superuser().await.unwrap();
    let told = "SELECT count(*) FROM secure_audit_log WHERE event_type = 'key.decrypt' AND (event_data ->> 'unpadded_in_worker')::boolean";
    let told: i64 = sqlx::query_scalar(told).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(told, 3 * 3 * 2);
}

#[tokio::test]
async fn what_no_rsa_key_can_do_is_refused_and_no_refusal_tells_how_a_padding_is_wrong() {
    let (_site, server) = started().await;
    done(&server, "keys/rsa", json!({"type": "rsa-2048"})).await;
    let good = done(&server, "encrypt/rsa", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    let mut damaged = bytes(&good);
    damaged[200] ^= 1;
    let mut beyond = vec![0xff; 256];
    beyond[255] = 0;
    for wrong in [damaged, beyond, vec![0; 256], vec![1; 255], vec![1; 257], Vec::new()] {
        refused(&server, "decrypt/rsa", json!({"ciphertext": format!("vault:v1:{}", b64(wrong))}), FAILED).await;
    }
    let aad = "'[0].associated_data' provided for non-AEAD cipher suite rsa-2048";
    refused(&server, "encrypt/rsa", json!({"plaintext": "", "associated_data": "YWFk"}), aad).await;
    refused(&server, "decrypt/rsa", json!({"ciphertext": good, "associated_data": "YWFk"}), aad).await;
    let batch = json!({"batch_input": [{"ciphertext": good, "reference": "a"}, {"ciphertext": "vault:v1:YWJj"}]});
    let answer = server.put("transit/decrypt/rsa", batch).await.unwrap();
    let expected = json!([
        {"plaintext": b64("m"), "reference": "a"},
        {"plaintext": "", "error": FAILED, "reference": ""},
    ]);
    assert_eq!((answer.status.as_u16(), &answer.body["data"]["batch_results"]), (400, &expected));
    done(&server, "keys/rsa/rotate", json!({})).await;
    let rewrapped = done(&server, "rewrap/rsa", json!({"ciphertext": good})).await.text("ciphertext").to_owned();
    assert!(rewrapped.starts_with("vault:v2:"), "{rewrapped}");
    assert_eq!(done(&server, "decrypt/rsa", json!({"ciphertext": rewrapped})).await.text("plaintext"), b64("m"));
    let made = done(&server, "datakey/plaintext/rsa", json!({})).await;
    let opened = done(&server, "decrypt/rsa", json!({"ciphertext": made.text("ciphertext")})).await;
    assert_eq!(opened.text("plaintext"), made.text("plaintext"));
}

#[tokio::test]
async fn with_fips_no_padding_is_undone_outside_the_token() {
    let (_site, server) = started_with("fips = true").await;
    done(&server, "keys/rsa", json!({"type": "rsa-2048"})).await;
    let ciphertext = done(&server, "encrypt/rsa", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    refused(&server, "decrypt/rsa", json!({"ciphertext": ciphertext}), "it is not to be undone outside it").await;
}
