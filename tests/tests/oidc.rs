//! Logging in through a browser, at a provider that holds the service to the standards (`tests::Issuer`).
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use std::time::UNIX_EPOCH;
use tests::{Answer, Issuer, Server, Site};

const BACK: &str = "http://localhost:8250/oidc/callback";

/// A login method that sends browsers to the provider, and its role `dev`.
async fn started() -> (Site, Server, Issuer) {
    let (site, server) = Site::started("").await.unwrap();
    let issuer = Issuer::start(Vec::new()).await.unwrap();
    done(&server.put("sys/auth/oidc", json!({"type": "oidc"})).await.unwrap(), 204);
    done(&post(&server, "config", config(&issuer)).await, 204);
    done(&post(&server, "role/dev", role()).await, 204);
    (site, server, issuer)
}

fn config(issuer: &Issuer) -> Value {
    json!({"oidc_discovery_url": issuer.url(), "oidc_client_id": Issuer::CLIENT.0, "oidc_client_secret": Issuer::CLIENT.1, "default_role": "dev"})
}

fn role() -> Value {
    json!({"role_type": "oidc", "allowed_redirect_uris": [BACK, "https://app.example/back"], "user_claim": "sub", "groups_claim": "groups",
        "oidc_scopes": ["profile", "groups"], "claim_mappings": {"mail": "address", "team": "team"}, "token_policies": "p1", "token_ttl": "1h"})
}

async fn post(server: &Server, path: &str, body: Value) -> Answer {
    server.put(&format!("auth/oidc/{path}"), body).await.unwrap()
}

fn done(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
}

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

async fn auth_url(server: &Server, body: Value) -> String {
    let answer = post(server, "oidc/auth_url", body).await;
    done(&answer, 200);
    answer.text("auth_url").to_owned()
}

/// Sends a browser away and has it come back: `state` and `code`.
async fn browsed(server: &Server, issuer: &Issuer, nonce: &str) -> (String, String) {
    let url = auth_url(server, json!({"role": "dev", "redirect_uri": BACK, "client_nonce": nonce})).await;
    issuer.browse(&url).await.unwrap()
}

async fn callback(server: &Server, (state, code): &(String, String), nonce: &str) -> Answer {
    let path = format!("auth/oidc/oidc/callback?state={state}&code={code}&client_nonce={nonce}");
    server.get(&path).await.unwrap()
}

#[tokio::test]
async fn a_browser_comes_back_with_a_code_for_a_token_whichever_server_it_meets() {
    let (site, server, issuer) = started().await;
    let replica = site.serve_for(&server.token).await.unwrap();
    let accessor = server.get("sys/auth").await.unwrap().body["data"]["oidc/"]["accessor"].clone();
    let group = server.put("identity/group", json!({"name": "developers", "type": "external", "policies": "p2"})).await;
    let alias = json!({"name": "devs", "canonical_id": group.unwrap().text("id"), "mount_accessor": accessor});
    done(&server.put("identity/group-alias", alias).await.unwrap(), 200);

    let url = auth_url(&server, json!({"redirect_uri": BACK, "client_nonce": "mine"})).await;
    assert!(url.starts_with(&format!("{}/authorize?kept=1&client_id=clm&", issuer.url())), "{url}");
    for part in ["scope=openid+profile+groups&", "code_challenge_method=S256&", "response_type=code&", "state=st_"] {
        assert!(url.contains(part), "{url}");
    }
    let back = issuer.browse(&url).await.unwrap();
    let answer = callback(&replica, &back, "mine").await;
    done(&answer, 200);
    let auth = &answer.body["auth"];
    assert_eq!(auth["policies"], json!(["default", "p1", "p2"]), "{auth}");
    // What the ID token says goes before what the provider says beside it.
    assert_eq!(auth["metadata"], json!({"address": "a@example.org", "role": "dev", "team": "blue"}));
    assert_eq!(auth["lease_duration"], 3600);
    let looked_up = server.put("auth/token/lookup", json!({"token": auth["client_token"]})).await.unwrap();
    assert_eq!((looked_up.text("display_name"), looked_up.text("path")), ("oidc-alice", "auth/oidc/oidc/callback"));

    // Another scheme of the client's own machine, other paths, other hosts: not even asked for.
    for redirect in ["https://localhost:8250/oidc/callback", "http://localhost:8250/x", "https://evil.example/back"] {
        assert_eq!(auth_url(&server, json!({"role": "dev", "redirect_uri": redirect})).await, "");
    }
    let elsewhere = json!({"role": "dev", "redirect_uri": "http://localhost:53017/oidc/callback"});
    let back = issuer.browse(&auth_url(&server, elsewhere).await).await.unwrap();
    // Whoever gave no nonce needs none, and may post.
    let answer = post(&server, "oidc/callback", json!({"state": back.0, "code": back.1})).await;
    assert_eq!(answer.body["auth"]["entity_id"], auth["entity_id"], "{answer:?}");

    let told = "SELECT string_agg(event_type, ' ' ORDER BY event_timestamp) FROM audit_log WHERE event_type LIKE 'login.%' AND event_type <> 'login.begin'";
    let mut superuser = site.core.superuser().await.unwrap();
    let events: String = sqlx::query_scalar(told).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(events, "login.oidc login.oidc");
    // Anybody may begin one: those are counted, and not those that are not sent away.
    let begun = "SELECT coalesce(sum((event_data ->> 'count')::bigint), 0)::bigint FROM audit_log WHERE event_type = 'login.begin' AND action_result = 'success' AND resource_id = 'auth/oidc/'";
    tests::until(std::time::Duration::from_secs(10), "logins begun", 2_i64, async || {
        sqlx::query_scalar(begun).fetch_one(&mut superuser).await.unwrap()
    })
    .await;
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn each_state_is_good_once_for_who_has_the_nonce_and_not_for_long() {
    let (site, server, issuer) = started().await;
    const GONE: &str = "Vault login failed. Expired or missing OAuth state.";
    let back = browsed(&server, &issuer, "mine").await;
    told(&callback(&server, &("st_wrong".into(), back.1.clone()), "mine").await, 400, GONE);
    told(&callback(&server, &(String::new(), back.1.clone()), "mine").await, 400, GONE);
    done(&callback(&server, &back, "mine").await, 200);
    told(&callback(&server, &back, "mine").await, 400, GONE);

    // A wrong nonce ends it, whoever comes then.
    let back = browsed(&server, &issuer, "mine").await;
    told(&callback(&server, &back, "theirs").await, 400, "invalid client_nonce");
    told(&callback(&server, &back, "mine").await, 400, GONE);
    let back = browsed(&server, &issuer, "mine").await;
    told(&callback(&server, &back, "").await, 400, "invalid client_nonce");

    // Somebody else's code, which belongs to another login: PKCE has the provider refuse it.
    let (first, second) = (browsed(&server, &issuer, "mine").await, browsed(&server, &issuer, "mine").await);
    told(&callback(&server, &(first.0, second.1), "mine").await, 400, "Error exchanging oidc code");
    let back = browsed(&server, &issuer, "mine").await;
    told(&callback(&server, &(back.0, String::new()), "mine").await, 400, "No code or id_token received");

    // Of ten at once, one.
    let back = browsed(&server, &issuer, "mine").await;
    let replica = site.serve_for(&server.token).await.unwrap();
    let at_once = futures_util::future::join_all((0..10).map(|at| {
        let server = if at % 2 == 0 { &server } else { &replica };
        callback(server, &back, "mine")
    }));
    assert_eq!(at_once.await.iter().filter(|answer| answer.status == 200).count(), 1);

    // By SQL none waits longer, and nothing of it is in the database.
    let mut superuser = site.core.superuser().await.unwrap();
    let back = browsed(&server, &issuer, "my-own-nonce").await;
    let rows: String =
        sqlx::query_scalar("SELECT string_agg(p::text || encode(content, 'escape'), '') FROM pending_logins p")
            .fetch_one(&mut superuser)
            .await
            .unwrap();
    assert!(!rows.contains(&back.0) && !rows.contains("my-own-nonce") && !rows.contains("localhost"), "{rows}");
    let longer = "UPDATE pending_logins SET expires_at = expires_at + interval '1 hour'";
    assert!(sqlx::query(longer).execute(&mut superuser).await.unwrap().rows_affected() > 0);
    done(&callback(&server, &back, "my-own-nonce").await, 500);
    let back = browsed(&server, &issuer, "mine").await;
    sqlx::query("UPDATE pending_logins SET expires_at = now()").execute(&mut superuser).await.unwrap();
    told(&callback(&server, &back, "mine").await, 400, GONE);
    // A login method that is gone takes nobody who left through it.
    let back = browsed(&server, &issuer, "mine").await;
    done(&server.ask(reqwest::Method::DELETE, "sys/auth/oidc", None).await.unwrap(), 204);
    done(&server.put("sys/auth/oidc", json!({"type": "oidc"})).await.unwrap(), 204);
    done(&post(&server, "config", config(&issuer)).await, 204);
    done(&post(&server, "role/dev", role()).await, 204);
    told(&callback(&server, &back, "mine").await, 400, GONE);
}

#[tokio::test]
async fn no_more_logins_of_a_method_wait_than_may_and_those_that_ended_make_room() {
    let (site, server) = Site::started("[login]\npending_logins = 3\n").await.unwrap();
    let issuer = Issuer::start(Vec::new()).await.unwrap();
    for method in ["oidc", "other"] {
        done(&server.put(&format!("sys/auth/{method}"), json!({"type": "oidc"})).await.unwrap(), 204);
        done(&server.put(&format!("auth/{method}/config"), config(&issuer)).await.unwrap(), 204);
        done(&server.put(&format!("auth/{method}/role/dev"), role()).await.unwrap(), 204);
    }
    let away = json!({"role": "dev", "redirect_uri": BACK, "client_nonce": "mine"});
    let first = browsed(&server, &issuer, "mine").await;
    for _ in 0..2 {
        auth_url(&server, away.clone()).await;
    }
    let full = post(&server, "oidc/auth_url", away.clone()).await;
    told(&full, 429, "3 logins of this method wait for their next step, and no more may");
    // Each method has its own; whoever comes back makes room, and so do those whose time is over.
    done(&server.put("auth/other/oidc/auth_url", away.clone()).await.unwrap(), 200);
    done(&callback(&server, &first, "mine").await, 200);
    auth_url(&server, away.clone()).await;
    told(&post(&server, "oidc/auth_url", away.clone()).await, 429, "no more may");
    let mut superuser = site.core.superuser().await.unwrap();
    let ended = "UPDATE pending_logins SET expires_at = now() - interval '1 second'";
    sqlx::query(ended).execute(&mut superuser).await.unwrap();
    auth_url(&server, away).await;
    let left = "SELECT count(*) FROM pending_logins";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&mut superuser).await.unwrap(), 1, "the others are gone");
}

#[tokio::test]
async fn an_id_token_that_is_not_the_providers_of_now_for_this_login_is_refused() {
    let (_site, server, issuer) = started().await;
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    let login = async |twist: Value| {
        issuer.twist(twist);
        let back = browsed(&server, &issuer, "mine").await;
        callback(&server, &back, "mine").await
    };
    done(&login(json!({})).await, 200);
    for (twist, why) in [
        (json!({"nonce": "n_another"}), "invalid nonce"),
        (json!({"nonce": null}), "invalid nonce"),
        (json!({"aud": "them"}), "invalid audience"),
        (json!({"aud": ["clm", "them"], "azp": "them"}), "invalid authorized party"),
        (json!({"iss": "https://them.example"}), "invalid issuer"),
        (json!({"exp": now - 120, "iat": now - 600}), "expired"),
        (json!({"exp": null}), "no expiration time"),
        (json!({"nbf": now + 600}), "not yet valid"),
    ] {
        let answer = login(twist).await;
        told(&answer, 400, why);
        told(&answer, 400, "Vault login failed. Token verification failed: ");
    }
    told(&login(json!({"sub": null})).await, 400, "\"sub\"");
    let mut narrow = role();
    narrow["bound_claims"] = json!({"team": "red"});
    narrow["max_age"] = json!("5m");
    done(&post(&server, "role/dev", narrow.clone()).await, 204);
    told(&login(json!({})).await, 400, "does not match any associated bound claim values");
    narrow["bound_claims"] = json!({"team": "blue"});
    done(&post(&server, "role/dev", narrow.clone()).await, 204);
    done(&login(json!({})).await, 200);
    told(&login(json!({"auth_time": now - 900})).await, 400, "max_age");
    narrow["bound_audiences"] = json!("also");
    done(&post(&server, "role/dev", narrow).await, 204);
    told(&login(json!({})).await, 400, "does not match any bound audience");
    done(&login(json!({"aud": ["clm", "also"]})).await, 200);
    issuer.forge().unwrap();
    told(&login(json!({})).await, 400, "no known key successfully validated");
}

#[tokio::test]
async fn a_provider_that_posts_leaves_the_code_for_the_client_who_has_the_nonce() {
    let (_site, server, issuer) = started().await;
    let mut posting = config(&issuer);
    posting["oidc_response_mode"] = json!("form_post");
    done(&post(&server, "config", posting).await, 204);
    let url = auth_url(&server, json!({"redirect_uri": BACK, "client_nonce": "mine"})).await;
    assert!(url.contains("response_mode=form_post&"), "{url}");
    let (state, code) = issuer.browse(&url).await.unwrap();
    let form = reqwest::Client::new()
        .post(format!("{}/v1/auth/oidc/oidc/callback", server.address()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("state={state}&code={code}"));
    let answer = form.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (204, ""));
    let path = format!("auth/oidc/oidc/callback?state={state}&client_nonce=mine");
    let answer = server.get(&path).await.unwrap();
    assert_eq!(answer.body["auth"]["metadata"]["role"], "dev", "{answer:?}");
    done(&server.get(&path).await.unwrap(), 400);
}

#[tokio::test]
async fn what_browsers_need_is_checked_when_it_is_set_and_the_secret_is_shown_to_nobody() {
    let (site, server, issuer) = started().await;
    let shown = server.get("auth/oidc/config").await.unwrap();
    assert_eq!((shown.text("oidc_client_id"), shown.body["data"].get("oidc_client_secret")), ("clm", None));
    let mut superuser = site.core.superuser().await.unwrap();
    let stored: String =
        sqlx::query_scalar("SELECT config::text FROM auth_configs").fetch_one(&mut superuser).await.unwrap();
    assert!(!stored.contains(Issuer::CLIENT.1) && !stored.contains(&hex::encode(Issuer::CLIENT.1)), "{stored}");
    let read = server.get("auth/oidc/role/dev").await.unwrap();
    assert_eq!(read.body["data"]["role_type"], "oidc");
    assert_eq!(read.body["data"]["allowed_redirect_uris"], json!([BACK, "https://app.example/back"]));
    assert_eq!(read.body["data"]["oidc_scopes"], json!(["profile", "groups"]));
    // Without a word of the type: whoever says where browsers come back to means that they are sent.
    let mut untold = role();
    untold.as_object_mut().unwrap().remove("role_type");
    done(&post(&server, "role/untold", untold).await, 204);
    assert_eq!(server.get("auth/oidc/role/untold").await.unwrap().text("role_type"), "oidc");

    for (name, value, why) in [
        ("oidc_client_secret", json!(""), "both 'oidc_client_id' and 'oidc_client_secret' must be set"),
        ("oidc_client_id", json!(""), "both 'oidc_client_id' and 'oidc_client_secret' must be set"),
        ("oidc_response_mode", json!("fragment"), "invalid response_mode"),
        ("oidc_response_types", json!("id_token"), "invalid response_types"),
        ("jwt_supported_algs", json!("none"), "invalid algorithm"),
    ] {
        let mut wrong = config(&issuer);
        wrong[name] = value;
        told(&post(&server, "config", wrong).await, 400, why);
    }
    for (name, value, why) in [
        ("allowed_redirect_uris", json!([]), "'allowed_redirect_uris' must be set"),
        ("oidc_scopes", json!(["two words"]), "no scope"),
    ] {
        let mut wrong = role();
        wrong[name] = value;
        told(&post(&server, "role/wrong", wrong).await, 400, why);
    }
    for (body, why) in [
        (json!({"role": "dev"}), "missing redirect_uri"),
        (json!({"role": "absent", "redirect_uri": BACK}), "could not be found"),
    ] {
        told(&post(&server, "oidc/auth_url", body).await, 400, why);
    }
    // A role for browsers takes no token that somebody brings, and a method without a client sends nobody away.
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    let jwt = issuer.sign(&json!({"iss": issuer.url(), "sub": "alice", "exp": now + 600})).unwrap();
    told(&post(&server, "login", json!({"role": "dev", "jwt": jwt})).await, 400, "oidc role_type is not allowed");
    done(&post(&server, "config", json!({"oidc_discovery_url": issuer.url(), "default_role": "dev"})).await, 204);
    let away = post(&server, "oidc/auth_url", json!({"redirect_uri": BACK})).await;
    told(&away, 400, "OIDC login is not configured for this mount");
}
