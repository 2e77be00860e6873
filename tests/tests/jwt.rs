//! Logging in with tokens of an issuer, which is a small server of the test's own: its keys and signatures come from aws-lc.
#![expect(clippy::unwrap_used, reason = "tests")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tests::{Answer, Server, Site, StandIn};

/// A key of the issuer.
enum Signer {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap())
    }

    fn jwk(&self, id: &str) -> Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": id, "x": text(&point[1..33]), "y": text(&point[33..])})
            }
            Self::Rsa(key) => {
                let public = key.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({"kty": "RSA", "use": "sig", "kid": id, "alg": "RS256",
                    "n": text(n.big_endian_without_leading_zero()), "e": text(e.big_endian_without_leading_zero())})
            }
        }
    }

    fn sign(&self, id: &str, claims: &Value) -> String {
        let algorithm = if matches!(self, Self::Ec(_)) { "ES256" } else { "RS256" };
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&json!({"alg": algorithm, "typ": "JWT", "kid": id})), part(claims));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Ec(key) => key.sign(&random, text.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

#[expect(clippy::disallowed_methods, reason = "an issuer tells the time by the wall clock, as the server does")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// An issuer whose keys can be changed.
struct Issuer {
    server: StandIn,
    keys: Arc<Mutex<Vec<Value>>>,
}

impl Issuer {
    async fn start(keys: Vec<Value>) -> Self {
        let keys = Arc::new(Mutex::new(keys));
        let (served, itself) = (Arc::clone(&keys), Arc::new(Mutex::new(String::new())));
        let name = Arc::clone(&itself);
        let server = StandIn::start(move |asked| match asked.path.as_str() {
            "/keys" => (200, json!({"keys": *served.lock().unwrap()}).to_string()),
            "/.well-known/openid-configuration" => {
                let name = name.lock().unwrap();
                (200, json!({"issuer": *name, "jwks_uri": format!("{name}/keys")}).to_string())
            }
            "/big" => (200, "x".repeat(2 << 20)),
            _ => (404, "{}".into()),
        })
        .await
        .unwrap();
        *itself.lock().unwrap() = server.url();
        Self { server, keys }
    }
}

async fn started() -> (Site, Server) {
    let (site, server) = Site::started("").await.unwrap();
    done(&server.put("sys/auth/jwt", json!({"type": "jwt"})).await.unwrap(), 204);
    (site, server)
}

async fn post(server: &Server, path: &str, body: Value) -> Answer {
    server.put(&format!("auth/jwt/{path}"), body).await.unwrap()
}

fn done(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
}

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

fn role() -> Value {
    json!({"role_type": "jwt", "bound_audiences": ["clm"], "user_claim": "sub", "groups_claim": "groups",
        "claim_mappings": {"mail": "address"}, "token_policies": "p1", "token_ttl": "1h"})
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "sub": "alice", "aud": "clm", "iat": now(), "exp": now() + 600, "groups": ["devs"], "mail": "a@example.org"})
}

#[tokio::test]
async fn a_token_of_the_issuer_logs_in_and_its_groups_count() {
    let (site, server) = started().await;
    let (ec, rsa) = (Signer::ec(), Signer::rsa());
    let issuer = Issuer::start(vec![ec.jwk("one"), rsa.jwk("two")]).await;
    let url = issuer.server.url();
    done(&post(&server, "config", json!({"oidc_discovery_url": url, "default_role": "dev"})).await, 204);
    done(&post(&server, "role/dev", role()).await, 204);
    let policy = json!({"policy": "path \"sys/mounts\" { capabilities = [\"read\"] }"});
    done(&server.put("sys/policies/acl/mounts", policy).await.unwrap(), 204);
    let group = json!({"name": "developers", "type": "external", "policies": "mounts"});
    let group = server.put("identity/group", group).await.unwrap();
    let accessor = server.get("sys/auth").await.unwrap().body["data"]["jwt/"]["accessor"].clone();
    let alias = json!({"name": "devs", "canonical_id": group.text("id"), "mount_accessor": accessor});
    done(&server.put("identity/group-alias", alias).await.unwrap(), 200);

    for (signer, id) in [(&ec, "one"), (&rsa, "two")] {
        let jwt = signer.sign(id, &claims(&url));
        let answer = post(&server, "login", json!({"role": "dev", "jwt": jwt})).await;
        done(&answer, 200);
        let auth = &answer.body["auth"];
        assert_eq!(auth["policies"], json!(["default", "mounts", "p1"]));
        assert_eq!(
            (&auth["token_policies"], &auth["identity_policies"]),
            (&json!(["default", "p1"]), &json!(["mounts"]))
        );
        assert_eq!(auth["metadata"], json!({"address": "a@example.org", "role": "dev"}));
        assert_eq!(auth["lease_duration"], 3600);
        assert!(!auth["entity_id"].as_str().unwrap().is_empty());
    }
    // The default role; out of the group, its policies are gone.
    let mut without = claims(&url);
    without["groups"] = json!([]);
    let answer = post(&server, "login", json!({"jwt": ec.sign("one", &without)})).await;
    assert_eq!(answer.body["auth"]["policies"], json!(["default", "p1"]), "{answer:?}");
    // All of that with one fetching of the keys.
    assert_eq!(issuer.server.asked().iter().filter(|asked| asked.path == "/keys").count(), 1);

    // A key that nobody has seen yet is fetched, but not with each such token.
    let (next, last) = (Signer::ec(), Signer::ec());
    issuer.keys.lock().unwrap().push(next.jwk("three"));
    done(&post(&server, "login", json!({"jwt": next.sign("three", &claims(&url))})).await, 200);
    issuer.keys.lock().unwrap().push(last.jwk("four"));
    let refused = post(&server, "login", json!({"jwt": last.sign("four", &claims(&url))})).await;
    told(&refused, 400, "no known key successfully validated");
    assert_eq!(issuer.server.asked().iter().filter(|asked| asked.path == "/keys").count(), 2);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn what_is_not_the_issuers_or_not_for_the_role_is_refused() {
    let (_site, server) = started().await;
    let (ec, other) = (Signer::ec(), Signer::ec());
    let issuer = Issuer::start(vec![ec.jwk("one")]).await;
    let url = issuer.server.url();
    let config = json!({"jwks_url": format!("{url}/keys"), "bound_issuer": "me"});
    done(&post(&server, "config", config).await, 204);
    let mut wanted = role();
    wanted["bound_subject"] = json!("alice");
    wanted["bound_claims"] = json!({"/nested/team": ["blue*"]});
    wanted["bound_claims_type"] = json!("glob");
    done(&post(&server, "role/dev", wanted).await, 204);
    let good = || {
        let mut good = claims("me");
        good["nested"] = json!({"team": "blue-1"});
        good
    };
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        claims
    };
    let login = async |jwt: String| post(&server, "login", json!({"role": "dev", "jwt": jwt})).await;
    done(&login(ec.sign("one", &good())).await, 200);
    for (claims, why) in [
        (with("iss", json!("them")), "invalid issuer"),
        (with("aud", json!("them")), "audience"),
        (with("aud", Value::Null), "audience"),
        (with("sub", json!("bob")), "invalid subject"),
        (with("exp", json!(now() - 120)), "expired"),
        (with("nbf", json!(now() + 120)), "not yet valid"),
        (with("nested", json!({"team": "red"})), "bound claim"),
        (with("nested", json!({})), "is missing"),
        (with("groups", Value::Null), "string list"),
    ] {
        told(&login(ec.sign("one", &claims)).await, 400, why);
    }
    told(&login(other.sign("one", &good())).await, 400, "no known key successfully validated");
    let signed = ec.sign("one", &good());
    let (body, signature) = signed.rsplit_once('.').unwrap();
    let unsigned = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let payload = body.split_once('.').unwrap().1;
    for jwt in [
        format!("{unsigned}.{payload}."),
        format!("{unsigned}.{payload}.{signature}"),
        format!("{body}."),
        payload.to_owned(),
        "a.b.c".into(),
    ] {
        assert_eq!(login(jwt).await.status, 400);
    }
    // Signed with the public key as if it were a secret.
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"one"}"#);
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, ec.jwk("one").to_string().as_bytes());
    let text = format!("{header}.{payload}");
    let tag = BASE64_URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes()));
    told(&login(format!("{text}.{tag}")).await, 400, "not supported");

    told(&post(&server, "login", json!({"jwt": signed})).await, 400, "missing role");
    told(&post(&server, "login", json!({"role": "absent", "jwt": signed})).await, 400, "could not be found");
    told(&post(&server, "login", json!({"role": "dev"})).await, 400, "missing token");
}

#[tokio::test]
async fn keys_can_be_written_into_the_settings_and_what_cannot_be_is_said() {
    let (site, server) = started().await;
    told(&post(&server, "login", json!({"role": "dev", "jwt": "a.b.c"})).await, 400, "could not load configuration");
    let key = rcgen::KeyPair::generate().unwrap();
    let signer = Signer::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der()).unwrap());
    let config = json!({"jwt_validation_pubkeys": [key.public_key_pem()], "jwt_supported_algs": "ES256"});
    done(&post(&server, "config", config).await, 204);
    done(&post(&server, "role/Dev", role()).await, 204);
    let read = server.get("auth/jwt/role/dev").await.unwrap();
    assert_eq!((&read.body["data"]["user_claim"], &read.body["data"]["role_type"]), (&json!("sub"), &json!("jwt")));
    let login = json!({"role": "dev", "jwt": signer.sign("x", &claims("anybody"))});
    done(&post(&server, "login", login.clone()).await, 200);

    let issuer = Issuer::start(Vec::new()).await;
    let url = issuer.server.url();
    for (config, why) in [
        (json!({}), "exactly one of"),
        (json!({"jwks_url": "https://x", "oidc_discovery_url": "https://x"}), "exactly one of"),
        (json!({"jwks_url": format!("{url}/absent")}), "answers 404"),
        (json!({"jwks_url": format!("{url}/big")}), "longer than"),
        (json!({"jwks_url": "http://127.0.0.1:1/keys"}), "error checking jwks URL"),
        (json!({"oidc_discovery_url": format!("{url}/other")}), "error checking oidc discovery URL"),
        (json!({"jwks_url": "file:///etc/passwd"}), "should begin with https://"),
        (json!({"jwt_validation_pubkeys": "no key"}), "error parsing public key"),
        (json!({"jwt_validation_pubkeys": [key.public_key_pem()], "jwt_supported_algs": "HS256"}), "invalid algorithm"),
    ] {
        told(&post(&server, "config", config).await, 400, why);
    }
    for (name, value, why) in [
        ("user_claim", json!(""), "user claim must be defined"),
        ("bound_audiences", json!([]), "at least one bound constraint"),
        ("bound_claims_type", json!("regex"), "bound_claims_type"),
        ("role_type", json!("oidc"), "not offered"),
        ("bound_claims", json!("x"), "should be an object"),
    ] {
        let mut wrong = role();
        wrong[name] = value;
        told(&post(&server, "role/wrong", wrong).await, 400, why);
    }
    // By SQL nobody is believed.
    let mut superuser = site.core.superuser().await.unwrap();
    let edited = "UPDATE auth_configs SET config = jsonb_set(config, '{bound_issuer}', '\"me\"')";
    assert_eq!(sqlx::query(edited).execute(&mut superuser).await.unwrap().rows_affected(), 1);
    told(&post(&server, "login", login).await, 500, "changed behind the service's back");
}
