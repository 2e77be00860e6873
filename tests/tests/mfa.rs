//! Second factors for every login method: which logins wait, for whom, and what they wait for. Codes are made by `tests::totp`, which has nothing of the service's.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::time::{Duration, UNIX_EPOCH};
use tests::{Answer, Authority, Issuer, Server, Site, StandIn};

const FAILED: &str = "login MFA validation failed for methodID";

async fn started() -> (Site, Server) {
    Site::started("").await.unwrap()
}

fn done(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
}

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

async fn put(server: &Server, path: &str, body: Value) -> Answer {
    let answer = server.put(path, body).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer
}

async fn method(server: &Server, name: &str) -> String {
    let made = put(server, "identity/mfa/method/totp", json!({"method_name": name, "issuer": "Our keys"})).await;
    made.text("method_id").to_owned()
}

/// An entity's authenticator program, as of the moment when it was told its secret.
struct Program {
    secret: String,
    since: u64,
}

impl Program {
    async fn of(server: &Server, method: &str, entity: &Value) -> Self {
        let body = json!({"method_id": method, "entity_id": entity});
        let made = put(server, "identity/mfa/method/totp/admin-generate", body).await;
        let url = made.text("url");
        assert!(url.starts_with("otpauth://totp/Our%20keys:"), "{url}");
        let secret = url.split_once("secret=").unwrap().1.split('&').next().unwrap().to_owned();
        Self { secret, since: UNIX_EPOCH.elapsed().unwrap().as_secs() }
    }

    /// What it shows so many steps after that moment; the next step's code is taken from then on for a minute.
    fn code(&self, steps: u64) -> String {
        tests::totp(&self.secret, self.since + steps * 30).unwrap()
    }
}

/// A person `bob` of `userpass/`, whose logins need a code of method `app`.
struct Bob {
    site: Site,
    server: Server,
    method: String,
    program: Program,
}

impl Bob {
    async fn new() -> Self {
        let (site, server) = started().await;
        put(&server, "sys/auth/userpass", json!({"type": "userpass"})).await;
        put(&server, "auth/userpass/users/bob", json!({"password": "pw", "token_policies": "p1"})).await;
        let method = method(&server, "app").await;
        let given = put(&server, "auth/userpass/login/bob", json!({"password": "pw"})).await;
        let program = Program::of(&server, &method, &given.body["auth"]["entity_id"]).await;
        let all = json!({"mfa_method_ids": method, "auth_method_types": "userpass"});
        put(&server, "identity/mfa/login-enforcement/people", all).await;
        Self { site, server, method, program }
    }

    /// The id of a login that waits.
    async fn request(&self) -> String {
        let answer = put(&self.server, "auth/userpass/login/bob", json!({"password": "pw"})).await;
        requirement(&answer)["mfa_request_id"].as_str().unwrap().to_owned()
    }

    async fn validate(&self, server: &Server, request: &str, code: &str) -> Answer {
        let body = json!({"mfa_request_id": request, "mfa_payload": {self.method.as_str(): [code]}});
        server.put("sys/mfa/validate", body).await.unwrap()
    }

    /// Has codes count as not taken yet.
    async fn forget(&self) {
        self.sql("UPDATE mfa_secrets SET last_step = NULL, failed_attempts = 0").await;
    }

    async fn sql(&self, statement: &str) -> u64 {
        let mut superuser = self.site.core.superuser().await.unwrap();
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut superuser).await.unwrap().rows_affected()
    }
}

/// What a login is told that waits, and that it was given nothing.
fn requirement(answer: &Answer) -> &Value {
    done(answer, 200);
    let auth = &answer.body["auth"];
    assert_eq!((&auth["client_token"], &auth["accessor"], &auth["policies"]), (&json!(""), &json!(""), &Value::Null));
    let requirement = &auth["mfa_requirement"];
    assert!(requirement["mfa_request_id"].is_string(), "{answer:?}");
    requirement
}

async fn with_factor(server: &Server, factors: &[String]) -> reqwest::Response {
    let mut request = reqwest::Client::new().put(format!("{}/v1/auth/userpass/login/bob", server.address()));
    for factor in factors {
        request = request.header("X-Vault-MFA", factor);
    }
    request.body(json!({"password": "pw"}).to_string()).send().await.unwrap()
}

#[tokio::test]
async fn every_login_method_waits_for_a_code_and_then_gives_the_token_it_gave_before() {
    let site = Site::ready("").await.unwrap();
    let authority = Authority::create("outside").unwrap();
    site.protect(&authority, "").unwrap();
    site.present(&authority.issue("client").unwrap()).unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let issuer = Issuer::start(Vec::new()).await.unwrap();
    let account = json!({"username": "system:serviceaccount:prod:app", "uid": "1"});
    let review = json!({"kind": "TokenReview", "status": {"authenticated": true, "user": account}}).to_string();
    let cluster = StandIn::start(move |_| (201, review.clone())).await.unwrap();
    for kind in ["approle", "cert", "jwt", "kubernetes", "oidc", "userpass"] {
        put(&server, &format!("sys/auth/{kind}"), json!({"type": kind})).await;
    }
    let config = json!({"oidc_discovery_url": issuer.url(), "oidc_client_id": Issuer::CLIENT.0, "oidc_client_secret": Issuer::CLIENT.1});
    for (path, body) in [
        ("approle/role/r", json!({"role_id": "r", "token_policies": "p1"})),
        ("approle/role/r/custom-secret-id", json!({"secret_id": "chosen"})),
        ("cert/certs/r", json!({"certificate": authority.pem, "token_policies": "p1"})),
        ("jwt/config", config.clone()),
        ("jwt/role/r", json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "me", "token_policies": "p1"})),
        ("kubernetes/config", json!({"kubernetes_host": cluster.url()})),
        (
            "kubernetes/role/r",
            json!({"bound_service_account_names": "app", "bound_service_account_namespaces": "prod", "token_policies": "p1"}),
        ),
        ("oidc/config", config),
        ("oidc/role/r", json!({"user_claim": "sub", "allowed_redirect_uris": "https://here/", "token_policies": "p1"})),
        ("userpass/users/bob", json!({"password": "pw", "token_policies": "p1"})),
    ] {
        put(&server, &format!("auth/{path}"), body).await;
    }
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    let jwt = issuer.sign(&json!({"iss": issuer.url(), "sub": "me", "iat": now, "exp": now + 600})).unwrap();
    let logins = [
        ("approle/login", json!({"role_id": "r", "secret_id": "chosen"})),
        ("cert/login", json!({"name": "r"})),
        ("jwt/login", json!({"role": "r", "jwt": jwt})),
        ("kubernetes/login", json!({"role": "r", "jwt": "a-token"})),
        ("oidc/oidc/callback", Value::Null),
        ("userpass/login/bob", json!({"password": "pw"})),
    ];
    let login = async |path: &str, body: &Value| {
        let mut body = body.clone();
        if body.is_null() {
            let url =
                put(&server, "auth/oidc/oidc/auth_url", json!({"role": "r", "redirect_uri": "https://here/"})).await;
            let (state, code) = issuer.browse(url.text("auth_url")).await.unwrap();
            body = json!({"state": state, "code": code});
        }
        put(&server, &format!("auth/{path}"), body).await
    };
    let method = method(&server, "app").await;
    let mut before = Vec::new();
    for (path, body) in &logins {
        let given = login(path, body).await;
        let auth = given.body["auth"].clone();
        assert!(!auth["client_token"].as_str().unwrap().is_empty(), "{path}: {auth}");
        before.push((Program::of(&server, &method, &auth["entity_id"]).await, auth));
    }
    let types = json!(["approle", "cert", "jwt", "kubernetes", "oidc", "userpass"]);
    let all = json!({"mfa_method_ids": [method], "auth_method_types": types});
    put(&server, "identity/mfa/login-enforcement/all", all).await;
    for ((path, body), (program, without)) in logins.iter().zip(&before) {
        let waits = login(path, body).await;
        let requirement = requirement(&waits);
        let any = json!([{"type": "totp", "id": method, "uses_passcode": true, "name": "app"}]);
        assert_eq!(requirement["mfa_constraints"], json!({"all": {"any": any}}), "{path}");
        let warning = waits.body["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("A login request was issued that is subject to MFA validation."), "{warning}");
        let payload = json!({method.as_str(): [program.code(0)]});
        let body = json!({"mfa_request_id": requirement["mfa_request_id"], "mfa_payload": payload});
        let given = put(&server, "sys/mfa/validate", body).await;
        let auth = &given.body["auth"];
        for field in ["policies", "metadata", "entity_id", "lease_duration", "token_type", "orphan", "renewable"] {
            assert_eq!(auth[field], without[field], "{path}: {field}");
        }
        let looked_up = put(&server, "auth/token/lookup", json!({"token": auth["client_token"]})).await;
        assert_eq!(looked_up.text("path"), format!("auth/{path}"));
    }
    let mut superuser = site.core.superuser().await.unwrap();
    let of_type = "SELECT string_agg(event_data ->> 'login', ' ' ORDER BY event_data ->> 'login') FROM audit_log WHERE event_type = 'login.suspend'";
    let waited: String = sqlx::query_scalar(of_type).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(waited, "login.approle login.cert login.jwt login.kubernetes login.oidc login.userpass");
    let by_code =
        "SELECT count(*) FROM audit_log WHERE event_type LIKE 'login.%' AND event_data ->> 'second_factor' = 'mfa'";
    let given: i64 = sqlx::query_scalar(by_code).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(given, 6);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn a_login_that_waits_is_finished_once_at_any_server_and_each_code_is_taken_once() {
    let bob = Bob::new().await;
    let replica = bob.site.serve_for(&bob.server.token).await.unwrap();
    let (first, second) = (bob.request().await, bob.request().await);
    let code = bob.program.code(0);
    done(&bob.validate(&replica, &first, &code).await, 200);
    told(&bob.validate(&bob.server, &first, &bob.program.code(1)).await, 400, "invalid request ID");
    // The code of a login is none of another, at no server.
    told(&bob.validate(&bob.server, &second, &code).await, 403, FAILED);
    told(&bob.validate(&replica, &second, &code).await, 403, FAILED);
    done(&bob.validate(&replica, &second, &bob.program.code(1)).await, 200);

    // Of ten at once, one; and of one code for two logins, one.
    bob.forget().await;
    let request = bob.request().await;
    let at_once = futures_util::future::join_all((0..10).map(|at| {
        let server = if at % 2 == 0 { &bob.server } else { &replica };
        bob.validate(server, &request, &code)
    }));
    assert_eq!(at_once.await.iter().filter(|answer| answer.status == 200).count(), 1);
    bob.forget().await;
    let (one, other) = (bob.request().await, bob.request().await);
    let both = tokio::join!(bob.validate(&bob.server, &one, &code), bob.validate(&replica, &other, &code));
    assert_eq!([both.0, both.1].iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(bob.site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn who_waits_too_long_is_disabled_or_another_gets_nothing() {
    let bob = Bob::new().await;
    let code = bob.program.code(0);
    let request = bob.request().await;
    for (body, status, why) in [
        (json!({"mfa_payload": {bob.method.as_str(): [code]}}), 400, "missing mfa_request_id"),
        (json!({"mfa_request_id": request}), 400, "missing mfa_payload"),
        (
            json!({"mfa_request_id": request, "mfa_payload": {bob.method.as_str(): ["1", "2"]}}),
            400,
            "one code for each",
        ),
        (json!({"mfa_request_id": request, "mfa_payload": {"another": [code]}}), 403, FAILED),
        (
            json!({"mfa_request_id": uuid::Uuid::new_v4(), "mfa_payload": {bob.method.as_str(): [code]}}),
            400,
            "invalid request ID",
        ),
    ] {
        told(&bob.server.put("sys/mfa/validate", body).await.unwrap(), status, why);
    }
    for wrong in ["000000", "", "28708"] {
        told(&bob.validate(&bob.server, &request, wrong).await, 403, FAILED);
    }
    // Nothing secret is in the database, and SQL has nobody wait longer or less.
    let mut superuser = bob.site.core.superuser().await.unwrap();
    let rows: String = sqlx::query_scalar(
        "SELECT (SELECT string_agg(p::text || encode(content, 'escape'), '') FROM pending_logins p) || (SELECT string_agg(s::text || encode(secret, 'escape'), '') FROM mfa_secrets s)",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    for secret in [&request, &bob.program.secret, "bob"] {
        assert!(!rows.to_lowercase().contains(&secret.to_lowercase()), "{secret}: {rows}");
    }
    assert_eq!(bob.sql("UPDATE pending_logins SET expires_at = expires_at + interval '1 hour'").await, 1);
    done(&bob.validate(&bob.server, &request, &code).await, 500);
    bob.sql("UPDATE pending_logins SET expires_at = now()").await;
    told(&bob.validate(&bob.server, &request, &code).await, 400, "invalid request ID");

    // Disabled, or out of the service, between the two factors.
    let request = bob.request().await;
    let given = "auth/userpass/users/bob";
    let entity = bob
        .server
        .put(
            "identity/lookup/entity",
            json!({"alias_name": "bob", "alias_mount_accessor":
        bob.server.get("sys/auth").await.unwrap().body["data"]["userpass/"]["accessor"]}),
        )
        .await
        .unwrap();
    let entity = format!("identity/entity/id/{}", entity.text("id"));
    put(&bob.server, &entity, json!({"disabled": true})).await;
    told(&bob.validate(&bob.server, &request, &code).await, 403, "permission denied");
    put(&bob.server, &entity, json!({"disabled": false})).await;
    done(&bob.server.ask(Method::DELETE, given, None).await.unwrap(), 204);
    told(&bob.validate(&bob.server, &request, &code).await, 403, "permission denied");
    put(&bob.server, given, json!({"password": "pw"})).await;
    done(&bob.validate(&bob.server, &request, &code).await, 200);
    // An enforcement that SQL has changed is none that lets anybody by.
    let relaxed = "UPDATE system_entries SET document = replace(document, '\"userpass\"', '\"other\"') WHERE kind = 'login_enforcement'";
    assert_eq!(bob.sql(relaxed).await, 1);
    tests::until(Duration::from_secs(10), "logins are refused", 500, async || {
        bob.server.put("auth/userpass/login/bob", json!({"password": "pw"})).await.unwrap().status.as_u16()
    })
    .await;
}

#[tokio::test]
async fn wrong_codes_lock_a_second_factor_for_a_while() {
    let bob = Bob::new().await;
    let request = bob.request().await;
    for _ in 0..5 {
        told(&bob.validate(&bob.server, &request, "000000").await, 403, FAILED);
    }
    told(&bob.validate(&bob.server, &request, &bob.program.code(0)).await, 403, FAILED);
    let mut superuser = bob.site.core.superuser().await.unwrap();
    let locked: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE event_type = 'mfa_secret.lock'")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(locked, 1);
    bob.sql("UPDATE mfa_secrets SET last_failed_at = last_failed_at - interval '16 minutes'").await;
    done(&bob.validate(&bob.server, &request, &bob.program.code(0)).await, 200);
}

#[tokio::test]
async fn a_code_in_the_logins_own_header_is_enough_and_each_enforcement_needs_one() {
    let bob = Bob::new().await;
    let (code, method) = (bob.program.code(0), &bob.method);
    // By the method's id, by its name, and with the word that says nothing.
    for header in [format!("{method}:{code}"), format!("app:{code}"), format!("{method}:passcode={code}")] {
        bob.forget().await;
        let answer: Value = with_factor(&bob.server, &[header]).await.json().await.unwrap();
        assert_eq!(answer["auth"]["policies"], json!(["default", "p1"]), "{answer}");
    }
    // Taken once.
    let refused = with_factor(&bob.server, &[format!("app:{code}")]).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains(FAILED));
    // A code for something else is none: the login waits.
    let waits: Value = with_factor(&bob.server, &["another:123456".into()]).await.json().await.unwrap();
    assert!(waits["auth"]["mfa_requirement"]["mfa_request_id"].is_string(), "{waits}");

    let other = self::method(&bob.server, "other").await;
    let shown = bob.server.get("sys/auth").await.unwrap();
    let accessor = shown.body["data"]["userpass/"]["accessor"].clone();
    let second = json!({"mfa_method_ids": [other], "auth_method_accessors": [accessor]});
    put(&bob.server, "identity/mfa/login-enforcement/second", second).await;
    let entity =
        bob.server.put("identity/lookup/entity", json!({"alias_name": "bob", "alias_mount_accessor": accessor}));
    let program = Program::of(&bob.server, &other, &json!(entity.await.unwrap().text("id"))).await;
    bob.forget().await;
    let one = with_factor(&bob.server, &[format!("app:{code}")]).await;
    assert_eq!(one.status(), 403);
    bob.forget().await;
    let both = with_factor(&bob.server, &[format!("app:{code}"), format!("other:{}", program.code(0))]).await;
    let both: Value = both.json().await.unwrap();
    assert!(both["auth"]["client_token"].as_str().is_some_and(|token| !token.is_empty()), "{both}");
    // The same in two steps: both in one request.
    bob.forget().await;
    let waits = put(&bob.server, "auth/userpass/login/bob", json!({"password": "pw"})).await;
    let told = requirement(&waits);
    let constraints: Vec<&String> = told["mfa_constraints"].as_object().unwrap().keys().collect();
    assert_eq!(constraints, ["people", "second"]);
    let body = json!({"mfa_request_id": told["mfa_request_id"], "mfa_payload": {"app": [code], "other": format!("passcode={}", program.code(0))}});
    done(&bob.server.put("sys/mfa/validate", body).await.unwrap(), 200);
    // The person's own second factor of userpass is asked for beside that.
    let enrolled = put(&bob.server, "auth/userpass/users/bob/totp", json!({})).await;
    let own = |steps: u64| {
        tests::totp(enrolled.text("secret"), UNIX_EPOCH.elapsed().unwrap().as_secs() + steps * 30).unwrap()
    };
    put(&bob.server, "auth/userpass/users/bob/totp/confirm", json!({"passcode": own(0)})).await;
    let login = json!({"password": "pw", "passcode": own(1)});
    requirement(&put(&bob.server, "auth/userpass/login/bob", login).await);
}

#[tokio::test]
async fn an_enforcement_means_its_entities_and_groups_and_nobody_else() {
    let (_site, server) = started().await;
    put(&server, "sys/auth/userpass", json!({"type": "userpass"})).await;
    let issuer = Issuer::start(Vec::new()).await.unwrap();
    put(&server, "sys/auth/jwt", json!({"type": "jwt"})).await;
    put(&server, "auth/jwt/config", json!({"oidc_discovery_url": issuer.url()})).await;
    let role = json!({"role_type": "jwt", "user_claim": "sub", "groups_claim": "groups", "bound_claims": {"iss": issuer.url()}});
    put(&server, "auth/jwt/role/r", role).await;
    let mut entities = Vec::new();
    for name in ["bob", "eve"] {
        put(&server, &format!("auth/userpass/users/{name}"), json!({"password": "pw"})).await;
        let given = put(&server, &format!("auth/userpass/login/{name}"), json!({"password": "pw"})).await;
        entities.push(given.body["auth"]["entity_id"].clone());
    }
    let waits = async |name: &str| {
        let answer = put(&server, &format!("auth/userpass/login/{name}"), json!({"password": "pw"})).await;
        answer.body["auth"]["client_token"] == ""
    };
    let method = method(&server, "").await;
    let path = "identity/mfa/login-enforcement/e";
    put(&server, path, json!({"mfa_method_ids": [method], "identity_entity_ids": [entities[0]]})).await;
    assert!(waits("bob").await && !waits("eve").await);
    // Through a group in a group.
    let inner = put(&server, "identity/group", json!({"name": "inner", "member_entity_ids": [entities[1]]})).await;
    let outer = put(&server, "identity/group", json!({"name": "outer", "member_group_ids": [inner.text("id")]})).await;
    put(&server, path, json!({"identity_entity_ids": [], "identity_group_ids": [outer.text("id")]})).await;
    assert!(!waits("bob").await && waits("eve").await);
    // And one that the very login brings into such a group, of whom nobody knew before.
    let external = json!({"name": "external", "type": "external"});
    let external = put(&server, "identity/group", external).await;
    let accessor = server.get("sys/auth").await.unwrap().body["data"]["jwt/"]["accessor"].clone();
    let alias = json!({"name": "devs", "canonical_id": external.text("id"), "mount_accessor": accessor});
    put(&server, "identity/group-alias", alias).await;
    let members = json!({"id": outer.text("id"), "member_group_ids": [inner.text("id"), external.text("id")]});
    put(&server, "identity/group", members).await;
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    for (name, groups, waits) in [("dev", json!(["devs"]), true), ("other", json!(["others"]), false)] {
        let claims = json!({"iss": issuer.url(), "sub": name, "iat": now, "exp": now + 600, "groups": groups});
        let jwt = issuer.sign(&claims).unwrap();
        let answer = put(&server, "auth/jwt/login", json!({"role": "r", "jwt": jwt})).await;
        assert_eq!(answer.body["auth"]["client_token"] == "", waits, "{answer:?}");
    }
    done(&server.ask(Method::DELETE, path, None).await.unwrap(), 204);
    assert!(!waits("eve").await);
}

#[tokio::test]
async fn methods_and_enforcements_are_made_read_changed_listed_and_deleted() {
    let bob = Bob::new().await;
    let (server, id) = (&bob.server, &bob.method);
    let shown = server.get(&format!("identity/mfa/method/totp/{id}")).await.unwrap();
    let usual = json!({"algorithm": "SHA1", "digits": 6, "id": id, "issuer": "Our keys", "key_size": 20, "max_validation_attempts": 5, "name": "app",
        "namespace_id": "root", "namespace_path": "", "period": 30, "qr_size": 0, "skew": 1, "type": "totp"});
    assert_eq!(shown.body["data"], usual);
    assert_eq!(server.get(&format!("identity/mfa/method/{id}")).await.unwrap().body["data"], usual);
    let list = Method::from_bytes(b"LIST").unwrap();
    let listed = server.ask(list.clone(), "identity/mfa/method/totp", None).await.unwrap();
    assert_eq!(listed.body["data"], json!({"keys": [id], "key_info": {id.as_str(): usual}}));
    let listed = server.ask(list, "identity/mfa/login-enforcement", None).await.unwrap();
    assert_eq!(listed.body["data"]["keys"], json!(["people"]));
    let read = server.get("identity/mfa/login-enforcement/people").await.unwrap();
    assert_eq!(
        (&read.body["data"]["mfa_method_ids"], &read.body["data"]["auth_method_types"]),
        (&json!([id]), &json!(["userpass"]))
    );
    for (field, value, why) in [
        ("issuer", json!(""), "issuer must be set"),
        ("algorithm", json!("MD5"), "algorithm must be one of"),
        ("digits", json!(7), "digits can only be 6 or 8"),
        ("skew", json!(2), "skew must be 0 or 1"),
        ("period", json!(0), "period must be greater"),
        ("key_size", json!(8), "key_size must be between"),
        ("method_name", json!("app"), "belongs to another method"),
    ] {
        let mut wrong = json!({"issuer": "x"});
        wrong[field] = value;
        told(&server.put("identity/mfa/method/totp", wrong).await.unwrap(), 400, why);
    }
    for (body, why) in [
        (json!({"auth_method_types": "userpass"}), "missing method ids"),
        (json!({"mfa_method_ids": [id]}), "must be specified"),
        (json!({"mfa_method_ids": [uuid::Uuid::nil()], "auth_method_types": "userpass"}), "does not exist"),
        (json!({"mfa_method_ids": [id], "auth_method_types": "nosuch"}), "no type of auth method"),
        (json!({"mfa_method_ids": [id], "auth_method_accessors": "nosuch"}), "no auth method has the accessor"),
        (json!({"mfa_method_ids": [id], "identity_entity_ids": [uuid::Uuid::nil()]}), "no entity has the id"),
        (json!({"mfa_method_ids": [id], "identity_group_ids": [uuid::Uuid::nil()]}), "no group has the id"),
    ] {
        told(&server.put("identity/mfa/login-enforcement/wrong", body).await.unwrap(), 400, why);
    }
    // A secret that was given stays what it is, whatever its method becomes.
    let change = json!({"digits": 8, "algorithm": "SHA256", "period": 60});
    put(server, &format!("identity/mfa/method/totp/{id}"), change).await;
    let request = bob.request().await;
    done(&bob.validate(server, &request, &bob.program.code(0)).await, 200);

    // Who has a secret is given no other; taken away, no code is one.
    let accessor = server.get("sys/auth").await.unwrap().body["data"]["userpass/"]["accessor"].clone();
    let looked_up =
        server.put("identity/lookup/entity", json!({"alias_name": "bob", "alias_mount_accessor": accessor}));
    let entity = looked_up.await.unwrap().text("id").to_owned();
    let whose = json!({"method_id": id, "entity_id": entity});
    let again = server.put("identity/mfa/method/totp/admin-generate", whose.clone()).await.unwrap();
    assert!(
        again.body["data"].is_null() && again.body["warnings"][0].as_str().unwrap().contains("already has"),
        "{again:?}"
    );
    let request = bob.request().await;
    put(server, "identity/mfa/method/totp/admin-destroy", whose.clone()).await;
    told(&bob.validate(server, &request, &bob.program.code(1)).await, 403, FAILED);
    let in_use = server.ask(Method::DELETE, &format!("identity/mfa/method/totp/{id}"), None).await.unwrap();
    told(&in_use, 400, "still used by an enforcement");

    // A person makes a secret of one's own, with eight digits now; it goes with its method.
    done(&server.ask(Method::DELETE, "identity/mfa/login-enforcement/people", None).await.unwrap(), 204);
    let policy = json!({"policy": "path \"identity/mfa/method/totp/generate\" { capabilities = [\"update\"] }"});
    put(server, "sys/policies/acl/p1", policy).await;
    let given = put(server, "auth/userpass/login/bob", json!({"password": "pw"})).await;
    let own = reqwest::Client::new()
        .put(format!("{}/v1/identity/mfa/method/totp/generate", server.address()))
        .header("X-Vault-Token", given.body["auth"]["client_token"].as_str().unwrap())
        .body(json!({"method_id": id}).to_string())
        .send()
        .await
        .unwrap();
    let own: Value = own.json().await.unwrap();
    let url = own["data"]["url"].as_str().unwrap();
    assert!(url.contains("digits=8") && url.contains("algorithm=SHA256") && url.contains("period=60"), "{url}");
    done(&server.ask(Method::DELETE, &format!("identity/mfa/method/totp/{id}"), None).await.unwrap(), 204);
    assert_eq!(bob.sql("DELETE FROM mfa_secrets").await, 0);
    done(&server.get(&format!("identity/mfa/method/totp/{id}")).await.unwrap(), 404);
    // An entity takes its secrets along.
    let method = method(server, "later").await;
    Program::of(server, &method, &json!(entity)).await;
    done(&server.ask(Method::DELETE, &format!("identity/entity/id/{entity}"), None).await.unwrap(), 204);
    assert_eq!(bob.sql("DELETE FROM mfa_secrets").await, 0);
    assert!(bob.site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}
