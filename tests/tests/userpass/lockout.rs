//! When wrong passwords lock a person out, and for how long.

use super::{REFUSED, done, login, post, sql, started, text_of, told};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tests::{Server, Site, until};

const PATIENCE: Duration = Duration::from_secs(10);
const TUNE: &str = "sys/auth/userpass/tune";

async fn tune(server: &Server, lockout: Value) {
    done(&server.put(TUNE, json!({"user_lockout_config": lockout})).await.unwrap(), 204);
}

async fn wrong(server: &mut Server, times: usize) {
    for _ in 0..times {
        told(&login(server, "bob", "wrong").await, 400, REFUSED);
    }
}

async fn locked(server: &mut Server) {
    told(&login(server, "bob", "pw").await, 400, REFUSED);
}

async fn opens(server: &mut Server) {
    done(&login(server, "bob", "pw").await, 200);
}

/// As if so many minutes had gone by.
async fn later(site: &Site, minutes: u32) {
    let earlier =
        format!("UPDATE users SET last_failed_login_at = last_failed_login_at - interval '{minutes} minutes'");
    assert_eq!(sql(site, &earlier).await, 1);
}

async fn locks(site: &Site) -> String {
    text_of(site, "SELECT count(*)::text FROM audit_log WHERE event_type = 'user.lock'").await
}

#[tokio::test]
async fn too_many_wrong_passwords_lock_a_person_out_for_a_while() {
    let (site, mut server) = started().await;
    done(&post(&server, "users/bob", json!({"password": "pw"})).await, 204);
    for _ in 0..4 {
        told(&login(&mut server, "bob", "wrong").await, 400, REFUSED);
    }
    assert_eq!(login(&mut server, "bob", "pw").await.status, 200, "four are forgiven");
    for _ in 0..5 {
        told(&login(&mut server, "bob", "wrong").await, 400, REFUSED);
    }
    told(&login(&mut server, "bob", "pw").await, 400, REFUSED);
    assert_eq!(text_of(&site, "SELECT count(*)::text FROM audit_log WHERE event_type = 'user.lock'").await, "1");
    assert_eq!(
        sql(&site, "UPDATE users SET last_failed_login_at = last_failed_login_at - interval '16 minutes'").await,
        1
    );
    assert_eq!(login(&mut server, "bob", "pw").await.status, 200);
}

#[tokio::test]
async fn how_many_wrong_passwords_are_too_many_is_a_setting_and_under_fips_nobody_has_one() {
    let (site, mut server) = Site::started("[login]\nlockout_failures = 2\n").await.unwrap();
    done(&server.put("sys/auth/userpass", json!({"type": "userpass"})).await.unwrap(), 204);
    done(&post(&server, "users/bob", json!({"password": "pw"})).await, 204);
    for _ in 0..2 {
        told(&login(&mut server, "bob", "wrong").await, 400, REFUSED);
    }
    told(&login(&mut server, "bob", "pw").await, 400, REFUSED);

    let root = server.token.clone();
    drop(server);
    site.reconfigure("fips = true\n").unwrap();
    let mut server = site.serve().await.unwrap();
    server.token = root;
    server.until_health(200).await.unwrap();
    told(&login(&mut server, "bob", "pw").await, 400, "FIPS 140-3 does not approve");
    told(&post(&server, "users/eve", json!({"password": "pw"})).await, 400, "FIPS 140-3 does not approve");
}

#[tokio::test]
async fn a_mount_says_itself_when_wrong_passwords_lock_a_person_out() {
    let (site, mut server) = started().await;
    done(&post(&server, "users/bob", json!({"password": "pw"})).await, 204);
    let untuned = server.get(TUNE).await.unwrap();
    assert!(!untuned.body.to_string().contains("user_lockout"), "{untuned:?}");

    // As Go's client sends it: texts, empty where nobody said anything.
    tune(&server, json!({"lockout_threshold": "2", "lockout_duration": "10m", "lockout_counter_reset_duration": ""}))
        .await;
    tune(&server, json!({"lockout_counter_reset_duration": 3600})).await;
    tune(&server, json!({})).await;
    let shown = json!({
        "user_lockout_counter_reset_duration": 3600, "user_lockout_disable": false, "user_lockout_duration": 600, "user_lockout_threshold": 2,
    });
    let tuned = server.get(TUNE).await.unwrap().body["data"].clone();
    shown.as_object().unwrap().iter().for_each(|(name, value)| assert_eq!(&tuned[name], value, "{tuned}"));
    let listed = server.get("sys/auth").await.unwrap().body["data"]["userpass/"]["config"].clone();
    assert_eq!(listed["user_lockout_config"], shown, "{listed}");

    wrong(&mut server, 2).await;
    locked(&mut server).await;
    later(&site, 9).await;
    locked(&mut server).await;
    assert_eq!(locks(&site).await, "1");
    later(&site, 2).await;
    wrong(&mut server, 1).await;
    locked(&mut server).await;
    assert_eq!(locks(&site).await, "2", "those before the pause are not forgotten for an hour");
    later(&site, 61).await;
    wrong(&mut server, 1).await;
    opens(&mut server).await;

    // Another server has it from the row.
    let mut second = site.serve_for(&server.token).await.unwrap();
    wrong(&mut second, 2).await;
    locked(&mut second).await;
    locked(&mut server).await;
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));

    // 0 and `system`: as the service says, five within 15 minutes.
    let services = json!({"lockout_threshold": 0, "lockout_duration": "system", "lockout_counter_reset_duration": "0"});
    tune(&server, services).await;
    wrong(&mut server, 2).await;
    opens(&mut server).await;
    wrong(&mut server, 5).await;
    locked(&mut server).await;
    later(&site, 14).await;
    locked(&mut server).await;
    later(&site, 2).await;
    opens(&mut server).await;

    // SQL gives nobody more tries: with a row that was edited there is no mount.
    let edit = async |threshold: u32| {
        let edit = format!(
            "UPDATE mounts SET config = jsonb_set(config, '{{user_lockout,threshold}}', '{threshold}') WHERE path = 'userpass/'"
        );
        assert_eq!(sql(&site, &edit).await, 1);
    };
    edit(1_000_000).await;
    let read = async || server.get("sys/auth/userpass").await.unwrap().status.as_u16();
    until(PATIENCE, "the forged row is refused", 400, read).await;
    edit(0).await;
    until(PATIENCE, "the row is back", 200, read).await;
}

#[tokio::test]
async fn where_a_mount_says_so_nobody_is_locked_out() {
    let (site, mut server) = started().await;
    done(&server.ask(Method::DELETE, "sys/auth/userpass", None).await.unwrap(), 204);
    let enabled = json!({"type": "userpass", "config": {"user_lockout_config": {"lockout_disable": true}}});
    done(&server.put("sys/auth/userpass", enabled).await.unwrap(), 204);
    done(&post(&server, "users/bob", json!({"password": "pw"})).await, 204);
    assert_eq!(server.get(TUNE).await.unwrap().body["data"]["user_lockout_disable"], true);
    wrong(&mut server, 6).await;
    opens(&mut server).await;
    assert_eq!(locks(&site).await, "0");

    // What was wrong meanwhile is not held against anybody later.
    wrong(&mut server, 6).await;
    tune(&server, json!({"lockout_disable": false})).await;
    opens(&mut server).await;
    wrong(&mut server, 5).await;
    locked(&mut server).await;
    tune(&server, json!({"lockout_disable": true})).await;
    opens(&mut server).await;
}

#[tokio::test]
async fn what_locks_nobody_out_is_not_told_when_to() {
    let (_site, server) = started().await;
    let lockout = || json!({"user_lockout_config": {"lockout_threshold": "2"}});
    for method in ["approle", "cert", "jwt"] {
        let path = format!("sys/auth/{method}");
        let why = format!("user lockout configuration for auth type \"{method}\" not allowed");
        told(&server.put(&path, json!({"type": method, "config": lockout()})).await.unwrap(), 400, &why);
        done(&server.put(&path, json!({"type": method, "config": {"user_lockout_config": {}}})).await.unwrap(), 204);
        told(&server.put(&format!("{path}/tune"), lockout()).await.unwrap(), 400, &why);
    }
    for (path, why) in [
        ("sys/auth/token/tune", "auth type \"token\" not allowed"),
        ("sys/mounts/transit/tune", "auth type \"transit\" not allowed"),
    ] {
        told(&server.put(path, lockout()).await.unwrap(), 400, why);
    }
    for (says, why) in [
        (json!({"lockout_threshold": "many"}), "lockout_threshold"),
        (json!({"lockout_threshold": -1}), "lockout_threshold"),
        (json!({"lockout_duration": "-1m"}), "lockout_duration must not be negative"),
        (json!({"lockout_counter_reset_duration": "soon"}), "lockout_counter_reset_duration"),
        (json!({"lockout_disable": "perhaps"}), "lockout_disable"),
        (json!("2"), "expected a map"),
    ] {
        told(&server.put(TUNE, json!({"user_lockout_config": says})).await.unwrap(), 400, why);
    }
    let tuned = server.get(TUNE).await.unwrap();
    assert!(!tuned.body.to_string().contains("user_lockout"), "{tuned:?}");
    // Through the mounts, too, as any tuning.
    done(&server.put("sys/mounts/auth/userpass/tune", lockout()).await.unwrap(), 204);
    assert_eq!(server.get(TUNE).await.unwrap().body["data"]["user_lockout_threshold"], 2);
}
