//! The key object, settings, names and verbs, as Vault's clients know them.

use super::{b64, done, read, refused, started};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Server};

/// What this service adds to Vault's key object.
const ADDED: [&str; 6] =
    ["max_bytes", "max_uses", "originator_usage_period", "recipient_usage_period", "state", "storage"];

/// The key object without what was added, nor the versions, which come apart.
async fn shown(server: &Server, name: &str) -> (Value, Value) {
    let answer = read(server, &format!("keys/{name}")).await;
    let mut object = answer.body["data"].as_object().unwrap_or_else(|| panic!("{answer:?}")).clone();
    for added in ADDED {
        assert!(object.remove(added).is_some(), "{added}");
    }
    let versions = object.remove("keys").unwrap_or_default();
    (Value::Object(object), versions)
}

/// A new key's object, as a real server shows it.
fn fresh(name: &str, kind: &str, [encrypts, signs, derives]: [bool; 3]) -> Value {
    json!({
        "allow_plaintext_backup": false,
        "auto_rotate_period": 0,
        "deletion_allowed": false,
        "derived": false,
        "exportable": false,
        "imported_key": false,
        "latest_version": 1,
        "min_available_version": 0,
        "min_decryption_version": 1,
        "min_encryption_version": 0,
        "name": name,
        "soft_deleted": false,
        "supports_decryption": encrypts,
        "supports_derivation": derives,
        "supports_encryption": encrypts,
        "supports_signing": signs,
        "type": kind,
    })
}

async fn asked(server: &Server, method: &str, path: &str, body: Option<&str>) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    server.ask(method, path, body.map(|body| body.as_bytes().to_vec())).await.unwrap()
}

#[tokio::test]
async fn a_new_key_of_each_type_is_shown_as_a_real_server_shows_it() {
    let (_site, server) = started().await;
    for (kind, does, version) in [
        ("aes128-gcm96", [true, false, true], None),
        ("aes256-gcm96", [true, false, true], None),
        ("ecdsa-p256", [false, true, false], Some("P-256")),
        ("ecdsa-p384", [false, true, false], Some("P-384")),
        ("ecdsa-p521", [false, true, false], Some("P-521")),
        ("ed25519", [false, true, true], Some("ed25519")),
        ("rsa-2048", [true, true, false], Some("rsa-2048")),
        ("rsa-3072", [true, true, false], Some("rsa-3072")),
    ] {
        let made = done(&server, &format!("keys/{kind}"), json!({"type": kind})).await;
        let (object, versions) = shown(&server, kind).await;
        assert_eq!(object, fresh(kind, kind, does));
        assert_eq!(made.body["data"], read(&server, &format!("keys/{kind}")).await.body["data"], "creating answers it");
        assert_eq!(versions.as_object().unwrap().keys().collect::<Vec<_>>(), ["1"], "{kind}");
        let Some(name) = version else {
            assert!(versions["1"].as_u64() > Some(1_700_000_000), "{kind}: seconds since 1970: {versions}");
            continue;
        };
        let mut version = versions["1"].as_object().unwrap().clone();
        let time = version.remove("creation_time").unwrap();
        let time = time.as_str().unwrap();
        // SPIRE breaks ties of time by what is below a second.
        assert!(time.len() == "2026-11-22T22:20:45.416700392Z".len() && time.ends_with('Z'), "{kind}: {time}");
        let public = version.remove("public_key").unwrap();
        let public = public.as_str().unwrap();
        let is_pem =
            public.starts_with("-----BEGIN PUBLIC KEY-----\n") && public.ends_with("\n-----END PUBLIC KEY-----\n");
        assert!(if kind == "ed25519" { public.len() == 44 } else { is_pem }, "{kind}: {public}");
        assert_eq!(Value::Object(version), json!({"certificate_chain": "", "name": name}));
    }
    let mut expected = fresh("hm", "hmac", [false, false, false]);
    expected["key_size"] = 32.into();
    done(&server, "keys/hm", json!({"type": "hmac", "key_size": 32})).await;
    assert_eq!(shown(&server, "hm").await, (expected, Value::Null), "no versions are shown of it");
    let mut expected = fresh("conv", "aes256-gcm96", [true, false, true]);
    (expected["derived"], expected["convergent_encryption"]) = (true.into(), true.into());
    // On a token without HKDF, whose derivation is named as what it is.
    (expected["kdf"], expected["convergent_encryption_version"]) = ("aes_ecb_encrypt_data".into(), (-1).into());
    done(&server, "keys/conv", json!({"derived": true, "convergent_encryption": true})).await;
    assert_eq!(shown(&server, "conv").await.0, expected);
    let mut expected = fresh("der", "aes256-gcm96", [true, false, true]);
    (expected["derived"], expected["convergent_encryption"]) = (true.into(), false.into());
    expected["kdf"] = "aes_ecb_encrypt_data".into();
    done(&server, "keys/der", json!({"derived": "true"})).await;
    assert_eq!(shown(&server, "der").await.0, expected);
    let mut expected = fresh("all", "aes256-gcm96", [true, false, true]);
    (expected["exportable"], expected["allow_plaintext_backup"]) = (true.into(), true.into());
    expected["auto_rotate_period"] = 86_400.into();
    let wanted =
        json!({"exportable": 1, "allow_plaintext_backup": "t", "auto_rotate_period": "24h", "deletion_allowed": true});
    let made = done(&server, "keys/all", wanted).await;
    let ignored = json!(["Endpoint ignored these unrecognized parameters: [deletion_allowed]"]);
    assert_eq!((shown(&server, "all").await.0, &made.body["warnings"]), (expected, &ignored));
}

#[tokio::test]
async fn what_no_key_can_be_is_refused_and_what_is_there_stays_as_it_is() {
    let (_site, server) = started().await;
    for (body, ends) in [
        (json!({"type": "nope"}), "unknown key type nope"),
        (json!({"type": ""}), "unknown key type "),
        (json!({"type": "AES256-GCM96"}), "unknown key type AES256-GCM96"),
        (json!({"convergent_encryption": true}), "convergent encryption requires derivation to be enabled"),
        (json!({"type": "hmac"}), "invalid key size for HMAC key, must be between 32 and 512 bytes"),
        (json!({"type": "hmac", "key_size": 31}), "invalid key_size 31"),
        (json!({"type": "hmac", "key_size": 513}), "invalid key_size 513"),
        (json!({"key_size": 16}), "key_size is not valid for algorithm aes256-gcm96"),
        (json!({"auto_rotate_period": "59m"}), "auto rotate period must be 0 to disable or at least an hour"),
        (json!({"auto_rotate_period": -1}), "auto rotate period must be 0 to disable or at least an hour"),
        (json!({"derived": "maybe"}), "neither true nor false"),
        (json!({"type": "ml-dsa", "parameter_set": "45"}), "parameter_set of an ml-dsa key must be 44, 65 or 87"),
        (json!({"type": "ecdsa-p256", "derived": true}), "not supported for keys of type ecdsa-p256"),
        (json!({"storage": "disk"}), "unknown storage disk: wrapped or token"),
        (json!({"state": "suspended"}), "a key begins as active or pre_activation, not as suspended"),
    ] {
        refused(&server, "keys/k", body, ends).await;
    }
    assert_eq!(read(&server, "keys/k").await.status, 404);
    done(&server, "keys/k", json!({})).await;
    let before = shown(&server, "k").await;
    let again = done(&server, "keys/k", json!({"type": "rsa-2048", "exportable": true})).await;
    assert_eq!(again.body["warnings"], json!(["key k already existed"]));
    assert_eq!(shown(&server, "k").await, before);
}

#[tokio::test]
async fn settings_change_within_their_bounds_and_together_or_not_at_all() {
    let (_site, server) = started().await;
    done(&server, "keys/app", json!({})).await;
    for version in 2..=4 {
        let rotated = done(&server, "keys/app/rotate", json!({})).await;
        assert_eq!(rotated.body["data"]["latest_version"], version);
    }
    refused(&server, "keys/none/rotate", json!({}), "key not found").await;
    refused(&server, "keys/none/config", json!({}), "no existing key named none could be found").await;
    let config = "keys/app/config";
    let zero = done(&server, config, json!({"min_decryption_version": 0})).await;
    assert!(zero.body["warnings"][0].as_str().unwrap().ends_with("forcing minimum to 1"), "{zero:?}");
    assert_eq!(zero.body["data"]["min_decryption_version"], 1);
    let before = shown(&server, "app").await;
    let both = "cannot set min encryption/decryption values; min encryption version of 2 must be greater than or equal to min decryption version of 3";
    for (body, ends) in [
        (json!({"min_decryption_version": 5}), "cannot set min decryption version of 5, latest key version is 4"),
        (json!({"min_decryption_version": -1}), "min decryption version cannot be -1"),
        (json!({"min_encryption_version": 5}), "cannot set min encryption version of 5, latest key version is 4"),
        (json!({"min_decryption_version": 3, "min_encryption_version": 2}), both),
        (json!({"min_decryption_version": 2.5}), "no whole number"),
        (json!({"deletion_allowed": true, "exportable": true, "min_encryption_version": 9}), "latest key version is 4"),
        (json!({"deletion_allowed": true, "auto_rotate_period": "1m"}), "at least an hour"),
    ] {
        refused(&server, config, body.clone(), ends).await;
        assert_eq!(shown(&server, "app").await, before, "{body} changed something");
    }
    let none = done(&server, config, json!({})).await;
    assert_eq!((none.status.as_u16(), &none.body["data"]["name"]), (200, &json!("app")));
    let set = json!({"min_decryption_version": "2", "min_encryption_version": 3, "deletion_allowed": "true", "exportable": true, "allow_plaintext_backup": true, "auto_rotate_period": "2h"});
    done(&server, config, set).await;
    let (object, versions) = shown(&server, "app").await;
    assert_eq!(versions.as_object().unwrap().keys().collect::<Vec<_>>(), ["2", "3", "4"], "older ones are not shown");
    for (field, value) in [
        ("min_decryption_version", json!(2)),
        ("min_encryption_version", json!(3)),
        ("deletion_allowed", json!(true)),
        ("exportable", json!(true)),
        ("allow_plaintext_backup", json!(true)),
        ("auto_rotate_period", json!(7200)),
    ] {
        assert_eq!(object[field], value, "{field}");
    }
    // Two of them go one way, the others come back.
    let back = json!({"exportable": false, "allow_plaintext_backup": false, "deletion_allowed": false, "auto_rotate_period": 0, "min_encryption_version": 0});
    let back = done(&server, config, back).await.body["data"].clone();
    assert_eq!((&back["exportable"], &back["allow_plaintext_backup"]), (&json!(true), &json!(true)));
    assert_eq!((&back["deletion_allowed"], &back["auto_rotate_period"]), (&json!(false), &json!(0)));
    assert_eq!(back["min_encryption_version"], 0);
    for (name, ends) in [
        ("app", "error deleting policy app: deletion is not allowed for this key"),
        ("none", "error deleting policy none: could not delete key; not found"),
    ] {
        let answer = asked(&server, "DELETE", &format!("transit/keys/{name}"), None).await;
        assert_eq!((answer.status.as_u16(), answer.error()), (400, ends));
    }
    done(&server, config, json!({"deletion_allowed": true})).await;
    assert_eq!(asked(&server, "DELETE", "transit/keys/app", None).await.status, 204);
    assert_eq!(read(&server, "keys/app").await.status, 404);
}

#[tokio::test]
async fn names_verbs_and_lists_are_those_of_the_engine() {
    let (_site, server) = started().await;
    let empty = asked(&server, "LIST", "transit/keys", None).await;
    assert_eq!((empty.status.as_u16(), &empty.body), (404, &json!({"errors": []})));
    // The key under which keys are sent is in no list.
    read(&server, "wrapping_key").await;
    assert_eq!(asked(&server, "LIST", "transit/keys", None).await.status, 404);
    let first = read(&server, "wrapping_key").await;
    assert_eq!(first.body["data"], read(&server, "wrapping_key").await.body["data"], "the same each time");
    for name in ["a.b-c_d", "Zeta", "_x", "9"] {
        done(&server, &format!("keys/{name}"), json!({})).await;
    }
    let wrapped = |text: &str| format!("1 error occurred:\n\t* {text}\n\n");
    for (method, path, body, status, error) in [
        ("PUT", "keys/-k", Some("{}"), 404, wrapped("unsupported path")),
        ("PUT", "keys/k-", Some("{}"), 404, wrapped("unsupported path")),
        ("PUT", "keys/a/b", Some("{}"), 404, wrapped("unsupported path")),
        ("GET", "nonsense", None, 404, wrapped("unsupported path")),
        ("PUT", "keys", Some("{}"), 405, wrapped("unsupported operation")),
        ("GET", "keys", None, 405, wrapped("unsupported operation")),
        ("GET", "encrypt/9", None, 405, wrapped("unsupported operation")),
        ("GET", "random", None, 405, wrapped("unsupported operation")),
        ("DELETE", "sign/9", None, 405, wrapped("unsupported operation")),
        ("PUT", "keys/", Some("{}"), 400, "cannot write to a path ending in '/'".into()),
        ("PUT", "keys/k", Some("{bad"), 400, "failed to decode JSON input".into()),
    ] {
        let answer = asked(&server, method, &format!("transit/{path}"), body).await;
        let said = answer.status == status && answer.error().starts_with(&error);
        assert!(said, "{method} {path}: {answer:?}");
    }
    for (path, names) in [
        ("keys?list=true", json!(["9", "Zeta", "_x", "a.b-c_d"])),
        ("keys?list=True&after=9&limit=2", json!(["Zeta", "_x"])),
        ("keys?list=true&after=_x", json!(["a.b-c_d"])),
    ] {
        assert_eq!(read(&server, path).await.body["data"], json!({"keys": names}), "{path}");
    }
    let odd = read(&server, "keys?list=zz").await;
    assert_eq!((odd.status.as_u16(), &odd.body), (400, &json!({"errors": []})));
    // `null`, nothing and blanks are an empty object; text after it is a mistake.
    for body in ["null", "", "  ", "{}"] {
        assert_eq!(
            asked(&server, "POST", "transit/sign/9", Some(body)).await.status,
            400,
            "a symmetric key signs nothing"
        );
    }
    let sealed = done(&server, "encrypt/9", json!({"plaintext": 12_345_678})).await;
    let opened = done(&server, "decrypt/9", json!({"ciphertext": sealed.text("ciphertext")})).await;
    assert_eq!(opened.text("plaintext"), "12345678", "a number is taken as it is written");
    assert_eq!(
        done(&server, "encrypt/9", json!({"plaintext": b64("m"), "nonce": "YQ=="})).await.body["warnings"][0],
        "Endpoint ignored these unrecognized parameters: [nonce]"
    );
}
