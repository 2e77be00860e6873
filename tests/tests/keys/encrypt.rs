//! Encrypting, decrypting and rewrapping.

use super::{b64, done, exported, read, refused, started};
use crate::crypto::{gcm_open, gcm_seal};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tests::{Answer, Server};

async fn encrypt(server: &Server, key: &str, body: Value) -> String {
    done(server, &format!("encrypt/{key}"), body).await.text("ciphertext").to_owned()
}

async fn decrypt(server: &Server, key: &str, body: Value) -> Vec<u8> {
    BASE64_STANDARD.decode(done(server, &format!("decrypt/{key}"), body).await.text("plaintext")).unwrap()
}

/// The bytes behind `vault:v1:`.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text.rsplit_once(':').unwrap().1).unwrap()
}

fn results(answer: &Answer) -> &Vec<Value> {
    answer.body["data"]["batch_results"].as_array().unwrap_or_else(|| panic!("{answer:?}"))
}

#[tokio::test]
async fn another_aes_gcm_opens_what_was_encrypted_and_is_opened() {
    let (_site, server) = started().await;
    let large = vec![7; 4 << 20];
    for (name, kind, length) in [("a128", "aes128-gcm96", 16), ("a256", "aes256-gcm96", 32)] {
        done(&server, &format!("keys/{name}"), json!({"type": kind, "exportable": true})).await;
        let key = exported(&server, "encryption-key", name).await;
        assert_eq!(key.len(), length);
        for (plaintext, aad) in [
            (&b"attack at dawn"[..], &b""[..]),
            (b"", b"aad"),
            (b"x", b"aad"),
            (if length == 32 { &large } else { b"y" }, b""),
        ] {
            let body = json!({"plaintext": b64(plaintext), "associated_data": b64(aad)});
            let ciphertext = encrypt(&server, name, body).await;
            assert!(ciphertext.starts_with("vault:v1:"), "{ciphertext}");
            let sealed = bytes(&ciphertext);
            assert_eq!(sealed.len(), 12 + plaintext.len() + 16, "IV, ciphertext, tag");
            assert_eq!(gcm_open(&key, &sealed, aad).as_deref(), Some(plaintext));
            let body = json!({"ciphertext": ciphertext, "associated_data": b64(aad)});
            assert_eq!(decrypt(&server, name, body).await, plaintext);
            let theirs = format!("vault:v1:{}", b64(gcm_seal(&key, &[9; 12], plaintext, aad)));
            let body = json!({"ciphertext": theirs, "associated_data": b64(aad)});
            assert_eq!(decrypt(&server, name, body).await, plaintext);
        }
    }
    // Nothing but the key and the text says what it is: SOPS keeps such texts for years.
    assert_eq!(
        decrypt(&server, "a256", json!({"ciphertext": encrypt(&server, "a256", json!({"plaintext": null})).await}))
            .await,
        b""
    );
}

#[tokio::test]
async fn what_was_changed_cut_or_bound_otherwise_is_refused() {
    let (_site, server) = started().await;
    done(&server, "keys/app", json!({})).await;
    done(&server, "keys/other", json!({})).await;
    done(&server, "keys/ec", json!({"type": "ecdsa-p256"})).await;
    done(&server, "keys/hard", json!({"storage": "token"})).await;
    let failed = "cipher: message authentication failed";
    for name in ["app", "hard"] {
        let decrypt = format!("decrypt/{name}");
        let ciphertext = encrypt(&server, name, json!({"plaintext": b64("a"), "associated_data": b64("aad")})).await;
        let sealed = bytes(&ciphertext);
        for at in [0, 11, 12, sealed.len() - 1] {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            let text = format!("vault:v1:{}", b64(damaged));
            refused(&server, &decrypt, json!({"ciphertext": text, "associated_data": b64("aad")}), failed).await;
        }
        for aad in [json!(null), json!(b64("AAD"))] {
            refused(&server, &decrypt, json!({"ciphertext": ciphertext, "associated_data": aad}), failed).await;
        }
        refused(&server, &format!("rewrap/{name}"), json!({"ciphertext": ciphertext}), failed).await;
        refused(&server, "decrypt/other", json!({"ciphertext": ciphertext, "associated_data": b64("aad")}), failed)
            .await;
    }
    for (path, body, ends) in [
        ("encrypt/app", json!({}), "missing plaintext to encrypt"),
        ("encrypt/app", json!({"plaintext": "!!"}), "illegal base64 data at input byte 0"),
        ("encrypt/app", json!({"plaintext": ["a"]}), "got unconvertible type 'an array'"),
        ("encrypt/app", json!({"plaintext": "YQ==", "associated_data": "!!"}), "illegal base64 data at input byte 0"),
        (
            "encrypt/app",
            json!({"plaintext": "YQ==", "key_version": 2}),
            "requested version for encryption is higher than the latest key version",
        ),
        (
            "encrypt/app",
            json!({"plaintext": "YQ==", "key_version": -1}),
            "requested version for encryption is negative",
        ),
        ("encrypt/ec", json!({"plaintext": "YQ=="}), "message encryption not supported for key type ecdsa-p256"),
        ("decrypt/app", json!({}), "missing ciphertext to decrypt"),
        ("decrypt/none", json!({"ciphertext": ""}), "missing ciphertext to decrypt"),
        ("decrypt/none", json!({"ciphertext": "vault:v1:YQ=="}), "encryption key not found"),
        ("rewrap/none", json!({"ciphertext": "vault:v1:YQ=="}), "encryption key not found"),
        ("decrypt/app", json!({"ciphertext": "abc"}), "invalid ciphertext: no prefix"),
        ("decrypt/app", json!({"ciphertext": "vault:v1"}), "invalid ciphertext: wrong number of fields"),
        ("decrypt/app", json!({"ciphertext": "vault:v1:!!!"}), "invalid ciphertext: could not decode base64"),
        ("decrypt/app", json!({"ciphertext": "vault:v1:YQ=="}), "invalid ciphertext length"),
        ("decrypt/app", json!({"ciphertext": "vault:v0:YQ=="}), "invalid ciphertext length"),
        ("decrypt/app", json!({"ciphertext": "vault:v9:YQ=="}), "invalid ciphertext: version is too new"),
    ] {
        refused(&server, path, body, ends).await;
    }
}

#[tokio::test]
async fn versions_encrypt_and_decrypt_within_the_keys_limits_and_rewrap_brings_texts_up() {
    let (site, mut server) = started().await;
    done(&server, "keys/v", json!({})).await;
    let first = encrypt(&server, "v", json!({"plaintext": b64("1")})).await;
    done(&server, "keys/v/rotate", json!({})).await;
    let second = encrypt(&server, "v", json!({"plaintext": b64("2")})).await;
    assert!(second.starts_with("vault:v2:"), "{second}");
    let old = done(&server, "encrypt/v", json!({"plaintext": b64("1"), "key_version": "1"})).await;
    assert!(old.text("ciphertext").starts_with("vault:v1:") && old.body["data"]["key_version"] == 1, "{old:?}");
    done(&server, "keys/v/rotate", json!({})).await;
    let rewrapped = done(&server, "rewrap/v", json!({"ciphertext": first})).await;
    assert_eq!(rewrapped.body["data"]["key_version"], 3);
    let third = rewrapped.text("ciphertext").to_owned();
    let to_second = done(&server, "rewrap/v", json!({"ciphertext": first, "key_version": 2})).await;
    assert!(to_second.text("ciphertext").starts_with("vault:v2:"), "{to_second:?}");
    for (ciphertext, plaintext) in [(&first, b"1"), (&second, b"2"), (&third, b"1")] {
        assert_eq!(decrypt(&server, "v", json!({"ciphertext": ciphertext})).await, plaintext);
    }
    done(&server, "keys/v/config", json!({"min_decryption_version": 2})).await;
    refused(&server, "decrypt/v", json!({"ciphertext": first}), "disallowed by policy (too old)").await;
    refused(&server, "rewrap/v", json!({"ciphertext": first}), "disallowed by policy (too old)").await;
    refused(&server, "encrypt/v", json!({"plaintext": "", "key_version": 1}), "no such key version").await;
    done(&server, "keys/v/config", json!({"min_encryption_version": 3})).await;
    let less = "requested version for encryption is less than the minimum encryption key version";
    refused(&server, "encrypt/v", json!({"plaintext": "", "key_version": 2}), less).await;
    refused(&server, "rewrap/v", json!({"ciphertext": second, "key_version": 2}), less).await;

    // Also after a restart, with the blobs unwrapped anew.
    let token = server.token.clone();
    drop(server);
    server = site.serve().await.unwrap();
    server.token = token;
    server.until_health(200).await.unwrap();
    assert_eq!(decrypt(&server, "v", json!({"ciphertext": second})).await, b"2");
    assert_eq!(decrypt(&server, "v", json!({"ciphertext": third})).await, b"1");
}

#[tokio::test]
async fn each_item_of_a_batch_stands_for_itself_and_the_status_tells() {
    let (site, mut server) = started().await;
    done(&server, "keys/b", json!({})).await;
    "batches".clone_into(&mut server.user_agent);
    let batch = json!([
        {"plaintext": b64("one"), "reference": "r1"},
        {"plaintext": b64("two"), "associated_data": b64("aad")},
        {"plaintext": null},
    ]);
    let made =
        done(&server, "encrypt/b", json!({"batch_input": batch, "plaintext": "ignored!", "key_version": 9})).await;
    let made = results(&made).clone();
    assert_eq!(
        (&made[0]["reference"], &made[1]["reference"], &made[0]["key_version"]),
        (&json!("r1"), &json!(""), &json!(1))
    );
    let ciphertext = |index: usize| made[index]["ciphertext"].clone();
    let batch = json!([
        {"ciphertext": ciphertext(0), "reference": "q"},
        {"ciphertext": ciphertext(1), "associated_data": b64("aad")},
        {"ciphertext": ciphertext(2)},
    ]);
    let opened = done(&server, "decrypt/b", json!({"batch_input": batch})).await;
    let plain = |text: &str, reference: &str| json!({"plaintext": b64(text), "reference": reference});
    assert_eq!(results(&opened), &[plain("one", "q"), plain("two", ""), plain("", "")]);

    let mixed =
        json!([{"plaintext": "YQ=="}, {"plaintext": "!!", "reference": "x"}, {"plaintext": "Yg==", "key_version": 9}]);
    let put = |path: &'static str, body: Value| {
        let server = &server;
        async move { server.put(&format!("transit/{path}"), body).await.unwrap() }
    };
    for (code, status) in
        [(json!(null), 400), (json!(207), 207), (json!(200), 200), (json!(999), 400), (json!(100), 400)]
    {
        let answer = put("encrypt/b", json!({"batch_input": mixed, "partial_failure_response_code": code})).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let found = results(&answer);
        assert!(found[0]["ciphertext"].is_string() && answer.body["errors"].is_null(), "{answer:?}");
        assert_eq!(found[1], json!({"error": "illegal base64 data at input byte 0", "reference": "x"}));
        assert_eq!(found[2]["error"], "requested version for encryption is higher than the latest key version");
        let warned = answer.body["warnings"].to_string().contains("reverting to 400");
        assert_eq!(warned, code == 999 || code == 100, "{answer:?}");
    }
    let all =
        put("encrypt/b", json!({"batch_input": [{"plaintext": "!!"}], "partial_failure_response_code": 207})).await;
    assert_eq!(all.status, 400, "nothing succeeded: {all:?}");
    let batch = json!([{"ciphertext": ciphertext(0)}, {"ciphertext": "xx"}, {"ciphertext": ""}]);
    let answer = put("decrypt/b", json!({"batch_input": batch})).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let some = put("decrypt/b", json!({"batch_input": batch, "partial_failure_response_code": 207})).await;
    assert_eq!(some.status, 207, "{some:?}");
    let error = |text: &str| json!({"plaintext": "", "error": text, "reference": ""});
    assert_eq!(results(&answer)[1..], [error("invalid ciphertext: no prefix"), error("missing ciphertext to decrypt")]);
    let batch = json!([{"ciphertext": ciphertext(0), "reference": "a"}, {"ciphertext": ciphertext(1)}, {}]);
    let rewrapped = done(&server, "rewrap/b", json!({"batch_input": batch})).await;
    assert_eq!(results(&rewrapped)[0]["reference"], "a");
    assert_eq!(results(&rewrapped)[1]["error"], "cipher: message authentication failed");
    assert_eq!(results(&rewrapped)[2]["error"], "missing ciphertext to decrypt");
    done(&server, "keys/ec", json!({"type": "ecdsa-p256"})).await;
    let answer = put("encrypt/ec", json!({"batch_input": [{"plaintext": ""}]})).await;
    assert_eq!(results(&answer)[0]["error"], "message encryption not supported for key type ecdsa-p256");

    for (path, batch, ends) in [
        ("encrypt/b", json!([]), "missing batch input to process"),
        ("encrypt/b", json!("x"), "source data must be an array or slice"),
        ("encrypt/b", json!([{"plaintext": ""}, {}]), "'[1].plaintext' missing plaintext to encrypt"),
        (
            "encrypt/b",
            json!([{"plaintext": "", "key_version": "3"}]),
            "'[0].key_version' expected type 'int', got unconvertible type 'a string'",
        ),
        (
            "encrypt/b",
            json!([{"plaintext": "", "context": "YQ=="}, {"plaintext": ""}]),
            "either in all the request blocks or in none",
        ),
        ("decrypt/b", json!([{"ciphertext": ciphertext(0)}, {}]), "'[1].ciphertext' missing ciphertext to decrypt"),
    ] {
        refused(&server, path, json!({"batch_input": batch}), ends).await;
    }

    // A record each, with how many there were, and the root over what was made.
    let mut superuser = site.secure.superuser().await.unwrap();
    let records = "SELECT event_type, result, event_data ->> 'count', result_sha256 IS NOT NULL FROM secure_audit_log WHERE user_agent = 'batches' AND event_type LIKE 'key.%crypt' ORDER BY seq LIMIT 3";
    let records: Vec<(String, String, String, bool)> = sqlx::query_as(records).fetch_all(&mut superuser).await.unwrap();
    let record = |event: &str, result: &str| (event.to_owned(), result.to_owned(), "3".to_owned(), true);
    assert_eq!(
        records,
        [record("key.encrypt", "success"), record("key.decrypt", "success"), record("key.encrypt", "partial")]
    );
}

#[tokio::test]
async fn encrypting_makes_the_key_that_is_missing_for_those_who_may_create() {
    let (_site, mut server) = started().await;
    assert!(encrypt(&server, "new1", json!({"plaintext": "YQ=="})).await.starts_with("vault:v1:"));
    assert_eq!(read(&server, "keys/new1").await.text("type"), "aes256-gcm96");
    encrypt(&server, "new2", json!({"plaintext": "YQ==", "type": "aes128-gcm96"})).await;
    assert_eq!(read(&server, "keys/new2").await.text("type"), "aes128-gcm96");
    refused(&server, "encrypt/new3", json!({"plaintext": "YQ==", "type": "rsa-2048"}), "unknown key type rsa-2048")
        .await;
    refused(&server, "encrypt/new3", json!({"plaintext": "YQ==", "type": "hmac"}), "unknown key type hmac").await;
    let convergent = json!({"plaintext": "YQ==", "convergent_encryption": true});
    refused(&server, "encrypt/new3", convergent, "requires derivation to be enabled, so context is required").await;
    assert_eq!(read(&server, "keys/new3").await.status, 404);
    // The key stays, whatever becomes of what was to be encrypted.
    refused(&server, "encrypt/new4", json!({"plaintext": "!!"}), "illegal base64 data at input byte 0").await;
    assert_eq!(read(&server, "keys/new4").await.status, 200);

    let root = server.token.clone();
    for capability in ["create", "update"] {
        let policy = json!({"path": {"transit/encrypt/*": {"capabilities": [capability]}}}).to_string();
        let written = server.put(&format!("sys/policies/acl/{capability}"), json!({"policy": policy})).await.unwrap();
        assert_eq!(written.status, 204, "{written:?}");
        let made = server.put("auth/token/create", json!({"policies": [capability]})).await.unwrap();
        made.body["auth"]["client_token"].as_str().unwrap().clone_into(&mut server.token);
        let status = |path: String| {
            let server = &server;
            async move { server.put(&path, json!({"plaintext": "YQ=="})).await.unwrap().status.as_u16() }
        };
        let (absent, present) = if capability == "create" { (200, 403) } else { (403, 200) };
        assert_eq!(status(format!("transit/encrypt/for-{capability}")).await, absent, "{capability} and an absent key");
        assert_eq!(status("transit/encrypt/new1".into()).await, present, "{capability} and a key that is there");
        server.token.clone_from(&root);
        // The absent one was made by nobody who may not.
        let made = read(&server, &format!("keys/for-{capability}")).await;
        assert_eq!(made.status.as_u16(), if capability == "create" { 200 } else { 404 }, "{made:?}");
    }
    done(&server, "config/keys", json!({"disable_upsert": true})).await;
    refused(&server, "encrypt/new5", json!({"plaintext": "YQ=="}), "encryption key not found").await;
}

#[tokio::test]
async fn keys_whose_mechanism_the_token_lacks_are_refused_with_its_name_and_never_made_in_software() {
    let (_site, server) = started().await;
    for path in ["keys/chacha", "encrypt/chacha"] {
        let body = json!({"type": "chacha20-poly1305", "plaintext": ""});
        refused(&server, path, body, "need CKM_CHACHA20_POLY1305, which this token does not offer").await;
        assert_eq!(read(&server, "keys/chacha").await.status, 404);
    }
    for (kind, says) in [
        ("xchacha20-poly1305", "has no PKCS#11 mechanism (there is only CKM_CHACHA20_POLY1305)"),
        ("slh-dsa", "needs the mechanism CKM_SLH_DSA"),
        ("hybrid", "for which there is no PKCS#11 mechanism"),
        ("managed_key", "is Vault's word for keys that an HSM keeps"),
    ] {
        for path in [format!("transit/keys/{kind}"), format!("transit/encrypt/{kind}")] {
            let answer = server.put(&path, json!({"type": kind, "plaintext": ""})).await.unwrap();
            assert!(answer.status == 400 && answer.error().contains(says), "{path}: {answer:?}");
            assert!(answer.error().ends_with("and nothing is done in software instead"), "{path}: {answer:?}");
        }
        assert_eq!(server.get(&format!("transit/keys/{kind}")).await.unwrap().status, 404);
    }
}
