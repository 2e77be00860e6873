//! On kryoptic, a token in software with what PKCS#11 v3.2 brought: ML-DSA and ML-KEM, judged by RustCrypto's implementations of them. `make kryoptic`
//! builds the token and runs these; elsewhere they are told to be ignored.
#![expect(clippy::unwrap_used, reason = "tests")]

mod agree;
mod chacha;
mod encryption;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ml_dsa::signature::Verifier;
use ml_dsa::{MlDsa44, MlDsa65, MlDsa87, MlDsaParams};
use ml_kem::kem::{Decapsulate, Encapsulate, Kem};
use ml_kem::{MlKem512, MlKem768, MlKem1024};
use p256::pkcs8::{DecodePublicKey, EncodePublicKey, LineEnding};
use reqwest::Method;
use serde_json::json;
use tests::transit::{done, refused};
use tests::{Server, Site, openssl};

const MESSAGE: &[u8] = b"pay 100 to Alice";

async fn started() -> (Site, Server) {
    let site = Site::ready_on_kryoptic("").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    (site, server)
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn bytes(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text.rsplit(':').next().unwrap()).unwrap()
}

async fn public_pem(server: &Server, key: &str, version: u64) -> String {
    let shown = server.get(&format!("transit/keys/{key}")).await.unwrap();
    shown.body["data"]["keys"][version.to_string()]["public_key"].as_str().unwrap_or_else(|| panic!("{shown:?}")).into()
}

async fn valid(server: &Server, key: &str, message: &[u8], signature: &str) -> bool {
    let body = json!({"input": b64(message), "signature": signature});
    done(server, &format!("verify/{key}"), body).await.body["data"]["valid"] == true
}

/// Public key, message, signature.
type Verifies = fn(&str, &[u8], &str) -> bool;

/// By RustCrypto, with an empty context.
fn verifies<P: MlDsaParams>(pem: &str, message: &[u8], signature: &str) -> bool
where
    ml_dsa::VerifyingKey<P>: DecodePublicKey,
{
    let key = ml_dsa::VerifyingKey::<P>::from_public_key_pem(pem).unwrap();
    let signature = ml_dsa::Signature::<P>::try_from(bytes(signature).as_slice());
    signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn ml_dsa_keys_sign_what_another_implementation_verifies() {
    let (site, mut server) = started().await;
    let verifiers: [(&str, Verifies); 3] =
        [("44", verifies::<MlDsa44>), ("65", verifies::<MlDsa65>), ("87", verifies::<MlDsa87>)];
    let mut made = Vec::new();
    for (set, verifies) in verifiers {
        let kind = format!("ml-dsa-{set}");
        let created = done(&server, &format!("keys/{kind}"), json!({"type": kind})).await;
        let shown = &created.body["data"];
        assert_eq!((&shown["type"], &shown["supports_signing"]), (&json!(kind), &json!(true)), "{shown}");
        let pem = public_pem(&server, &kind, 1).await;
        let signature =
            done(&server, &format!("sign/{kind}"), json!({"input": b64(MESSAGE)})).await.text("signature").to_owned();
        for (message, expected) in [(MESSAGE, true), (b"pay 900 to Mallory", false)] {
            assert_eq!(verifies(&pem, message, &signature), expected, "{kind}");
            assert_eq!(valid(&server, &kind, message, &signature).await, expected, "{kind}");
        }
        let mut damaged = bytes(&signature);
        damaged[100] ^= 1;
        assert!(!valid(&server, &kind, MESSAGE, &format!("vault:v1:{}", b64(damaged))).await);
        made.push((kind, signature));
    }
    // Vault's name for all three.
    let named = done(&server, "keys/vaults", json!({"type": "ml-dsa", "parameter_set": "65"})).await;
    assert_eq!(named.text("type"), "ml-dsa-65");
    refused(&server, "keys/odd", json!({"type": "ml-dsa", "parameter_set": "66"}), "must be 44, 65 or 87").await;
    refused(&server, "encrypt/vaults", json!({"plaintext": ""}), "not supported for key type ml-dsa-65").await;

    // Only the public half is imported, and only that leaves.
    let pem = public_pem(&server, "ml-dsa-65", 1).await;
    done(&server, "keys/theirs/import", json!({"type": "ml-dsa-65", "public_key": pem})).await;
    assert!(valid(&server, "theirs", MESSAGE, &made[1].1).await);
    let other = public_pem(&server, "ml-dsa-44", 1).await;
    refused(
        &server,
        "keys/more/import",
        json!({"type": "ml-dsa-65", "public_key": other}),
        "it is no key of type ml-dsa-65",
    )
    .await;
    let sent = json!({"type": "ml-dsa-65", "ciphertext": b64([7; 600])});
    refused(&server, "keys/more/import", sent, "the private half is made in the token").await;
    let exported = server.get("transit/export/public-key/ml-dsa-65").await.unwrap();
    assert_eq!(exported.body["data"]["keys"]["1"], pem.trim_end());

    // Versions, and another server on the same token.
    server = site.restarted(server).await.unwrap();
    for (index, (kind, signature)) in made.iter().enumerate() {
        done(&server, &format!("keys/{kind}/rotate"), json!({})).await;
        assert!(valid(&server, kind, MESSAGE, signature).await, "{kind} v1");
        let second =
            done(&server, &format!("sign/{kind}"), json!({"input": b64(MESSAGE)})).await.text("signature").to_owned();
        assert!(second.starts_with("vault:v2:") && valid(&server, kind, MESSAGE, &second).await);
        assert!(verifiers[index].1(&public_pem(&server, kind, 2).await, MESSAGE, &second));
        let first = done(&server, &format!("sign/{kind}"), json!({"input": b64(MESSAGE), "key_version": 1})).await;
        assert!(verifiers[index].1(&public_pem(&server, kind, 1).await, MESSAGE, first.text("signature")));
    }
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

/// What AES-256-GCM of another library makes of IV ‖ ciphertext ‖ tag.
fn opened(key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (iv, rest) = sealed.split_first_chunk().unwrap();
    let mut rest = rest.to_vec();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    Some(key.open_in_place(Nonce::assume_unique_for_key(*iv), Aad::empty(), &mut rest).ok()?.to_vec())
}

/// A caller with RustCrypto shares a secret with the service, in both directions; each side's texts are the other's to open.
async fn shares<K>(server: &Server, kind: &str)
where
    K: Kem,
    K::DecapsulationKey: Decapsulate<Kem = K>,
    K::EncapsulationKey: DecodePublicKey + EncodePublicKey,
{
    done(server, &format!("keys/{kind}"), json!({"type": kind})).await;
    let ours = K::EncapsulationKey::from_public_key_pem(&public_pem(server, kind, 1).await).unwrap();
    let (sent, secret) = ours.encapsulate();
    let shared = done(server, &format!("decapsulate/{kind}/from-{kind}"), json!({"ciphertext": b64(sent)})).await;
    assert_eq!((shared.text("name"), shared.text("type")), (format!("from-{kind}").as_str(), "aes256-gcm96"));
    let text = done(server, &format!("encrypt/from-{kind}"), json!({"plaintext": b64(MESSAGE)})).await;
    assert_eq!(opened(&secret, &bytes(text.text("ciphertext"))).as_deref(), Some(MESSAGE), "{kind}");

    let (private, public) = K::generate_keypair();
    let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
    done(server, &format!("keys/their-{kind}/import"), json!({"type": kind, "public_key": pem})).await;
    let made = done(server, &format!("encapsulate/their-{kind}/to-{kind}"), json!({"exportable": true})).await;
    let ciphertext = BASE64_STANDARD.decode(made.text("ciphertext")).unwrap();
    let secret = private.decapsulate_slice(&ciphertext).unwrap();
    let text = done(server, &format!("encrypt/to-{kind}"), json!({"plaintext": b64(MESSAGE)})).await;
    assert_eq!(opened(&secret, &bytes(text.text("ciphertext"))).as_deref(), Some(MESSAGE), "{kind}");
    let exported = server.get(&format!("transit/export/encryption-key/to-{kind}")).await.unwrap();
    assert_eq!(exported.body["data"]["keys"]["1"], b64(secret), "{kind}");
    let stays = server.get(&format!("transit/export/encryption-key/from-{kind}")).await.unwrap();
    assert_eq!(stays.error(), "private key material is not exportable");
    let body = json!({"ciphertext": b64(&ciphertext)});
    refused(server, &format!("decapsulate/their-{kind}/x"), body, "does not contain a private part").await;
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn ml_kem_keys_share_secrets_with_another_implementation_that_stay_inside() {
    let (site, mut server) = started().await;
    shares::<MlKem512>(&server, "ml-kem-512").await;
    shares::<MlKem768>(&server, "ml-kem-768").await;
    shares::<MlKem1024>(&server, "ml-kem-1024").await;

    let ours = public_pem(&server, "ml-kem-768", 1).await;
    let encapsulated = b64([7; 1088]);
    for (path, body, ends) in [
        (
            "decapsulate/ml-kem-768/from-ml-kem-768",
            json!({"ciphertext": encapsulated}),
            "already exists: name one that does not, for the shared secret",
        ),
        ("decapsulate/ml-kem-768/x", json!({"ciphertext": "AAAA"}), "ciphertext of 3 bytes where ml-kem-768 has 1088"),
        ("decapsulate/ml-kem-768/x", json!({"ciphertext": "%"}), "ciphertext is not base64"),
        ("decapsulate/ml-kem-768/x", json!({"ciphertext": encapsulated, "key_version": 2}), "version is too new"),
        ("decapsulate/nothing/x", json!({"ciphertext": encapsulated}), "encapsulation key not found"),
        ("encapsulate/from-ml-kem-512/x", json!({}), "key type aes256-gcm96 does not support encapsulation"),
        ("sign/ml-kem-768", json!({"input": ""}), "key type ml-kem-768 does not support signing"),
        ("encrypt/ml-kem-768", json!({"plaintext": ""}), "message encryption not supported for key type ml-kem-768"),
        ("keys/x/import", json!({"type": "ml-kem-512", "public_key": ours}), "it is no key of type ml-kem-512"),
    ] {
        refused(&server, path, body, ends).await;
    }
    // A text that nobody encapsulated gives a secret that nobody knows (FIPS 203, 6.3): a key, but not theirs.
    done(&server, "decapsulate/ml-kem-768/nobodys", json!({"ciphertext": encapsulated})).await;

    // Policies decide about the name of the new key as well.
    let root = server.token.clone();
    let policy = json!({"path": {"transit/decapsulate/ml-kem-768/mine-*": {"capabilities": ["update"]}}}).to_string();
    assert_eq!(server.put("sys/policies/acl/kem", json!({"policy": policy})).await.unwrap().status, 204);
    let made = server.put("auth/token/create", json!({"policies": ["kem"]})).await.unwrap();
    made.body["auth"]["client_token"].as_str().unwrap().clone_into(&mut server.token);
    "kem".clone_into(&mut server.user_agent);
    let body = json!({"ciphertext": encapsulated});
    for (path, status) in [
        ("decapsulate/ml-kem-768/mine-1", 200),
        ("decapsulate/ml-kem-768/other", 403),
        ("encapsulate/ml-kem-768/mine-2", 403),
    ] {
        let answer = server.put(&format!("transit/{path}"), body.clone()).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
    }
    let mut superuser = site.secure.superuser().await.unwrap();
    let records = "SELECT event_type, result, event_data ->> 'key', event_data ->> 'shared_by' FROM secure_audit_log WHERE user_agent = 'kem'";
    let records: Vec<(String, String, String, String)> =
        sqlx::query_as(records).fetch_all(&mut superuser).await.unwrap();
    let expected = ["key.decapsulate", "success", "mine-1", "ml-kem-768"].map(str::to_owned).into();
    assert_eq!(records, [expected]);

    server.token = root;
    server = site.restarted(server).await.unwrap();
    let text = done(&server, "encrypt/mine-1", json!({"plaintext": b64(MESSAGE)})).await.text("ciphertext").to_owned();
    assert_eq!(done(&server, "decrypt/mine-1", json!({"ciphertext": text})).await.text("plaintext"), b64(MESSAGE));
    done(&server, "keys/ml-kem-768/rotate", json!({})).await;
    done(&server, "decapsulate/ml-kem-768/old", json!({"ciphertext": encapsulated, "key_version": 1})).await;
    done(&server, "keys/ml-kem-768/config", json!({"deletion_allowed": true})).await;
    let deleted = server.ask(Method::DELETE, "transit/keys/ml-kem-768", None).await.unwrap();
    assert_eq!(deleted.status, 204, "{deleted:?}");
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn the_other_types_of_key_work_on_this_token_as_well() {
    let (site, server) = started().await;
    for kind in ["aes256-gcm96", "rsa-2048"] {
        done(&server, &format!("keys/{kind}"), json!({"type": kind})).await;
        let text = done(&server, &format!("encrypt/{kind}"), json!({"plaintext": b64(MESSAGE)}))
            .await
            .text("ciphertext")
            .to_owned();
        let opened = done(&server, &format!("decrypt/{kind}"), json!({"ciphertext": text})).await;
        assert_eq!(opened.text("plaintext"), b64(MESSAGE), "{kind}");
    }
    for kind in ["ecdsa-p256", "ecdsa-p521", "ed25519"] {
        done(&server, &format!("keys/{kind}"), json!({"type": kind})).await;
        let signature =
            done(&server, &format!("sign/{kind}"), json!({"input": b64(MESSAGE)})).await.text("signature").to_owned();
        assert!(valid(&server, kind, MESSAGE, &signature).await, "{kind}");
        if kind == "ecdsa-p256" {
            let pem = public_pem(&server, kind, 1).await;
            assert!(openssl::verifies(&site, &pem, &[], MESSAGE, &signature).unwrap());
        }
    }
    done(&server, "keys/mac", json!({"type": "hmac", "key_size": 32})).await;
    let mac = done(&server, "hmac/mac", json!({"input": b64(MESSAGE)})).await.text("hmac").to_owned();
    let judged = done(&server, "verify/mac", json!({"input": b64(MESSAGE), "hmac": mac})).await;
    assert_eq!(judged.body["data"]["valid"], true);
}
