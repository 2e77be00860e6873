//! Keys whose waiting period is over.

use crate::{Change, ending_at, has_ended, number, steps, until};
use hsm_bridge::Bridge;
use serde_json::json;
use tests::Site;

const MATERIAL: &str = "SELECT (SELECT count(*) FROM private_keys WHERE key_state <> 'destroyed' OR encrypted_key_material IS NOT NULL) \
     + (SELECT count(*) FROM encryption_keys WHERE named_key_id IS NOT NULL AND (key_state <> 'destroyed' OR encrypted_key_material IS NOT NULL))";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_destroyed_when_its_wait_is_over_also_if_the_server_is_killed_in_between() {
    for (_, step) in steps(Change::DestroyDueKeys) {
        let mut site = Site::ready("[keys.destruction]\nshortest = 1\n").await.unwrap();
        let mut server = site.serve().await.unwrap();
        server.initialize().await.unwrap();
        let token = server.token.clone();
        let mounted = server.put("sys/mounts/transit", json!({"type": "transit"})).await.unwrap();
        assert!(mounted.status.is_success() || mounted.status == 400, "{mounted:?}");
        for (name, kind, storage) in
            [("wrapped", "aes256-gcm96", "wrapped"), ("token", "ecdsa-p256", "token"), ("kept", "ecdsa-p256", "token")]
        {
            let path = format!("transit/keys/{name}");
            let made = server.put(&path, json!({"type": kind, "storage": storage})).await.unwrap();
            assert!(made.status.is_success(), "{made:?}");
            server.put(&format!("{path}/config"), json!({"deletion_allowed": true})).await.unwrap();
        }
        drop(server);
        let mut server = ending_at(&mut site, &step).await;
        server.token.clone_from(&token);
        server.until_health(200).await.unwrap();
        for (name, wait) in [("kept", "30d"), ("wrapped", "10s"), ("token", "10s")] {
            let path = format!("transit/keys/{name}/schedule-destruction");
            let answer = server.put(&path, json!({"waiting_period": wait})).await.unwrap();
            assert!(answer.status.is_success(), "{answer:?}");
        }
        has_ended(server, &step);
        let server = site.serve_for(&token).await.unwrap();
        let mut secure = site.secure.superuser().await.unwrap();
        until("versions that are left", 1, async || number(&mut secure, MATERIAL).await).await;
        let bridge = Bridge::open(site.hsm().unwrap()).await.unwrap();
        bridge.ready().await.unwrap();
        // Of the key that is kept, both halves.
        until("objects", 2, async || bridge.find_objects("clm-key-").await.unwrap().len()).await;
        let removed = "SELECT count(*) FROM named_keys WHERE objects_removed_at IS NOT NULL";
        until("keys without objects", 2, async || number(&mut secure, removed).await).await;
        for (name, status) in [("wrapped", 404), ("token", 404), ("kept", 200)] {
            assert_eq!(server.get(&format!("transit/keys/{name}")).await.unwrap().status, status, "{name}");
        }
        let cancelled = server.put("transit/keys/kept/cancel-destruction", json!({})).await.unwrap();
        assert_eq!(cancelled.status, 200, "{cancelled:?}");
        let signed = server.put("transit/sign/kept", json!({"input": "YQ=="})).await.unwrap();
        assert_eq!(signed.status, 200, "{signed:?}");
        let by_the_service =
            "SELECT count(*) FROM secure_audit_log WHERE event_type = 'key.delete' AND event_data ? 'destroy_at'";
        assert_eq!(number(&mut secure, by_the_service).await, 2);
        drop(server);
        assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
    }
}
