//! `clm integrity`: databases and token that do not fit together are named, and only what cannot be lost is removed.
#![expect(clippy::unwrap_used, reason = "tests")]

use hsm_bridge::{Bridge, KeyType, Purpose};
use serde_json::json;
use sqlx::PgConnection;
use std::process::Output;
use tests::{Server, Site};
use uuid::Uuid;

fn integrity(site: &Site, server: &Server, verb: &str) -> Output {
    let mut command = site.command(&["integrity", verb]).unwrap();
    command.env("VAULT_ADDR", server.address()).env("VAULT_TOKEN", &server.token).output().unwrap()
}

/// Exit code and the lines, one a finding.
fn findings(output: &Output) -> (bool, Vec<String>) {
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    (output.status.success(), said.lines().map(str::to_owned).collect())
}

async fn key_on_token(server: &Server, secure: &mut PgConnection, name: &str) -> Uuid {
    let wanted = json!({"type": "ecdsa-p256", "storage": "token"});
    let made = server.put(&format!("transit/keys/{name}"), wanted).await.unwrap();
    assert!(made.status.is_success(), "{made:?}");
    let object = "SELECT p.hsm_key_id FROM private_keys p JOIN named_keys n ON n.id = p.named_key_id WHERE n.name = $1";
    sqlx::query_scalar(object).bind(name).fetch_one(secure).await.unwrap()
}

async fn objects(bridge: &Bridge) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> =
        bridge.find_objects("clm-key-").await.unwrap().iter().filter_map(|object| object.id).collect();
    ids.dedup();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_of_databases_and_token_are_named_and_only_destroyed_keys_are_removed() {
    let (site, mut server) = Site::started("").await.unwrap();
    let mut secure = site.secure.superuser().await.unwrap();
    let mut core = site.core.superuser().await.unwrap();
    assert_eq!(server.put("sys/mounts/second", json!({"type": "transit"})).await.unwrap().status, 204);
    assert!(server.put("second/keys/k", json!({"type": "ecdsa-p256"})).await.unwrap().status.is_success());
    let kept = key_on_token(&server, &mut secure, "kept").await;
    let lost = key_on_token(&server, &mut secure, "lost").await;
    let destroyed = key_on_token(&server, &mut secure, "destroyed").await;
    let forged = key_on_token(&server, &mut secure, "forged").await;
    server.put("transit/keys/destroyed/config", json!({"deletion_allowed": true})).await.unwrap();
    assert_eq!(server.ask(reqwest::Method::DELETE, "transit/keys/destroyed", None).await.unwrap().status, 204);
    assert_eq!(findings(&integrity(&site, &server, "check")), (true, vec!["databases and token fit together".into()]));

    // What a deleted organization has is not nobody's: it may come back.
    assert!(server.put("clm/organizations/other", json!({})).await.unwrap().status.is_success());
    let token = server.put("clm/organization-tokens/other", json!({})).await.unwrap().text("token").to_owned();
    let (_, root) = server.enter("other", &token);
    assert_eq!(server.put("sys/mounts/transit", json!({"type": "transit"})).await.unwrap().status, 204);
    key_on_token(&server, &mut secure, "of-other").await;
    server.enter("", &root);
    let deleted = server.ask(reqwest::Method::DELETE, "clm/organizations/other", None).await.unwrap();
    assert!(deleted.status.is_success(), "{deleted:?}");
    assert_eq!(findings(&integrity(&site, &server, "check")), (true, vec!["databases and token fit together".into()]));

    // What a crash between database and token leaves, a token that lost an object, and a mount that was taken away by SQL.
    let bridge = Bridge::open(site.hsm().unwrap()).await.unwrap();
    let stranger = Uuid::new_v4();
    for id in [destroyed, stranger] {
        let label = format!("clm-key-{id}");
        bridge.generate_token_key(id, &label, KeyType::EcP256, Purpose::Signing).await.unwrap();
    }
    bridge.destroy_token_key(lost).await.unwrap();
    let mount: Uuid = sqlx::query_scalar("DELETE FROM mounts WHERE path = 'second/' RETURNING id")
        .fetch_one(&mut core)
        .await
        .unwrap();
    let nobody = Uuid::new_v4();
    let stray = "INSERT INTO encryption_keys SELECT (jsonb_populate_record(k, jsonb_build_object('id', gen_random_uuid(), 'key_id', $1, 'organization_id', $1))).* \
         FROM encryption_keys k WHERE k.key_type = 'master' LIMIT 1";
    sqlx::query(stray).bind(nobody.to_string()).execute(&mut secure).await.unwrap();
    let expected = |found: &[String], kind: &str, id: Uuid, repairable: bool| {
        let line = found.iter().find(|line| line.starts_with(&format!("{kind} {id}:")));
        assert!(line.is_some_and(|line| line.contains("clm integrity repair") == repairable), "{kind} {id}: {found:?}");
    };
    let (fits, found) = findings(&integrity(&site, &server, "check"));
    assert!(!fits && found.len() == 5, "{found:?}");
    expected(&found, "destroyed_key_on_token", destroyed, true);
    expected(&found, "object_without_row", stranger, false);
    expected(&found, "row_without_object", lost, false);
    expected(&found, "keys_without_mount", mount, false);
    expected(&found, "keys_without_organization", nobody, false);

    let (fits, found) = findings(&integrity(&site, &server, "repair"));
    assert!(!fits && found.len() == 5, "{found:?}");
    assert_eq!(found[0], format!("removed from the token: {destroyed}"));
    expected(&found, "object_without_row", stranger, false);
    expected(&found, "row_without_object", lost, false);
    expected(&found, "keys_without_mount", mount, false);
    expected(&found, "keys_without_organization", nobody, false);
    let left = objects(&bridge).await;
    assert!(!left.contains(&destroyed), "{left:?}");
    assert!([kept, forged, stranger].iter().all(|id| left.contains(id)), "{left:?}");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM private_keys").fetch_one(&mut secure).await.unwrap();
    assert_eq!(rows, 6, "no row goes because an object or a mount is gone");
    let recorded = "SELECT event_data -> 'removed_objects' FROM secure_audit_log WHERE event_type = 'integrity.repair'";
    let recorded: Vec<serde_json::Value> = sqlx::query_scalar(recorded).fetch_all(&mut secure).await.unwrap();
    assert_eq!(recorded, [json!([destroyed])]);

    // "Destroyed" written by SQL destroys nothing.
    sqlx::query("UPDATE private_keys SET key_state = 'destroyed' WHERE hsm_key_id = $1")
        .bind(forged)
        .execute(&mut secure)
        .await
        .unwrap();
    let refused = integrity(&site, &server, "repair");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("behind the service's back"), "{refused:?}");
    assert!(objects(&bridge).await.contains(&forged));
    assert!(server.put("transit/sign/kept", json!({"input": "YQ=="})).await.unwrap().status.is_success());
}
