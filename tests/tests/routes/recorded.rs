//! What is recorded.

use super::outside::Outside;
use super::{policy, requests, table::Row, token};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256};
use serde_json::json;
use sqlx::PgConnection;
use tests::{Answer, Authority, Server, Site};

/// Types and outcomes of the records that requests with this User-Agent left, in both logs.
async fn records(user_agent: &str, core: &mut PgConnection, secure: &mut PgConnection) -> Vec<(String, String)> {
    let of_core = "SELECT event_type, action_result FROM audit_log WHERE user_agent = $1";
    let of_secure = "SELECT event_type, result FROM secure_audit_log WHERE user_agent = $1";
    let mut found = sqlx::query_as(of_core).bind(user_agent).fetch_all(core).await.unwrap();
    found.extend(sqlx::query_as(of_secure).bind(user_agent).fetch_all(secure).await.unwrap());
    found
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// What a request leaves that nothing else tells of.
const ANSWERED: &str = "request.answered";

/// What the run came to know, for the bodies of later requests.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) root: String,
    /// Of the key `ec`, a certificate in PEM with `\\n` for its line ends.
    chain: String,
    backup: String,
    ciphertext: String,
    /// A second factor's secret, and the code of now.
    factor: (String, String),
    /// A login that waits, and the code that it waits for.
    waiting: (String, String),
    /// With what a browser came back from the provider.
    back: (String, String),
    login: String,
    outside: Option<Outside>,
    lease: String,
    moved: String,
    nonce: String,
    pub(crate) notification: String,
    /// Word and id of what was made in `identity/`.
    identities: Vec<(&'static str, String)>,
    pair: String,
    /// Of AppRole, with its accessor.
    secret: (String, String),
    sent: String,
    share: String,
    signature: String,
    wrapped: String,
}

impl Known {
    /// With what login methods believe, for a site whose servers start after this.
    pub(crate) async fn of(site: &Site) -> Self {
        Self { outside: Some(Outside::of(site).await), ..Self::default() }
    }

    pub(crate) fn fill(&self, text: &str, (token, accessor): &(String, String)) -> String {
        let words = [
            ("$TOKEN", token),
            ("$ACCESSOR", accessor),
            ("$CHAIN", &self.chain),
            ("$BACKUP", &self.backup),
            ("$CIPHERTEXT", &self.ciphertext),
            ("$CODE", &self.factor.1),
            ("$GRANT", &self.back.1),
            ("$LOGIN", &self.login),
            ("$LEASE", &self.lease),
            ("$MOVE", &self.moved),
            ("$NONCE", &self.nonce),
            ("$NOTIFICATION", &self.notification),
            ("$PAIR", &self.pair),
            ("$PASSCODE", &self.waiting.1),
            ("$REQUEST", &self.waiting.0),
            ("$SECRET_ACCESSOR", &self.secret.1),
            ("$SECRET", &self.secret.0),
            ("$SENT", &self.sent),
            ("$SHARE", &self.share),
            ("$SIGNATURE", &self.signature),
            ("$STATE", &self.back.0),
            ("$WRAPPED", &self.wrapped),
        ];
        let words = words.iter().map(|(word, value)| (*word, value.as_str()));
        let identities = self.identities.iter().map(|(word, id)| (*word, id.as_str()));
        let outside: Vec<_> = self.outside.iter().flat_map(Outside::words).collect();
        let outside = outside.iter().map(|(word, value)| (*word, value.as_str()));
        words.chain(identities).chain(outside).fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
    }

    /// Makes what a row needs, and has its caller be the next to ask; a token that its body may name, with its accessor.
    pub(crate) async fn prepare(&mut self, row: &Row, server: &mut Server) -> (String, String) {
        if self.root.is_empty() {
            return Default::default();
        }
        (server.token, server.user_agent) = (self.root.clone(), "preparation".to_owned());
        let other = token(server, &["everything"]).await;
        if row.id.starts_with("wrapping") {
            "60".clone_into(&mut server.wrap_ttl);
            let wrapped = server.put("sys/wrapping/wrap", json!({})).await.unwrap();
            server.wrap_ttl.clear();
            wrapped.body["wrap_info"]["token"].as_str().unwrap().clone_into(&mut self.wrapped);
        }
        if row.body.contains("$LEASE") || row.name == "$LEASE" {
            let list = reqwest::Method::from_bytes(b"LIST").unwrap();
            let listed = server.ask(list, "sys/leases/lookup/auth/token/create", None).await.unwrap();
            let last = listed.body["data"]["keys"].as_array().unwrap().last().unwrap().as_str().unwrap().to_owned();
            self.lease = format!("auth/token/create/{last}");
        }
        if row.body.contains("$CODE") {
            let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
            self.factor.1 = tests::totp(&self.factor.0, now).unwrap();
        }
        if row.body.contains("$SECRET") {
            let made = server.put("auth/approle/role/r/secret-id", json!({})).await.unwrap();
            self.secret = (made.text("secret_id").to_owned(), made.text("secret_id_accessor").to_owned());
        }
        if row.body.contains("$LOGIN") {
            let mounts = server.get("sys/auth").await.unwrap();
            mounts.body["data"]["userpass/"]["accessor"].as_str().unwrap().clone_into(&mut self.login);
        }
        if row.body.contains(r#""role":"browser""#) || row.body.contains("$GRANT") {
            let role = json!({"role_type": "oidc", "user_claim": "sub", "allowed_redirect_uris": "https://here/"});
            server.put("auth/jwt/role/browser", role).await.unwrap();
        }
        if row.body.contains("$GRANT")
            && let Some(outside) = &self.outside
        {
            let wanted = json!({"role": "browser", "redirect_uri": "https://here/"});
            let away = server.put("auth/jwt/oidc/auth_url", wanted).await.unwrap();
            self.back = outside.provider.browse(away.text("auth_url")).await.unwrap();
        }
        if row.body.contains("$REQUEST") {
            self.waiting = self.login_that_waits(server).await;
        }
        if row.id == "api-key-create" {
            server.put("auth/userpass/users/ann", json!({"password": "pw"})).await.unwrap();
        }
        if row.name == "third" || row.body.contains("$FOURTH_ENTITY") {
            let made = server.put("identity/entity", json!({"name": row.name})).await.unwrap();
            self.identities.retain(|(word, _)| *word != "$FOURTH_ENTITY");
            self.identities.push(("$FOURTH_ENTITY", made.text("id").to_owned()));
        }
        if row.name == "$PAIR" && self.pair.is_empty() {
            server.put("transit/keys/pair", json!({"type": "ecdsa-p256"})).await.unwrap();
            server.put("transit/keys/pair/rotate", json!({})).await.unwrap();
            let list = reqwest::Method::from_bytes(b"LIST").unwrap();
            let ids = server.ask(list, "clm/private-keys", None).await.unwrap();
            for id in ids.body["data"]["keys"].as_array().unwrap() {
                let version = server.get(&format!("clm/private-keys/{}", id.as_str().unwrap())).await.unwrap();
                if version.text("key") == "pair" && version.body["data"]["version"] == 1 {
                    id.as_str().unwrap().clone_into(&mut self.pair);
                }
            }
        }
        if row.name == "leaving" {
            server.put("transit/keys/recipient", json!({"type": "rsa-2048"})).await.unwrap();
            server.put("transit/keys/leaving", json!({"type": "ecdsa-p256", "exportable": true})).await.unwrap();
        }
        if row.body.contains("$SENT") {
            let key = server.get("transit/wrapping_key").await.unwrap();
            // The one that the token undoes by itself, and the clients' default.
            let hash = if row.body.contains("SHA1") { &OAEP_SHA1_MGF1SHA1 } else { &OAEP_SHA256_MGF1SHA256 };
            let private = rcgen::KeyPair::generate().unwrap().serialize_der();
            self.sent = tests::wrapped(key.text("public_key"), hash, &private).unwrap();
        }
        if row.body.contains("$CHAIN") {
            let key = server.get("transit/keys/ec").await.unwrap();
            let newest = key.body["data"]["keys"].as_object().unwrap().values().next_back().unwrap();
            let public = newest["public_key"].as_str().unwrap();
            let chain = Authority::create("authority").unwrap().certify("ec", public).unwrap();
            self.chain = chain.replace('\r', "").replace('\n', "\\n");
        }
        server.token = token(server, &["everything"]).await.0;
        if row.id == "mfa-generate-totp" {
            server.token = person(server, "own").await["client_token"].as_str().unwrap().to_owned();
        }
        if row.id.starts_with("cubbyhole") {
            server.put("cubbyhole/mine/a", json!({"b": 2})).await.unwrap();
        }
        if row.id == "transit-agree" {
            server.put("transit/keys/dh", json!({"type": "ecdh-p256"})).await.unwrap();
        }
        if row.id == "transit-cmac" {
            server.put("transit/keys/mac", json!({"type": "aes128-cmac"})).await.unwrap();
        }
        if row.id == "wrapping-look-up-own" {
            server.token.clone_from(&self.wrapped);
        }
        if row.id == "wrapping-wrap" {
            "60".clone_into(&mut server.wrap_ttl);
        }
        other
    }

    /// Of a person whose logins need a code of `$METHOD`: which login waits, and for what.
    async fn login_that_waits(&self, server: &Server) -> (String, String) {
        let method = self.fill("$METHOD", &Default::default());
        let entity = person(server, "waiting").await["entity_id"].clone();
        let whose = json!({"method_id": method, "entity_id": entity});
        let made = server.put("identity/mfa/method/totp/admin-generate", whose).await.unwrap();
        let secret = made.text("url").split_once("secret=").unwrap().1.split('&').next().unwrap().to_owned();
        let rule = json!({"mfa_method_ids": method, "identity_entity_ids": entity});
        server.put("identity/mfa/login-enforcement/e", rule).await.unwrap();
        let auth = person(server, "waiting").await;
        let request = auth["mfa_requirement"]["mfa_request_id"].as_str().unwrap().to_owned();
        (request, tests::totp(&secret, std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap())
    }

    pub(crate) async fn learn(&mut self, row: &Row, answer: &Answer, server: &mut Server) {
        match row.id {
            "init" => {
                self.share = answer.body["keys"][0].as_str().unwrap().to_owned();
                server.token = answer.body["root_token"].as_str().unwrap().to_owned();
            }
            "unseal" => {
                self.root.clone_from(&server.token);
                server.until_health(200).await.unwrap();
                policy(server, "everything", &["create", "delete", "list", "patch", "read", "sudo", "update"]).await;
                for (path, kind) in [("kv", "kv-v1"), ("secret", "kv-v2"), ("transit", "transit")] {
                    let mounted = server.put(&format!("sys/mounts/{path}"), json!({"type": kind})).await.unwrap();
                    assert_eq!(mounted.status, 204, "{path}: {mounted:?}");
                }
                for kind in ["api-key", "cert", "jwt", "kubernetes", "userpass"] {
                    let enabled = server.put(&format!("sys/auth/{kind}"), json!({"type": kind})).await.unwrap();
                    assert_eq!(enabled.status, 204, "{enabled:?}");
                }
            }
            "rekey-start" | "rekey-restart-verification" | "generate-root-start" | "generate-root-token-start" => {
                self.nonce = answer.body["nonce"].as_str().unwrap().to_owned()
            }
            "rekey-update" => self.share = answer.body["keys"][0].as_str().unwrap().to_owned(),
            "remount" => self.moved = answer.text("migration_id").to_owned(),
            "api-key-create" => {
                self.identities.push(("$KEY_ID", answer.text("id").to_owned()));
                self.identities.push(("$API_KEY", answer.text("api_key").to_owned()));
            }
            // Longer words come first: `$ALIAS` begins `$ALIAS_OF_GROUP`.
            "entity-write" => self.identities.push(("$ENTITY", answer.text("id").to_owned())),
            "entity-write-by-name" => self.identities.insert(0, ("$OTHER_ENTITY", answer.text("id").to_owned())),
            "entity-alias-write" => self.identities.push(("$ALIAS", answer.text("id").to_owned())),
            "group-write" => self.identities.push(("$GROUP", answer.text("id").to_owned())),
            "group-alias-write" => self.identities.insert(0, ("$ALIAS_OF_GROUP", answer.text("id").to_owned())),
            "mfa-create-totp-method" => self.identities.push(("$METHOD", answer.text("method_id").to_owned())),
            "namespaces-lock-below" => self.identities.push(("$UNLOCK", answer.text("unlock_key").to_owned())),
            "userpass-enroll-totp" => self.factor.0 = answer.text("secret").to_owned(),
            "transit-back-up-key" => self.backup = answer.text("backup").to_owned(),
            "transit-encrypt" => self.ciphertext = answer.text("ciphertext").to_owned(),
            "transit-sign" => self.signature = answer.text("signature").to_owned(),
            _ => {}
        }
    }
}

/// What a login gives a person who may do everything.
async fn person(server: &Server, name: &str) -> serde_json::Value {
    let body = json!({"password": "pw", "token_policies": "everything"});
    server.put(&format!("auth/userpass/users/{name}"), body.clone()).await.unwrap();
    server.put(&format!("auth/userpass/login/{name}"), body).await.unwrap().body["auth"].take()
}

/// Has people told something, as when a secret is due for rotation; its id.
pub(crate) async fn notified(site: &Site) -> String {
    let insert = "INSERT INTO notifications (id, organization_id, notification_type, title, message, priority) \
                  SELECT gen_random_uuid(), id, 'secret.rotation_due', 't', 'm', 'high' FROM organizations WHERE org_code = 'root' RETURNING id::text";
    sqlx::query_scalar(insert).fetch_one(&mut site.core.superuser().await.unwrap()).await.unwrap()
}

/// What no route makes yet: a certificate and a request, there before the service is.
pub(crate) async fn keep_certificates(site: &Site) {
    let id = uuid::Uuid::parse_str(super::table::CERTIFICATE).unwrap();
    site.insert_certificate(clm_core::ROOT_ORGANIZATION, id).await.unwrap();
    site.insert_request(clm_core::ROOT_ORGANIZATION, id).await.unwrap();
}

#[tokio::test]
async fn every_route_leaves_exactly_one_record_of_a_request_with_a_good_token() {
    let mut site =
        Site::ready("[seal]\ntype = 'shamir'\ngenerate_root = true\nrekey = true\n[audit]\ndevices = true\n")
            .await
            .unwrap();
    // An RSA key of 4096 bits is among what is made, on a machine that may have other things to do.
    site.variables = vec![("CLM_HSM__DEADLINE_MS", "60000".into())];
    keep_certificates(&site).await;
    let mut known = Known::of(&site).await;
    let mut server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    let mut core = site.core.superuser().await.unwrap();
    let mut secure = site.secure.superuser().await.unwrap();
    for request in requests() {
        let row = request.row;
        if row.id == "clm-list-notifications" {
            known.notification = notified(&site).await;
        }
        let other = known.prepare(row, &mut server).await;
        server.user_agent = format!("coverage {}", row.id);
        let path = known.fill(&request.path, &other);
        let body = known.fill(row.body, &other).into_bytes();
        let answer = server.ask(request.method, &path, Some(body)).await.unwrap();
        server.wrap_ttl.clear();
        let mut found = records(&server.user_agent, &mut core, &mut secure).await;
        if let Some(status) = row.refused {
            assert_eq!(answer.status, status, "{}: {answer:?}", row.id);
            assert!(found.iter().all(|(_, outcome)| outcome == "failure"), "{}: {found:?}", row.id);
            assert!(row.open || found.len() == 1, "{}: {found:?}", row.id);
            continue;
        }
        assert!(if row.lacking { answer.status == 400 } else { answer.status.is_success() }, "{}: {answer:?}", row.id);
        if row.id == "init" {
            // The organization's key is made with it, and has a record of its own.
            assert_eq!(found.pop(), Some(("organization_key.create".to_owned(), "success".to_owned())));
        }
        let outcome = if row.lacking { "failure" } else { "success" };
        // What is of no kind of its own is on record all the same.
        let own = row.event.or((!row.open).then_some(ANSWERED));
        let expected = own.iter().chain(row.others);
        let mut expected: Vec<_> = expected.map(|event| ((*event).to_owned(), outcome.to_owned())).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{}", row.id);
        known.learn(row, &answer, &mut server).await;
    }
    assert!(site.succeeds(&["audit", "verify"]).unwrap().contains("holds"));
}

/// The one record of a request that came to nothing or told something: kind, outcome, error, what was decided, status.
type Told = (String, String, Option<String>, Option<String>, Option<String>);

async fn told(user_agent: &str, table: &str, connection: &mut PgConnection) -> Vec<Told> {
    let result = if table == "audit_log" { "action_result" } else { "result" };
    let statement = format!(
        "SELECT event_type, {result}, error_message, event_data ->> 'decision', event_data ->> 'status' FROM {table} WHERE user_agent = $1"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(user_agent).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn what_comes_to_nothing_is_on_record_too_in_the_log_of_the_database_that_it_was_asked_of() {
    let (site, mut server) = super::started().await;
    policy(&server, "looks", &["read"]).await;
    let (looks, _) = token(&server, &["looks"]).await;
    let root = std::mem::replace(&mut server.token, looks);
    let mut core = site.core.superuser().await.unwrap();
    let mut secure = site.secure.superuser().await.unwrap();
    for (number, (method, path, body, status, of_secure)) in [
        ("GET", "nosuch/x", "", 404, false),
        ("GET", "transit/nosuch/x/y", "", 404, true),
        ("GET", "transit/keys/nosuch", "", 404, true),
        ("GET", "sys/policies/acl/nosuch", "", 404, false),
        ("GET", "sys/step-down", "", 405, false),
        ("GET", "sys/mounts/nosuch", "", 400, false),
        ("GET", "cubbyhole/nosuch", "", 404, true),
        ("GET", "clm/certificates/nosuch", "", 404, true),
        ("GET", "sys/mounts", "", 200, false),
        ("GET", "transit/keys/nosuch?help=1", "", 200, true),
    ]
    .into_iter()
    .enumerate()
    {
        server.user_agent = format!("nothing {number}");
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = server.ask(method, path, Some(body.into())).await.unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let of_core = told(&server.user_agent, "audit_log", &mut core).await;
        let of_keys = told(&server.user_agent, "secure_audit_log", &mut secure).await;
        let (own, other) = if of_secure { (of_keys, of_core) } else { (of_core, of_keys) };
        let (kind, outcome) =
            if status < 400 { ("request.answered", "success") } else { ("request.failed", "failure") };
        let [(told_kind, told_outcome, error, decision, told_status)] = own.as_slice() else {
            panic!("{path}: {own:?} {other:?}");
        };
        assert!(other.is_empty(), "{path}: {other:?}");
        assert_eq!(
            (told_kind.as_str(), told_outcome.as_str(), error.is_some()),
            (kind, outcome, status >= 400),
            "{path}"
        );
        assert_eq!(told_status.as_deref(), Some(status.to_string().as_str()), "{path}");
        let help = path.ends_with("?help=1");
        assert_eq!(decision.as_deref(), (!help).then_some("granted"), "{path}");
    }
    // Of a token that a client wrote into a path, as some did for older servers, nobody can make use.
    server.token = root;
    let text = token(&server, &["looks"]).await.0;
    for path in [format!("auth/token/lookup/{text}"), format!("{text}/x")] {
        server.user_agent = format!("in the path, and here: {text}");
        assert_eq!(server.get(&path).await.unwrap().status, 404, "{path}");
    }
    let everything: String =
        sqlx::query_scalar("SELECT jsonb_agg(to_jsonb(a))::text FROM audit_log a").fetch_one(&mut core).await.unwrap();
    assert!(everything.contains("auth/token/lookup/hvs.(token)") && everything.contains("and here: hvs.(token)"));
    assert!(!everything.contains(&text));

    // What cannot be put on record is not told.
    sqlx::query("REVOKE INSERT ON audit_log FROM clm_core_app").execute(&mut core).await.unwrap();
    let refused = server.get("sys/mounts").await.unwrap();
    assert!(refused.status == 503 && !refused.body.to_string().contains("transit"), "{refused:?}");
    sqlx::query("GRANT INSERT ON audit_log TO clm_core_app").execute(&mut core).await.unwrap();
    let asked = async || server.get("sys/mounts").await.unwrap().status.as_u16();
    tests::until(PATIENCE, "records are written again", 200, asked).await;
    assert!(site.succeeds(&["audit", "verify"]).unwrap().contains("holds"));
}

/// Kind, action, operation, status and error of what a request left in either log, by the name of the log.
async fn ends(site: &Site, user_agent: &str) -> Vec<(&'static str, [Option<String>; 5])> {
    let mut ends = Vec::new();
    for (database, table) in [(&site.core, "audit_log"), (&site.secure, "secure_audit_log")] {
        let statement = format!(
            "SELECT ARRAY[event_type, action, event_data ->> 'operation', event_data ->> 'status', error_message]::text[] \
             FROM {table} WHERE user_agent = $1 ORDER BY seq"
        );
        let found = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).bind(user_agent);
        let found: Vec<Vec<Option<String>>> = found.fetch_all(&mut database.superuser().await.unwrap()).await.unwrap();
        ends.extend(found.into_iter().map(|columns| (table, columns.try_into().unwrap())));
    }
    ends
}

#[tokio::test]
async fn a_change_that_is_refused_is_recorded_once_with_what_was_tried_and_why_it_came_to_nothing() {
    let (site, mut server) = super::started().await;
    let failed = |action: &str, operation: &str, status: u16, error: &str| {
        ["request.failed", action, operation, &status.to_string(), error].map(|text| Some(text.to_owned()))
    };
    for (number, (method, path, body, (operation, action, status), log)) in [
        ("POST", "sys/mounts/transit", json!({"type": "transit"}), ("mounts-enable", "update", 400), "audit_log"),
        ("POST", "sys/policies/acl/root", json!({"policy": "{}"}), ("policies-acl-write", "update", 400), "audit_log"),
        ("POST", "sys/leases/renew", json!({"lease_id": "nosuch"}), ("leases-renew", "update", 400), "audit_log"),
        ("DELETE", "sys/mounts/sys", json!({}), ("mounts-disable", "delete", 400), "audit_log"),
        ("PUT", "clm/secrets/-no-name-", json!({"data": {}}), ("clm-write-secret", "create", 400), "secure_audit_log"),
        ("GET", "clm/secrets/-no-name-", json!({}), ("clm-read-secret", "read", 400), "secure_audit_log"),
    ]
    .into_iter()
    .enumerate()
    {
        server.user_agent = format!("refused {number}");
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = server.ask(method, path, Some(body.to_string().into())).await.unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let expected = (log, failed(action, operation, status, answer.error()));
        assert_eq!(ends(&site, &server.user_agent).await, [expected], "{path}");
    }

    // What went well before it is on record, and so is that it failed; nobody waits for the record where something is away.
    let mut core = site.core.superuser().await.unwrap();
    sqlx::query("REVOKE INSERT ON organizations FROM clm_core_app").execute(&mut core).await.unwrap();
    server.user_agent = "half".to_owned();
    let answer = server.put("clm/organizations/late", json!({})).await.unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    let expected = vec![
        ("audit_log", failed("create", "clm-write-organizations", 503, answer.error())),
        ("secure_audit_log", [Some("organization_key.create".to_owned()), Some("create".to_owned()), None, None, None]),
    ];
    tests::until(PATIENCE, "the failure is not on record", expected, async || ends(&site, "half").await).await;
}
