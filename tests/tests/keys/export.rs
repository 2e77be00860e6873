//! Export.

use super::{b64, done, read, sign, started, started_with};
use serde_json::json;
use std::process::Command;
use tests::{Site, openssl};

/// Whether `openssl` reads that private key, and which public key it has.
fn public_half(site: &Site, private: &str) -> String {
    std::fs::write(site.path("exported.pem"), private).unwrap();
    let output =
        Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(site.path("exported.pem")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_key_made_exportable_leaves_in_the_forms_that_clients_read() {
    let (site, server) = started().await;
    for (name, kind, header) in [
        ("ec", "ecdsa-p256", "EC PRIVATE KEY"),
        ("ec5", "ecdsa-p521", "EC PRIVATE KEY"),
        ("rsa", "rsa-2048", "RSA PRIVATE KEY"),
    ] {
        done(&server, &format!("keys/{name}"), json!({"type": kind, "exportable": true})).await;
        let public = read(&server, &format!("export/public-key/{name}")).await.body["data"].clone();
        let (public, told) = (public["keys"]["1"].as_str().unwrap().to_owned(), public["type"].clone());
        assert_eq!(told, kind);
        for (format, header) in [("", header), ("pem", "PRIVATE KEY")] {
            let path = format!("export/signing-key/{name}/1?format={format}");
            let answer = read(&server, &path).await;
            let private = answer.body["data"]["keys"]["1"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
            assert!(private.starts_with(&format!("-----BEGIN {header}-----\n")), "{private}");
            assert_eq!(private.ends_with('\n'), kind == "rsa-2048");
            assert_eq!(public_half(&site, &private).trim_end(), public.trim_end(), "{name} {format}");
        }
        let raw = read(&server, &format!("export/signing-key/{name}?format=raw")).await;
        assert_eq!(raw.status, 400, "{raw:?}");
        // What the token signs, the public half that was exported verifies.
        let options: &[&str] = if kind == "rsa-2048" { &["rsa_padding_mode:pss"] } else { &[] };
        let signature = sign(&server, name, json!({"input": b64("m")})).await;
        assert!(openssl::verifies(&site, &public, options, b"m", &signature).unwrap());
    }
    let mut superuser = site.secure.superuser().await.unwrap();
    let told = "SELECT count(*) FROM secure_audit_log WHERE event_type = 'key.export' AND severity = 'warning' AND event_category = 'export' \
                AND result = 'success' AND event_data ->> 'exported' LIKE 'secret material%'";
    let told: i64 = sqlx::query_scalar(told).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(told, 6, "each export of a private key is told as what it is");
}

#[tokio::test]
async fn a_key_that_was_not_made_to_leave_stays() {
    let (_site, server) = started().await;
    done(&server, "keys/ec", json!({"type": "ecdsa-p256"})).await;
    done(&server, "keys/hard", json!({"type": "ecdsa-p256", "exportable": true, "storage": "token"})).await;
    done(&server, "keys/ed", json!({"type": "ed25519"})).await;
    for (path, status, ends) in [
        ("export/signing-key/ec", 400, "private key material is not exportable"),
        ("export/encryption-key/ec", 400, "private key material is not exportable"),
        ("export/encryption-key/hard", 400, "encryption not supported for the key"),
        ("export/signing-key/hard", 400, "which nobody can export"),
        ("export/nonsense/ec", 400, "invalid export type: nonsense"),
        ("export/public-key/ec?format=zz", 400, "invalid format: zz"),
        ("export/public-key/ec/2", 400, "version does not exist or cannot be found"),
        ("export/public-key/ec/0", 400, "version for export is below minimum decryption version"),
        ("export/public-key/ec/x", 400, "invalid key version"),
        ("export/public-key/none", 404, ""),
    ] {
        let answer = read(&server, path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert!(answer.error().ends_with(ends), "{path}: {answer:?}");
    }
    let ed = read(&server, "export/public-key/ed").await;
    assert_eq!(ed.body["data"]["keys"]["1"].as_str().unwrap().len(), 44, "32 bytes in base64");
    assert!(
        !read(&server, "export/public-key/ec/latest").await.body["data"]["keys"]["1"].as_str().unwrap().ends_with('\n')
    );
}

#[tokio::test]
async fn with_fips_no_private_key_leaves() {
    let (_site, server) = started_with("fips = true").await;
    done(&server, "keys/ec", json!({"type": "ecdsa-p256", "exportable": true})).await;
    let answer = read(&server, "export/signing-key/ec").await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.error().starts_with("fips:"), "{answer:?}");
    assert_eq!(read(&server, "export/public-key/ec").await.status, 200);
}
