//! Signing and verifying, field by field; `openssl` and aws-lc judge what is signed.

use super::encrypt::bytes;
use super::import::openssl;
use super::{b64, done, read, refused, sign, started};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use tests::{Server, Site};

const MESSAGE: &[u8] = b"pay 100 to Alice";

/// The API's names of hashes, and `openssl dgst`'s.
const HASHES: [(&str, &str); 9] = [
    ("sha1", "-sha1"),
    ("sha2-224", "-sha224"),
    ("sha2-256", "-sha256"),
    ("sha2-384", "-sha384"),
    ("sha2-512", "-sha512"),
    ("sha3-224", "-sha3-224"),
    ("sha3-256", "-sha3-256"),
    ("sha3-384", "-sha3-384"),
    ("sha3-512", "-sha3-512"),
];

/// Keys of all types that sign here.
async fn keys(server: &Server) {
    for (name, kind) in [
        ("ec", "ecdsa-p256"),
        ("ec3", "ecdsa-p384"),
        ("ec5", "ecdsa-p521"),
        ("ed", "ed25519"),
        ("rsa", "rsa-2048"),
        ("aes", "aes256-gcm96"),
    ] {
        done(server, &format!("keys/{name}"), json!({"type": kind})).await;
    }
}

async fn public_key(server: &Server, name: &str) -> String {
    read(server, &format!("keys/{name}")).await.body["data"]["keys"]["1"]["public_key"].as_str().unwrap().to_owned()
}

/// Whether `openssl dgst` takes the signature of [`MESSAGE`].
fn taken(site: &Site, public_key: &str, digest: &str, options: &[&str], signature: &[u8]) -> bool {
    for (name, content) in [("key.pem", public_key.as_bytes()), ("message", MESSAGE), ("signature", signature)] {
        std::fs::write(site.path(name), content).unwrap();
    }
    let mut command = Command::new("openssl");
    command.args(["dgst", digest, "-verify"]).arg(site.path("key.pem")).arg("-signature").arg(site.path("signature"));
    for option in options {
        command.args(["-sigopt", option]);
    }
    command.arg(site.path("message")).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

async fn valid(server: &Server, path: &str, body: Value) -> Value {
    done(server, &format!("verify/{path}"), body).await.body["data"]["valid"].clone()
}

#[tokio::test]
async fn each_hash_signs_what_openssl_verifies_whether_the_input_is_sent_or_its_digest() {
    let (site, server) = started().await;
    keys(&server).await;
    let pss: &[&str] = &["rsa_padding_mode:pss"];
    for (name, algorithm, options) in
        [("ec", None, &[][..]), ("ec5", None, &[]), ("rsa", Some("pkcs1v15"), &[]), ("rsa", None, pss)]
    {
        let public = public_key(&server, name).await;
        for (word, digest) in HASHES {
            std::fs::write(site.path("message"), MESSAGE).unwrap();
            let hashed = openssl(&site, &format!("dgst {digest} -binary message"));
            if name == "rsa" && algorithm.is_none() && word.starts_with("sha3") {
                let body = json!({"input": b64(MESSAGE), "hash_algorithm": word});
                let answer = server.put("transit/sign/rsa", body).await.unwrap();
                let says = "this token cannot do CKM_RSA_PKCS_PSS with Sha3_";
                assert!(answer.status == 400 && answer.error().starts_with(says), "{answer:?}");
                continue;
            }
            for prehashed in [false, true] {
                let input = if prehashed { &hashed } else { MESSAGE };
                // The path goes over the body, which says nothing of use here.
                let (path, hash) = if prehashed { (name.to_owned(), word) } else { (format!("{name}/{word}"), "sha1") };
                let body = json!({"input": b64(input), "prehashed": prehashed, "hash_algorithm": hash, "signature_algorithm": algorithm});
                let signature = sign(&server, &path, body).await;
                let case = format!("{name} {algorithm:?} {word} {prehashed}");
                assert!(taken(&site, &public, digest, options, &bytes(&signature)), "{case}");
                for (input, prehashed) in [(MESSAGE, false), (&hashed, true)] {
                    let body = json!({"input": b64(input), "prehashed": prehashed, "signature": signature, "signature_algorithm": algorithm});
                    assert_eq!(valid(&server, &format!("{name}/{word}"), body.clone()).await, true, "{case}");
                    // To ECDSA a digest is a number, whatever made it.
                    let other = if word == "sha2-256" { "sha2-224" } else { "sha2-256" };
                    let holds = name != "rsa" && prehashed;
                    assert_eq!(valid(&server, &format!("{name}/{other}"), body).await, holds, "{case} by {other}");
                }
            }
        }
    }
}

#[tokio::test]
async fn jws_has_r_and_s_behind_each_other_and_an_alphabet_for_urls() {
    let (site, server) = started().await;
    keys(&server).await;
    let fixed: [(&str, &str, usize, &dyn VerificationAlgorithm); 3] = [
        ("ec", "sha2-256", 32, &ECDSA_P256_SHA256_FIXED),
        ("ec3", "sha2-384", 48, &ECDSA_P384_SHA384_FIXED),
        ("ec5", "sha2-512", 66, &ECDSA_P521_SHA512_FIXED),
    ];
    let jws = |body: Value| {
        let mut body = body;
        body["marshaling_algorithm"] = "jws".into();
        body
    };
    for (name, hash, order, algorithm) in fixed {
        let signature = sign(&server, &format!("{name}/{hash}"), jws(json!({"input": b64(MESSAGE)}))).await;
        let raw = BASE64_URL_SAFE_NO_PAD.decode(signature.strip_prefix("vault:v1:").unwrap()).unwrap();
        assert_eq!(raw.len(), 2 * order, "{name}");
        let pem = public_key(&server, name).await;
        let der =
            BASE64_STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
        let point = &der[der.len() - 2 * order - 1..];
        UnparsedPublicKey::new(algorithm, point).verify(MESSAGE, &raw).unwrap();
        let body = |input: &[u8]| jws(json!({"input": b64(input), "signature": signature, "hash_algorithm": hash}));
        assert_eq!(valid(&server, name, body(MESSAGE)).await, true, "{name}");
        assert_eq!(valid(&server, name, body(b"pay 900 to Mallory")).await, false, "{name}");
    }
    // The others have the same bytes in the other alphabet.
    let public = public_key(&server, "rsa").await;
    for (name, length) in [("rsa", 256), ("ed", 64)] {
        let signature = sign(&server, name, jws(json!({"input": b64(MESSAGE)}))).await;
        let raw = BASE64_URL_SAFE_NO_PAD.decode(signature.strip_prefix("vault:v1:").unwrap()).unwrap();
        assert_eq!(raw.len(), length);
        assert!(name == "ed" || taken(&site, &public, "-sha256", &["rsa_padding_mode:pss"], &raw));
        assert_eq!(valid(&server, name, jws(json!({"input": b64(MESSAGE), "signature": signature}))).await, true);
        let body = json!({"input": b64(MESSAGE), "signature": signature});
        refused(&server, &format!("verify/{name}"), body, "invalid base64 signature value").await;
    }
    let short = jws(json!({"input": "", "signature": "vault:v1:YWJj"}));
    assert_eq!(valid(&server, "ec", short).await, false, "too short to be one");
}

#[tokio::test]
async fn the_salt_of_pss_is_as_long_as_asked_and_must_be_as_long_as_said() {
    let (site, server) = started().await;
    keys(&server).await;
    let public = public_key(&server, "rsa").await;
    for (asked, length) in [
        (json!(null), 222),
        (json!("auto"), 222),
        (json!("Auto"), 222),
        (json!("hash"), 32),
        (json!("HASH"), 32),
        (json!(-1), 32),
        (json!(0), 0),
        (json!("20"), 20),
        (json!(222), 222),
    ] {
        let body = json!({"input": b64(MESSAGE), "salt_length": asked});
        let signature = sign(&server, "rsa", body).await;
        let option = format!("rsa_pss_saltlen:{length}");
        assert!(taken(&site, &public, "-sha256", &["rsa_padding_mode:pss", &option], &bytes(&signature)), "{asked}");
        let other = if length == 32 { 20 } else { 32 };
        for (said, holds) in [(json!("auto"), true), (json!(length), true), (json!(other), false)] {
            let body = json!({"input": b64(MESSAGE), "signature": signature, "salt_length": said});
            assert_eq!(valid(&server, "rsa", body).await, holds, "asked {asked}, said {said}");
        }
    }
    let word = "salt length neither 'auto', 'hash', nor an int: zz";
    for (salt, ends) in [
        (json!(223), "requested salt length 223 is invalid"),
        (json!(-2), "requested salt length -2 is invalid"),
        (json!("zz"), word),
    ] {
        refused(&server, "sign/rsa", json!({"input": "", "salt_length": salt}), ends).await;
    }
    // It is looked at where it does not count, too.
    refused(&server, "sign/ec", json!({"input": "", "salt_length": "zz"}), word).await;
}

#[tokio::test]
async fn without_a_hash_pkcs1_signs_the_input_as_it_is() {
    let (site, server) = started().await;
    keys(&server).await;
    let body = json!({"input": b64(MESSAGE), "prehashed": true, "signature_algorithm": "pkcs1v15"});
    let signature = sign(&server, "rsa/none", body.clone()).await;
    std::fs::write(site.path("key.pem"), public_key(&server, "rsa").await).unwrap();
    std::fs::write(site.path("signature"), bytes(&signature)).unwrap();
    let recovered = "pkeyutl -verifyrecover -pkeyopt rsa_padding_mode:pkcs1 -pubin -inkey key.pem -in signature";
    assert_eq!(openssl(&site, recovered), MESSAGE);
    let mut verify = body.clone();
    verify["signature"] = signature.into();
    assert_eq!(valid(&server, "rsa/none", verify.clone()).await, true);
    verify["input"] = b64("other").into();
    assert_eq!(valid(&server, "rsa/none", verify).await, false);
    let mut long = body.clone();
    long["input"] = b64([7; 246]).into();
    refused(&server, "sign/rsa/none", long, "input is too long to be signed without a hash").await;
    let needs = "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15";
    for (name, prehashed, algorithm) in [
        ("rsa", false, "pkcs1v15"),
        ("rsa", true, "pss"),
        ("rsa", true, ""),
        ("ec", true, ""),
        ("ed", false, "pkcs1v15"),
    ] {
        let body =
            json!({"input": "", "hash_algorithm": "none", "prehashed": prehashed, "signature_algorithm": algorithm});
        refused(&server, &format!("sign/{name}"), body.clone(), needs).await;
        let mut verify = body;
        verify["signature"] = "vault:v1:AAAA".into();
        refused(&server, &format!("verify/{name}"), verify, needs).await;
    }
}

#[tokio::test]
async fn what_is_no_signature_is_told_from_a_wrong_one() {
    let (_site, server) = started().await;
    keys(&server).await;
    let ec = sign(&server, "ec", json!({"input": b64(MESSAGE)})).await;
    let ed = sign(&server, "ed", json!({"input": b64(MESSAGE)})).await;
    let hmac = done(&server, "hmac/ec", json!({"input": b64(MESSAGE)})).await.text("hmac").to_owned();
    let wrong = bytes(&ec).into_iter().rev().collect::<Vec<u8>>();
    for (name, signature, holds) in [
        ("ec", ec.clone(), true),
        ("ec", ec.replace(":v1:", ":v01:"), true),
        ("ed", ed.clone(), true),
        ("ed", format!("vault:v1:{}", b64([7; 64])), false),
        ("ed", "vault:v1:YWJj".into(), false),
        ("rsa", "vault:v1:YWJj".into(), false),
        ("rsa", format!("vault:v1:{}", b64([7; 256])), false),
        // A sequence of two numbers, and no signature.
        ("ec", format!("vault:v1:{}", b64([0x30, 6, 2, 1, 1, 2, 1, 1])), false),
    ] {
        let body = json!({"input": b64(MESSAGE), "signature": signature});
        assert_eq!(valid(&server, name, body).await, holds, "{name} {signature}");
    }
    // Ed25519 signs the input itself, whatever is said of hashes.
    let body = json!({"input": b64(MESSAGE), "signature": ed, "prehashed": true});
    assert_eq!(valid(&server, "ed/sha2-512", body).await, true);
    // A signature goes before an HMAC.
    let both = json!({"input": b64(MESSAGE), "signature": ec, "hmac": "vault:v1:AAAA"});
    assert_eq!(valid(&server, "ec", both).await, true);
    assert_eq!(valid(&server, "ec", json!({"input": b64(MESSAGE), "hmac": hmac})).await, true);
    let too_old = "ciphertext or signature version is disallowed by policy (too old)";
    for (name, signature, ends) in [
        ("ec", "zz".to_owned(), "invalid signature: no prefix"),
        ("ec", "vault:v1".into(), "invalid signature: wrong number of fields"),
        ("ec", "vault:vx:AAAA".into(), "invalid signature: version number could not be decoded"),
        ("ec", "vault:v2:AAAA".into(), "invalid signature: version is too new"),
        ("ec", "vault:v0:AAAA".into(), too_old),
        ("ec", "vault:v-1:AAAA".into(), too_old),
        ("ec", "vault:v1:!!".into(), "invalid base64 signature value"),
        ("ec", "vault:v1:YWJj".into(), "supplied signature is invalid"),
        ("ec", format!("vault:v1:{}", b64(wrong)), "supplied signature is invalid"),
        ("none", ec.clone(), "signature verification key not found"),
        ("aes", ec.clone(), "key type aes256-gcm96 does not support verification"),
    ] {
        refused(&server, &format!("verify/{name}"), json!({"input": b64(MESSAGE), "signature": signature}), ends).await;
    }
    let neither = "neither a 'signature' nor an 'hmac' were given to verify";
    refused(&server, "verify/ec", json!({"input": b64(MESSAGE)}), neither).await;
    refused(&server, "verify/ec", json!({"input": "!!", "signature": ec}), "illegal base64 data at input byte 0").await;
}

#[tokio::test]
async fn fields_that_cannot_be_are_refused_and_those_that_do_not_count_are_not() {
    let (_site, server) = started().await;
    keys(&server).await;
    let input = b64(MESSAGE);
    let version = |word: &str| format!("requested version for signing is {word}");
    for (path, body, ends) in [
        ("ec/md5", json!({"input": input}), "invalid hash algorithm \"md5\"".to_owned()),
        ("ed/md5", json!({"input": input}), "invalid hash algorithm \"md5\"".into()),
        ("ec", json!({"input": input, "hash_algorithm": "SHA256"}), "invalid hash algorithm \"SHA256\"".into()),
        ("ec", json!({"input": input, "marshaling_algorithm": "der"}), "invalid marshaling type \"der\"".into()),
        ("ed", json!({"input": input, "marshaling_algorithm": "der"}), "invalid marshaling type \"der\"".into()),
        (
            "rsa",
            json!({"input": input, "signature_algorithm": "foo"}),
            "unsupported rsa signature algorithm foo".into(),
        ),
        ("rsa", json!({"input": input, "prehashed": true}), "crypto/rsa: input must be hashed with given hash".into()),
        ("ec", json!({"input": input, "key_version": 2}), version("higher than the latest key version")),
        ("ec", json!({"input": input, "key_version": "-1"}), version("negative")),
        ("ec", json!({"input": input, "key_version": "one"}), "no whole number".into()),
        ("ec", json!({"input": input, "prehashed": "maybe"}), "neither true nor false".into()),
        ("ec", json!({"input": "!!"}), "unable to decode input as base64: illegal base64 data at input byte 0".into()),
        ("ec", json!({"input": [1]}), "got unconvertible type 'an array'".into()),
        ("none", json!({"input": input}), "signing key not found".into()),
        ("aes", json!({"input": input}), "key type aes256-gcm96 does not support signing".into()),
    ] {
        refused(&server, &format!("sign/{path}"), body, &ends).await;
    }
    // No input is an empty one; a digest of any length is a number to ECDSA; what another type needs does not count, nor does a context.
    for (signed, verified) in [
        (json!({}), json!({"input": ""})),
        (json!({"input": b64("short"), "prehashed": true}), json!({"input": b64("short"), "prehashed": true})),
        (json!({"input": input, "signature_algorithm": "foo"}), json!({"input": input, "signature_algorithm": "bar"})),
        (json!({"input": input, "context": "Y3R4"}), json!({"input": input})),
        (json!({"input": input, "algorithm": "sha2-512"}), json!({"input": input, "algorithm": "sha1"})),
        (json!({"input": input, "key_version": "0"}), json!({"input": input})),
        (json!({"input": format!("{}\r\n{}", &input[..4], &input[4..])}), json!({"input": input})),
    ] {
        let signature = sign(&server, "ec", signed.clone()).await;
        let mut verified = verified;
        verified["signature"] = signature.into();
        assert_eq!(valid(&server, "ec", verified).await, true, "{signed}");
    }
    let warned = done(&server, "sign/ec", json!({"input": input, "zzz": 1})).await;
    assert_eq!(warned.body["warnings"], json!(["Endpoint ignored these unrecognized parameters: [zzz]"]));
}

#[tokio::test]
async fn each_item_of_a_batch_is_signed_and_judged_by_itself_and_the_status_stays() {
    let (_site, server) = started().await;
    keys(&server).await;
    done(&server, "keys/ed/rotate", json!({})).await;
    let items = json!([{"input": "YQ==", "reference": "a"}, {"input": "!!"}, {"reference": "c"}, {"input": ""}]);
    // What stands beside the batch does not count, but for the version.
    let made = done(&server, "sign/ed", json!({"batch_input": items, "input": "!!", "key_version": 1})).await;
    let made = made.body["data"]["batch_results"].as_array().unwrap().clone();
    let signature = |index: usize| made[index]["signature"].as_str().unwrap();
    assert!(signature(0).starts_with("vault:v1:"));
    let expected = json!([
        {"signature": signature(0), "key_version": 1, "reference": "a"},
        {"key_version": 0, "error": "unable to decode input as base64: illegal base64 data at input byte 0", "reference": ""},
        {"key_version": 0, "error": "missing input", "reference": "c"},
        {"signature": signature(3), "key_version": 1, "reference": ""},
    ]);
    assert_eq!(json!(made), expected);
    let seven = json!({"batch_input": [{"input": "YQ=="}], "key_version": 7});
    let refused_all = done(&server, "sign/ed", seven).await;
    let error = "requested version for signing is higher than the latest key version";
    assert_eq!(refused_all.body["data"]["batch_results"], json!([{"key_version": 0, "error": error, "reference": ""}]));

    let items = json!([
        {"input": "YQ==", "signature": signature(0), "reference": "a"},
        {"input": "Yg==", "signature": signature(0)},
        {"input": "YQ==", "signature": "zz"},
        {"signature": signature(0)},
        {"input": "YQ==", "signature": signature(0).replace(":v1:", ":v2:")},
    ]);
    let judged = done(&server, "verify/ed", json!({"batch_input": items})).await;
    let expected = json!([
        {"valid": true, "reference": "a"},
        {"valid": false, "reference": ""},
        {"valid": false, "error": "invalid signature: no prefix", "reference": ""},
        {"valid": false, "error": "missing input", "reference": ""},
        {"valid": false, "reference": ""},
    ]);
    assert_eq!(judged.body["data"]["batch_results"], expected);
    let one = json!({"input": "YQ==", "signature": signature(0)});
    for (path, batch, ends) in [
        ("sign/ed", json!([]), "missing batch input to process"),
        ("verify/ed", json!([]), "missing batch input to process"),
        ("verify/ed", json!([one, {"input": "YQ=="}]), "some elements of batch_input are missing 'signature'"),
        (
            "verify/ed",
            json!([one, {"input": "YQ==", "hmac": "vault:v1:YQ=="}]),
            "elements of batch_input must all provide 'signature' or all provide 'hmac'",
        ),
        ("verify/ed", json!([{"input": "YQ=="}]), "neither a 'signature' nor an 'hmac' were given to verify"),
    ] {
        refused(&server, path, json!({"batch_input": batch}), ends).await;
    }
    // `null` is none.
    sign(&server, "ed", json!({"input": "YQ==", "batch_input": null})).await;
}
