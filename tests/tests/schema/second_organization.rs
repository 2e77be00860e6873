//! Another organization's things through the API: its token, which may do everything in it, finds none of them and changes none.

use crate::connect;
use serde_json::{Value, json};
use tests::{Server, Site};
use uuid::Uuid;

/// What everything of the first organization is called, and of the second.
const NAME: &str = "name-of-the-first";
const SECOND: &str = "name-of-the-second";
/// An organization that is neither, told by the same word.
const THIRD: &str = "third-beside-name-of-the-first";
/// Of a key of the first.
const ALIAS: &str = "alias-of-name-of-the-first";

/// A second organization and a root token of it.
async fn second_token(server: &Server) -> (Uuid, String) {
    let made = server.put(&format!("clm/organizations/{SECOND}"), json!({})).await.unwrap();
    assert_eq!(made.status, 204, "{made:?}");
    let organization = server.get(&format!("clm/organizations/{SECOND}")).await.unwrap();
    let token = server.put(&format!("clm/organization-tokens/{SECOND}"), json!({})).await.unwrap();
    (organization.text("id").parse().unwrap(), token.text("token").to_owned())
}

/// Engines and login methods at the paths that routes are shown with.
const MOUNTS: [(&str, &str); 9] = [
    ("sys/mounts/transit", "transit"),
    ("sys/mounts/kv", "kv-v1"),
    ("sys/mounts/secret", "kv-v2"),
    ("sys/auth/api-key", "api-key"),
    ("sys/auth/approle", "approle"),
    ("sys/auth/cert", "cert"),
    ("sys/auth/jwt", "jwt"),
    ("sys/auth/kubernetes", "kubernetes"),
    ("sys/auth/userpass", "userpass"),
];

async fn mount(server: &Server, mounts: &[(&str, &str)]) {
    for (path, kind) in mounts {
        assert_eq!(server.put(path, json!({"type": kind})).await.unwrap().status, 204, "{path}");
    }
}

/// One thing of every kind, called `name`; the accessor of its token, and a SecretID.
async fn furnish(server: &Server, name: &str) -> (String, String) {
    let policy = json!({"policy": "path \"x\" { capabilities = [\"read\"] }"});
    let narrow = json!({"policy_document": {"allowed_secrets": [name], "allowed_operations": ["read"]}});
    for (path, body) in [
        (format!("sys/mounts/{name}"), json!({"type": "transit"})),
        (format!("sys/auth/{name}"), json!({"type": "approle"})),
        (format!("sys/policies/acl/{name}"), policy),
        (format!("transit/keys/{name}"), json!({"type": "ecdsa-p256", "exportable": true})),
        (format!("transit/keys/{name}/config"), json!({"deletion_allowed": true})),
        (format!("transit/aliases/alias-of-{name}"), json!({"key_name": name})),
        (format!("auth/token/roles/{name}"), json!({})),
        (format!("auth/approle/role/{name}"), json!({"role_id": name, "token_policies": name})),
        (format!("auth/userpass/users/{name}"), json!({"password": name, "token_policies": name})),
        (format!("identity/entity/name/{name}"), json!({"metadata": {"kept": name}})),
        (format!("identity/group/name/{name}"), json!({"metadata": {"kept": name}})),
        (format!("cubbyhole/{name}"), json!({"kept": name})),
        (format!("kv/{name}"), json!({"kept": name})),
        (format!("secret/data/{name}"), json!({"data": {"kept": name}})),
        (format!("clm/access-policies/{name}-secrets"), narrow),
        (format!("clm/policies/{name}"), json!({"policy_type": "issuance", "policy_rules": {}})),
        ("clm/roles/KEEPER".to_owned(), json!({"permissions": {"keys": ["read"]}})),
        (format!("clm/user-roles/{name}/KEEPER"), json!({})),
        (format!("clm/workflows/{name}"), json!({"workflow_type": "renewal", "workflow_definition": {"steps": []}})),
    ] {
        let answer = server.put(&path, body).await.unwrap();
        assert!(answer.status.is_success(), "{path}: {answer:?}");
    }
    let secret = server.put(&format!("auth/approle/role/{name}/secret-id"), json!({})).await.unwrap();
    let made = server.put("auth/token/create", json!({"display_name": name})).await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made.body["auth"]["accessor"]), text(&secret.body["data"]["secret_id"]))
}

/// Everything that can be read, asked with the server's token by the first organization's names: path, status and data.
async fn readings(server: &Server, accessor: &str) -> Vec<(String, u16, Value)> {
    let mut readings = Vec::new();
    for route in api::http::routes().filter(|route| ["GET", "LIST"].contains(&route.method)) {
        // What answers whoever asks says the same to everybody.
        if route.unauthenticated {
            continue;
        }
        let mut path = route.path.trim_start_matches("/v1/").to_owned();
        for (capture, value) in [
            ("{name}", NAME),
            ("{alias}", ALIAS),
            ("{+name}", NAME),
            ("{path}", NAME),
            ("{+path}", NAME),
            ("{id}", &Uuid::nil().to_string()),
            ("{destination}", NAME),
            ("{property}", "policies"),
            ("{plugin_type}", "secret"),
            ("{type}", "public-key"),
            ("{version}", "1"),
            ("{kind}", "policies"),
            ("{username}", NAME),
            ("{role}", "KEEPER"),
            ("{+prefix}", "auth/token"),
        ] {
            path = path.replace(capture, value);
        }
        assert!(!path.contains('{'), "say what stands for the capture of {path}");
        let method = reqwest::Method::from_bytes(route.method.as_bytes()).unwrap();
        let answer = server.ask(method, &path, None).await.unwrap();
        readings.push((format!("{} {path}", route.method), answer.status.as_u16(), answer.body["data"].clone()));
    }
    let looked_up = server.put("auth/token/lookup-accessor", json!({"accessor": accessor})).await.unwrap();
    readings.push(("PUT lookup-accessor".into(), looked_up.status.as_u16(), looked_up.body["data"].clone()));
    readings
}

/// Without what moves on by itself: counters, the state of the HSM, times that are left, and the wrapping key that asking for it makes.
fn stable(readings: Vec<(String, u16, Value)>) -> Vec<(String, u16, Value)> {
    let moving = |path: &str| {
        ["sys/metrics", "sys/hsm", "sys/host-info", "sys/internal/counters/activity", "clm/private-keys"]
            .iter()
            .any(|moving| path.contains(moving))
    };
    let mut kept: Vec<_> = readings.into_iter().filter(|(path, ..)| !moving(path)).collect();
    for (_, _, data) in &mut kept {
        if let Some(data) = data.as_object_mut() {
            data.remove("ttl");
        }
    }
    kept
}

fn tells(reading: &(String, u16, Value), accessor: &str) -> bool {
    let text = reading.2.to_string();
    reading.1 < 300 && (text.contains(NAME) || text.contains(accessor))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_second_organization_finds_nothing_of_the_first_and_changes_nothing() {
    let (site, mut server) = Site::started("").await.unwrap();
    let first = server.token.clone();
    mount(&server, &MOUNTS[1..]).await;
    let (accessor, secret_id) = furnish(&server, NAME).await;
    // Of other organizations the second knows nothing, either.
    assert_eq!(server.put(&format!("clm/organizations/{THIRD}"), json!({})).await.unwrap().status, 204);
    let (second_id, second) = second_token(&server).await;
    let before = readings(&server, &accessor).await;
    let telling = before.iter().filter(|reading| tells(reading, &accessor)).count();
    assert!(telling >= 20, "{telling} of {before:?}");

    server.enter(SECOND, &second);
    let own = server.get("auth/token/lookup-self").await.unwrap();
    assert_eq!(own.status, 200, "{own:?}");
    // Its own engines at the same paths, so that requests reach one.
    mount(&server, &MOUNTS).await;
    furnish(&server, SECOND).await;
    for reading in readings(&server, &accessor).await {
        assert!(!tells(&reading, &accessor), "{reading:?}");
    }
    let role = format!("auth/approle/role/{NAME}");
    let key = format!("transit/keys/{NAME}");
    for (method, path, body) in [
        ("PUT", format!("transit/sign/{NAME}"), json!({"input": "YQ=="})),
        ("PUT", format!("transit/verify/{NAME}"), json!({"input": "YQ==", "signature": "vault:v1:YQ=="})),
        ("PUT", format!("transit/decrypt/{NAME}"), json!({"ciphertext": "vault:v1:YQ=="})),
        ("PUT", format!("transit/hmac/{NAME}"), json!({"input": "YQ=="})),
        ("PUT", format!("transit/datakey/wrapped/{NAME}"), json!({})),
        ("PUT", format!("transit/datakeypair/wrapped/{NAME}"), json!({"key_type": "ecdsa-p256"})),
        ("PUT", format!("{key}/rotate"), json!({})),
        ("PUT", format!("{key}/config"), json!({"min_decryption_version": 1})),
        ("PUT", format!("{key}/trim"), json!({"min_available_version": 1})),
        ("PUT", format!("{key}/state"), json!({"state": "suspended", "reason": "theirs"})),
        ("PUT", format!("{key}/schedule-destruction"), json!({})),
        ("DELETE", format!("{key}/soft-delete"), json!({})),
        ("PUT", format!("transit/sign/{ALIAS}"), json!({"input": "YQ=="})),
        ("PUT", format!("transit/aliases/{ALIAS}"), json!({"key_name": NAME})),
        ("DELETE", format!("transit/aliases/{ALIAS}"), json!({})),
        ("PUT", format!("{role}/secret-id"), json!({})),
        ("PUT", format!("{role}/custom-secret-id"), json!({"secret_id": "chosen"})),
        ("PUT", format!("{role}/secret-id/lookup"), json!({"secret_id": secret_id})),
        ("PUT", format!("{role}/secret-id/destroy"), json!({"secret_id": secret_id})),
        ("PUT", format!("{role}/role-id"), json!({"role_id": "chosen"})),
        ("PUT", format!("auth/token/create/{NAME}"), json!({})),
        ("PUT", "auth/token/lookup".into(), json!({"token": first})),
        ("PUT", "auth/token/renew".into(), json!({"token": first})),
        ("PUT", "auth/token/renew-accessor".into(), json!({"accessor": accessor})),
        ("PUT", "auth/token/revoke-accessor".into(), json!({"accessor": accessor})),
        ("PUT", "auth/token/revoke-orphan".into(), json!({"token": first})),
        ("PUT", "auth/token/revoke".into(), json!({"token": first})),
        ("PUT", "sys/capabilities-accessor".into(), json!({"accessor": accessor, "paths": ["x"]})),
        ("PUT", format!("sys/mounts/{NAME}/tune"), json!({"description": "taken"})),
        ("PUT", format!("sys/auth/{NAME}/tune"), json!({"description": "taken"})),
        ("PUT", "sys/remount".into(), json!({"from": NAME, "to": "elsewhere"})),
        ("PUT", format!("auth/userpass/users/{NAME}/password"), json!({"password": "taken"})),
        ("PUT", format!("secret/destroy/{NAME}"), json!({"versions": [1]})),
        ("PUT", "identity/lookup/entity".into(), json!({"name": NAME})),
        ("PUT", "identity/lookup/group".into(), json!({"name": NAME})),
        ("DELETE", format!("identity/entity/name/{NAME}"), json!({})),
        ("DELETE", format!("identity/group/name/{NAME}"), json!({})),
        ("DELETE", format!("secret/metadata/{NAME}"), json!({})),
        ("DELETE", format!("kv/{NAME}"), json!({})),
        ("DELETE", format!("auth/userpass/users/{NAME}"), json!({})),
        ("DELETE", role.clone(), json!({})),
        ("DELETE", key.clone(), json!({})),
        ("DELETE", format!("cubbyhole/{NAME}"), json!({})),
        ("DELETE", format!("sys/mounts/{NAME}"), json!({})),
        ("DELETE", format!("sys/auth/{NAME}"), json!({})),
        ("DELETE", format!("sys/policies/acl/{NAME}"), json!({})),
        ("DELETE", format!("auth/token/roles/{NAME}"), json!({})),
        ("PUT", format!("clm/secrets/{NAME}"), json!({"data": {}})),
        ("PUT", format!("clm/secrets/{NAME}/rotate"), json!({"data": {}})),
        ("DELETE", format!("clm/secrets/{NAME}/metadata"), json!({})),
        ("DELETE", format!("clm/access-policies/{NAME}-secrets"), json!({})),
        ("DELETE", format!("clm/policies/{NAME}"), json!({})),
        ("DELETE", format!("clm/workflows/{NAME}"), json!({})),
        ("PUT", format!("clm/user-roles/{NAME}/SYSTEM_ADMIN"), json!({})),
        ("DELETE", format!("clm/user-roles/{NAME}/KEEPER"), json!({})),
        ("DELETE", format!("clm/organizations/{THIRD}"), json!({})),
        ("DELETE", format!("clm/organizations/{SECOND}"), json!({})),
        ("DELETE", format!("sys/namespaces/{THIRD}"), json!({})),
        ("PUT", format!("sys/namespaces/{THIRD}"), json!({"custom_metadata": {"taken": "yes"}})),
        ("PUT", "sys/namespaces/another".into(), json!({})),
        ("PUT", format!("clm/organizations/{THIRD}"), json!({"org_name": "taken"})),
        ("PUT", format!("clm/organizations/{SECOND}"), json!({"status": "suspended"})),
        ("PUT", "clm/organizations/another".into(), json!({})),
        ("PUT", format!("clm/organization-tokens/{THIRD}"), json!({})),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = server.ask(method, &path, Some(body.to_string().into())).await.unwrap();
        assert!(!tells(&(path, answer.status.as_u16(), answer.body["data"].clone()), &accessor), "{answer:?}");
        assert!(!answer.body.to_string().contains(&first), "{answer:?}");
    }
    // All is there as it was, and nothing of the second beside it.
    server.enter("", &first);
    for (before, after) in stable(before).into_iter().zip(stable(readings(&server, &accessor).await)) {
        assert_eq!(before, after);
    }
    let sign = server.put(&format!("transit/sign/{NAME}"), json!({"input": "YQ=="})).await.unwrap();
    assert_eq!(sign.status, 200, "{sign:?}");

    // By SQL: the service's role sees of the tables behind those routes what it speaks for, and for nobody nothing.
    for (database, role, tables) in [
        (
            &site.secure,
            "clm_secure_app",
            ["named_keys", "private_keys", "cubbyhole_entries", "secrets", "secret_versions", "secure_audit_log"]
                .as_slice(),
        ),
        (
            &site.core,
            "clm_core_app",
            &[
                "mounts",
                "access_policies",
                "tokens",
                "auth_roles",
                "app_roles",
                "app_role_secret_ids",
                "entities",
                "identity_groups",
                "users",
                "policies",
                "workflows",
                "roles",
                "user_roles",
                "audit_log",
            ],
        ),
    ] {
        let mut app = connect(database, role).await;
        for table in tables {
            for (speaks_for, owners) in [("", vec![]), (second_id.to_string().as_str(), vec![second_id])] {
                sqlx::query("SELECT set_config('clm.organization_id', $1, false)")
                    .bind(speaks_for)
                    .execute(&mut app)
                    .await
                    .unwrap();
                let statement = format!("SELECT DISTINCT organization_id FROM {table}");
                let seen: Vec<Uuid> =
                    sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_all(&mut app).await.unwrap();
                assert_eq!(seen, owners, "{table} for {speaks_for:?}");
            }
        }
    }
}
