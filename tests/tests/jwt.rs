//! Logging in with tokens of an issuer, which is a small server of the test's own: its keys and signatures come from aws-lc.
#![expect(clippy::unwrap_used, reason = "tests")]

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tests::{Answer, Issuer, Server, Signer, Site};

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
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
        "claim_mappings": {"mail": "address"}, "token_policies": "p1", "ttl": "1h", "num_uses": 8})
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "sub": "alice", "aud": "clm", "iat": now(), "exp": now() + 600, "groups": ["devs"], "mail": "a@example.org"})
}

#[tokio::test]
async fn a_token_of_the_issuer_logs_in_and_its_groups_count() {
    let (site, server) = started().await;
    let (ec, rsa) = (Signer::ec().unwrap(), Signer::rsa().unwrap());
    let issuer = Issuer::start(vec![ec.jwk("one"), rsa.jwk("two")]).await.unwrap();
    let url = issuer.url();
    done(&post(&server, "config", json!({"oidc_discovery_url": url, "default_role": "dev"})).await, 204);
    done(&post(&server, "role/dev", role()).await, 204);
    let policy = json!({"policy": "path \"sys/mounts\" { capabilities = [\"read\"] }"});
    done(&server.put("sys/policies/acl/mounts", policy).await.unwrap(), 204);
    let group = json!({"name": "developers", "type": "external", "policies": "mounts"});
    let group = server.put("identity/group", group).await.unwrap();
    let accessor = server.get("sys/auth").await.unwrap().body["data"]["jwt/"]["accessor"].clone();
    let alias = json!({"name": "devs", "canonical_id": group.text("id"), "mount_accessor": accessor});
    done(&server.put("identity/group-alias", alias).await.unwrap(), 200);
    let above = json!({"name": "staff", "policies": "p2", "member_group_ids": [group.text("id")]});
    done(&server.put("identity/group", above).await.unwrap(), 200);

    // The first time it brings him into the group, the second time he is in it; what that is in counts, too.
    for (signer, id) in [(&ec, "one"), (&rsa, "two")] {
        let jwt = signer.sign(id, &claims(&url)).unwrap();
        let answer = post(&server, "login", json!({"role": "dev", "jwt": jwt})).await;
        done(&answer, 200);
        let auth = &answer.body["auth"];
        assert_eq!(auth["policies"], json!(["default", "mounts", "p1", "p2"]));
        assert_eq!(
            (&auth["token_policies"], &auth["identity_policies"]),
            (&json!(["default", "p1"]), &json!(["mounts", "p2"]))
        );
        assert_eq!(auth["metadata"], json!({"address": "a@example.org", "role": "dev"}));
        assert_eq!((&auth["lease_duration"], &auth["num_uses"]), (&json!(3600), &json!(8)));
        assert!(!auth["entity_id"].as_str().unwrap().is_empty());
    }
    // The default role; out of the group, its policies are gone.
    let mut without = claims(&url);
    without["groups"] = json!([]);
    let answer = post(&server, "login", json!({"jwt": ec.sign("one", &without).unwrap()})).await;
    assert_eq!(answer.body["auth"]["policies"], json!(["default", "p1"]), "{answer:?}");
    // All of that with one fetching of the keys.
    assert_eq!(issuer.asked().iter().filter(|asked| asked.path == "/keys").count(), 1);

    // A key that nobody has seen yet is fetched, but not with each such token.
    let (next, last) = (Signer::ec().unwrap(), Signer::ec().unwrap());
    issuer.publish(next.jwk("three"));
    done(&post(&server, "login", json!({"jwt": next.sign("three", &claims(&url)).unwrap()})).await, 200);
    issuer.publish(last.jwk("four"));
    let refused = post(&server, "login", json!({"jwt": last.sign("four", &claims(&url)).unwrap()})).await;
    told(&refused, 400, "no known key successfully validated");
    assert_eq!(issuer.asked().iter().filter(|asked| asked.path == "/keys").count(), 2);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn a_renewal_brings_its_bearer_into_external_groups_and_out_of_them_as_a_login_would() {
    let (site, mut server) = started().await;
    let ec = Signer::ec().unwrap();
    let issuer = Issuer::start(vec![ec.jwk("one")]).await.unwrap();
    let url = issuer.url();
    done(&post(&server, "config", json!({"oidc_discovery_url": url})).await, 204);
    done(&post(&server, "role/dev", role()).await, 204);
    let policy = json!({"policy": "path \"sys/mounts\" { capabilities = [\"read\"] }"});
    done(&server.put("sys/policies/acl/mounts", policy).await.unwrap(), 204);
    let mut named = claims(&url);
    named["groups"] = json!(["ops", "devs", "ops"]);
    let auth = post(&server, "login", json!({"role": "dev", "jwt": ec.sign("one", &named).unwrap()})).await;
    let auth = auth.body["auth"].clone();
    assert_eq!(auth["policies"], json!(["default", "p1"]), "nobody here has a group of that name");
    let token = auth["client_token"].as_str().unwrap().to_owned();

    let group = json!({"name": "developers", "type": "external", "policies": "mounts"});
    let group = server.put("identity/group", group).await.unwrap();
    let accessor = server.get("sys/auth").await.unwrap().body["data"]["jwt/"]["accessor"].clone();
    let alias = json!({"name": "devs", "canonical_id": group.text("id"), "mount_accessor": accessor});
    let alias = server.put("identity/group-alias", alias).await.unwrap();
    let read = async |server: &Server| server.get("sys/mounts").await.unwrap().status.as_u16();
    let renewed = async |server: &Server| {
        let renewed = server.put("auth/token/renew-self", json!({})).await.unwrap();
        done(&renewed, 200);
        renewed.body["auth"]["policies"].clone()
    };
    let (_, root) = server.enter("", &token);
    assert_eq!(read(&server).await, 403, "not before it is renewed");
    assert_eq!((renewed(&server).await, read(&server).await), (json!(["default", "mounts", "p1"]), 200));
    // The group is another one's there: he leaves with the next renewal.
    server.enter("", &root);
    let other = json!({"id": alias.text("id"), "name": "testers"});
    done(&server.put("identity/group-alias", other).await.unwrap(), 200);
    server.enter("", &token);
    assert_eq!((renewed(&server).await, read(&server).await), (json!(["default", "p1"]), 403));
    server.enter("", &root);
    // By SQL nobody was in another group there.
    let mut superuser = site.core.superuser().await.unwrap();
    let edited = "UPDATE entity_aliases SET group_names = '{testers}'";
    assert_eq!(sqlx::query(edited).execute(&mut superuser).await.unwrap().rows_affected(), 1);
    let refused = async || {
        let asked = server.put("auth/token/renew", json!({"token": token})).await.unwrap();
        (asked.status.as_u16(), asked.error().contains("changed behind the service's back"))
    };
    assert_eq!(refused().await, (500, true));
}

#[tokio::test]
async fn what_is_not_the_issuers_or_not_for_the_role_is_refused() {
    let (_site, server) = started().await;
    let (ec, other) = (Signer::ec().unwrap(), Signer::ec().unwrap());
    let issuer = Issuer::start(vec![ec.jwk("one")]).await.unwrap();
    let url = issuer.url();
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
    done(&login(ec.sign("one", &good()).unwrap()).await, 200);
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
        told(&login(ec.sign("one", &claims).unwrap()).await, 400, why);
    }
    told(&login(other.sign("one", &good()).unwrap()).await, 400, "no known key successfully validated");
    let signed = ec.sign("one", &good()).unwrap();
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
    let login = json!({"role": "dev", "jwt": signer.sign("x", &claims("anybody")).unwrap()});
    done(&post(&server, "login", login.clone()).await, 200);

    let issuer = Issuer::start(Vec::new()).await.unwrap();
    let url = issuer.url();
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
        ("role_type", json!("oidc"), "'allowed_redirect_uris' must be set"),
        ("role_type", json!("saml"), "invalid 'role_type'"),
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
