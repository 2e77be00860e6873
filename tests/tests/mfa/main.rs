//! Second factors for every login method: which logins wait, for whom, and what they wait for. Codes are made by `tests::totp`, which has nothing of the service's.
#![expect(clippy::unwrap_used, reason = "tests")]

mod enforced;
mod gone;
mod header;
mod kept;
mod merged;
mod methods;
mod overtaken;
mod waiting;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::time::UNIX_EPOCH;
use tests::{Answer, Server, Site};

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
        validate(server, &self.method, request, code).await
    }

    /// Has codes count as not taken yet.
    async fn forget(&self) {
        self.sql("UPDATE mfa_secrets SET last_step = NULL, failed_attempts = 0").await;
    }

    /// The path of Bob's entity.
    async fn entity(&self) -> String {
        let shown = self.server.get("sys/auth").await.unwrap();
        let whose = json!({"alias_name": "bob", "alias_mount_accessor": shown.body["data"]["userpass/"]["accessor"]});
        let entity = self.server.put("identity/lookup/entity", whose).await.unwrap();
        format!("identity/entity/id/{}", entity.text("id"))
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

async fn validate(server: &Server, method: &str, request: &str, code: &str) -> Answer {
    let body = json!({"mfa_request_id": request, "mfa_payload": {method: [code]}});
    server.put("sys/mfa/validate", body).await.unwrap()
}
