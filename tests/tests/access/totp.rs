//! People's second factor.

use super::{policy, started};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tests::{Answer, Server, Site};

const REFUSED: &str = "invalid username or password";

async fn with_bob() -> (Site, Server) {
    let (site, server) = started().await;
    assert_eq!(server.put("sys/auth/userpass", json!({"type": "userpass"})).await.unwrap().status, 204);
    assert_eq!(server.put("auth/userpass/users/bob", json!({"password": "pw"})).await.unwrap().status, 204);
    (site, server)
}

async fn login(server: &mut Server, body: Value) -> Answer {
    let own = std::mem::take(&mut server.token);
    let answer = server.put("auth/userpass/login/bob", body).await.unwrap();
    server.token = own;
    answer
}

fn refused(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.error()), (400, REFUSED), "{answer:?}");
}

/// Enrolled, and confirmed with the code of a moment.
struct Program {
    secret: String,
    confirmed: u64,
    backup_codes: Vec<String>,
}

impl Program {
    async fn enrolled(server: &Server) -> Self {
        let made = server.put("auth/userpass/users/bob/totp", json!({"issuer": "Our keys"})).await.unwrap();
        assert_eq!(made.status, 200, "{made:?}");
        let confirmed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let mut program = Self { secret: made.text("secret").to_owned(), confirmed, backup_codes: Vec::new() };
        let body = json!({"passcode": program.code(0)});
        let confirmed = server.put("auth/userpass/users/bob/totp/confirm", body).await.unwrap();
        assert_eq!(confirmed.status, 200, "{confirmed:?}");
        let codes = confirmed.body["data"]["backup_codes"].as_array().unwrap().iter();
        program.backup_codes = codes.map(|code| code.as_str().unwrap().to_owned()).collect();
        program
    }

    /// What it shows so many steps after that moment; the next step's code is taken from then on for a minute.
    fn code(&self, steps: u64) -> String {
        tests::totp(&self.secret, self.confirmed + steps * 30).unwrap()
    }
}

async fn sql(site: &Site, statement: &str) -> String {
    let mut superuser = site.core.superuser().await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut superuser).await.unwrap()
}

#[tokio::test]
async fn a_second_factor_counts_once_it_is_confirmed_and_each_code_once_on_all_servers() {
    let (site, mut server) = with_bob().await;
    let path = "auth/userpass/users/bob/totp";
    let made = server.put(path, json!({"issuer": "Our keys"})).await.unwrap();
    let secret = made.text("secret").to_owned();
    assert!(made.text("url").starts_with(&format!("otpauth://totp/Our%20keys:bob?secret={secret}")), "{made:?}");
    // Nothing is asked before the person has shown that the program has it.
    assert_eq!(
        server.get(path).await.unwrap().body["data"],
        json!({"enabled": false, "pending": true, "backup_codes_left": 0})
    );
    assert_eq!(login(&mut server, json!({"password": "pw"})).await.status, 200);
    let wrong = server.put(&format!("{path}/confirm"), json!({"passcode": "000000"})).await.unwrap();
    assert!(wrong.status == 400 && wrong.error().starts_with("that is not the code of now"), "{wrong:?}");

    let program = Program::enrolled(&server).await;
    assert_eq!(program.backup_codes.len(), 10);
    assert_eq!(
        server.get(path).await.unwrap().body["data"],
        json!({"enabled": true, "pending": false, "backup_codes_left": 10})
    );
    let again = server.put(path, json!({})).await.unwrap();
    assert!(again.status == 400 && again.error().contains("take it away first"), "{again:?}");

    // The right password alone, a wrong code, the code that confirmed, and a wrong password with the right code: all the same.
    let next = program.code(1);
    refused(&login(&mut server, json!({"password": "pw"})).await);
    refused(&login(&mut server, json!({"password": "pw", "passcode": "000000"})).await);
    refused(&login(&mut server, json!({"password": "pw", "passcode": program.code(0)})).await);
    refused(&login(&mut server, json!({"password": "no", "passcode": next})).await);
    assert_eq!(login(&mut server, json!({"password": "pw", "passcode": next})).await.status, 200);
    // Taken once it is taken no more, there and on another server.
    let mut replica = site.serve_for(&server.token).await.unwrap();
    refused(&login(&mut server, json!({"password": "pw", "totp": next})).await);
    refused(&login(&mut replica, json!({"password": "pw", "passcode": next})).await);
    let backup = json!({"password": "pw", "totp": program.backup_codes[9]});
    assert_eq!(login(&mut replica, backup.clone()).await.status, 200);
    refused(&login(&mut server, backup).await);

    let record = "SELECT string_agg(coalesce(event_data ->> 'second_factor', '-'), ' ' ORDER BY event_timestamp) FROM audit_log WHERE event_type = 'login.userpass'";
    assert_eq!(sql(&site, record).await, "- totp backup_code");
    let told =
        "SELECT string_agg(event_type, ' ' ORDER BY event_timestamp) FROM audit_log WHERE event_type LIKE 'totp.%'";
    assert_eq!(sql(&site, told).await, "totp.enroll totp.enroll totp.confirm");
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn backup_codes_open_once_each_and_nothing_secret_is_in_the_database() {
    let (site, mut server) = with_bob().await;
    let Program { secret, backup_codes: codes, .. } = Program::enrolled(&server).await;
    let spoken = codes[3].replace('-', " ").to_uppercase();
    assert_eq!(login(&mut server, json!({"password": "pw", "passcode": spoken})).await.status, 200);
    refused(&login(&mut server, json!({"password": "pw", "passcode": codes[3]})).await);
    assert_eq!(login(&mut server, json!({"password": "pw", "passcode": codes[0]})).await.status, 200);
    assert_eq!(server.get("auth/userpass/users/bob/totp").await.unwrap().body["data"]["backup_codes_left"], 8);
    let row = sql(&site, "SELECT users::text FROM users").await.to_lowercase();
    for text in codes.iter().chain([&secret]) {
        assert!(!row.contains(&text.to_lowercase()) && !row.contains(&text.replace('-', "").to_lowercase()), "{row}");
    }
    let renewed = server.put("auth/userpass/users/bob/totp/backup-codes", json!({})).await.unwrap();
    assert_eq!(renewed.body["data"]["backup_codes"].as_array().unwrap().len(), 10);
    refused(&login(&mut server, json!({"password": "pw", "passcode": codes[1]})).await);
    let fresh = renewed.body["data"]["backup_codes"][0].clone();
    assert_eq!(login(&mut server, json!({"password": "pw", "passcode": fresh})).await.status, 200);

    // Taken away, the password is enough; and SQL does not take it away.
    sqlx::query("UPDATE users SET mfa_enabled = false")
        .execute(&mut site.core.superuser().await.unwrap())
        .await
        .unwrap();
    let tampered = login(&mut server, json!({"password": "pw"})).await;
    assert!(tampered.status == 500 && tampered.error().contains("changed behind the service's back"), "{tampered:?}");
    sqlx::query("UPDATE users SET mfa_enabled = true")
        .execute(&mut site.core.superuser().await.unwrap())
        .await
        .unwrap();
    let path = "auth/userpass/users/bob/totp";
    assert_eq!(server.ask(Method::DELETE, path, None).await.unwrap().status, 204);
    assert_eq!(login(&mut server, json!({"password": "pw"})).await.status, 200);
    assert_eq!(server.put(path, json!({})).await.unwrap().status, 200);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn wrong_codes_lock_a_person_out_like_wrong_passwords() {
    let (site, mut server) = with_bob().await;
    let program = Program::enrolled(&server).await;
    for _ in 0..5 {
        refused(&login(&mut server, json!({"password": "pw", "passcode": "000000"})).await);
    }
    refused(&login(&mut server, json!({"password": "pw", "passcode": program.code(1)})).await);
    assert_eq!(sql(&site, "SELECT count(*)::text FROM audit_log WHERE event_type = 'user.lock'").await, "1");
    sql(&site, "UPDATE users SET last_failed_login_at = last_failed_login_at - interval '16 minutes' RETURNING ''")
        .await;
    assert_eq!(login(&mut server, json!({"password": "pw", "passcode": program.code(1)})).await.status, 200);
}

#[tokio::test]
async fn a_person_enrolls_by_a_policy_for_ones_own_name_and_clients_may_send_the_code_in_a_header() {
    let (_site, mut server) = with_bob().await;
    let mounts = server.get("sys/auth").await.unwrap();
    let accessor = mounts.body["data"]["userpass/"]["accessor"].as_str().unwrap();
    let own = format!(
        "path \"auth/userpass/users/{{{{identity.entity.aliases.{accessor}.name}}}}/totp*\" {{ capabilities = [\"create\", \"update\"] }}"
    );
    policy(&server, "own-factor", &own).await;
    for user in ["bob", "eve"] {
        let body = json!({"password": "pw", "token_policies": "own-factor"});
        assert_eq!(server.put(&format!("auth/userpass/users/{user}"), body).await.unwrap().status, 204);
    }
    let given = login(&mut server, json!({"password": "pw"})).await;
    server.token = given.body["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(server.put("auth/userpass/users/eve/totp", json!({})).await.unwrap().status, 403);
    let program = Program::enrolled(&server).await;
    let answer = reqwest::Client::new()
        .put(format!("{}/v1/auth/userpass/login/bob", server.address()))
        .header("X-Vault-MFA", format!("totp:{}", program.code(1)))
        .body(json!({"password": "pw"}).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}
