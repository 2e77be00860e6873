//! How much an organization may have, and how often it may ask.

use crate::{done, namespace, refused, started};
use futures_util::future::join_all;
use serde_json::json;
use std::time::Duration;
use tests::{Server, until};
use uuid::Uuid;

async fn makes(server: &Server, name: String) -> u16 {
    let made = server.put(&format!("transit/keys/{name}"), json!({"type": "aes256-gcm96"})).await.unwrap();
    let is_full =
        made.status == 400 && made.error().contains("max_keys = 4") && made.error().contains("raise max_keys");
    assert!(made.status.is_success() || is_full, "{made:?}");
    made.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_has_no_more_keys_than_its_quota_allows_whoever_makes_them_at_once() {
    let (site, mut server) = started().await;
    let admin = namespace(&mut server, "team").await;
    let root = server.token.clone();
    let mut other = site.serve_for(&root).await.unwrap();
    done(&server, "clm/organizations/team", json!({"max_keys": 4, "max_users": 7, "max_certificates": 9})).await;
    let shown = server.get("clm/organizations/team").await.unwrap().body["data"].clone();
    assert_eq!(
        (&shown["max_keys"], &shown["max_users"], &shown["max_certificates"]),
        (&json!(4), &json!(7), &json!(9))
    );
    refused(&server, "clm/organizations/team", json!({"max_keys": -1}), 400, "not negative").await;
    for server in [&mut server, &mut other] {
        server.enter("team", &admin);
    }
    // Clients of two servers; the namespace's one key is there already.
    until(Duration::from_secs(5), "the other has heard of it", true, async || {
        other.get("auth/token/lookup-self").await.unwrap().status == 200
    })
    .await;
    tokio::time::timeout(Duration::from_secs(60), async {
        let of = |server, name: &'static str| (0..6).map(move |number| makes(server, format!("{name}{number}")));
        let made = join_all(of(&server, "a").chain(of(&other, "b"))).await;
        assert_eq!(made.iter().filter(|status| **status != 400).count(), 3, "{made:?}");
    })
    .await
    .unwrap();
    let keys = crate::list(&server, "transit/keys").await.body["data"]["keys"].clone();
    assert_eq!(keys.as_array().unwrap().len(), 4, "{keys}");
    // No other way makes one, either; what is there is used as before.
    refused(&server, "transit/encrypt/new", json!({"plaintext": "YQ=="}), 400, "max_keys = 4").await;
    assert_eq!(crate::sign(&server).await.status, 200);
    done(
        &server,
        "transit/keys/k/config",
        json!({"deletion_allowed": true, "exportable": true, "allow_plaintext_backup": true}),
    )
    .await;
    let backup = server.get("transit/backup/k").await.unwrap();
    if backup.status == 200 {
        let body = json!({"backup": backup.text("backup")});
        refused(&server, "transit/restore/copy", body, 400, "max_keys = 4").await;
    }
    // One that is destroyed makes room for one.
    assert_eq!(server.ask(reqwest::Method::DELETE, "transit/keys/k", None).await.unwrap().status, 204);
    assert!(makes(&server, "late".into()).await < 300);
    assert_eq!(makes(&server, "later".into()).await, 400);
    // Root's own are not counted with them, and more are allowed at once.
    server.enter("", &root);
    done(&server, "transit/keys/of-root", json!({"type": "aes256-gcm96"})).await;
    done(&server, "clm/organizations/team", json!({"max_keys": ""})).await;
    server.enter("team", &admin);
    assert!(makes(&server, "later".into()).await < 300);
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inventory_of_an_organization_has_no_more_certificates_than_its_quota_allows() {
    let (site, mut server) = started().await;
    let admin = namespace(&mut server, "team").await;
    done(&server, "clm/organizations/team", json!({"max_certificates": 2})).await;
    let organization = server.get("sys/namespaces/team").await.unwrap().text("id").parse().unwrap();
    let ids: Vec<Uuid> = (0..5).map(|_| Uuid::now_v7()).collect();
    for id in &ids {
        site.insert_certificate(organization, *id).await.unwrap();
    }
    server.enter("team", &admin);
    let kept = |id: &Uuid| format!("clm/inventory/{id}");
    let written = join_all(ids.iter().map(|id| async { server.put(&kept(id), json!({})).await.unwrap() })).await;
    let refused_ones = written.iter().filter(|answer| answer.error().contains("max_certificates = 2")).count();
    assert_eq!(refused_ones, 3, "{written:?}");
    // What is there is changed and deleted as before; one that is brought back counts like a new one.
    let there: Vec<&Uuid> =
        ids.iter().zip(&written).filter(|(_, answer)| answer.status == 204).map(|(id, _)| id).collect();
    let other = ids.iter().find(|id| !there.contains(id)).unwrap();
    done(&server, &kept(there[0]), json!({"notes": "changed"})).await;
    assert_eq!(server.ask(reqwest::Method::DELETE, &kept(there[0]), None).await.unwrap().status, 204);
    done(&server, &kept(other), json!({})).await;
    let restore = format!("{}/restore", kept(there[0]));
    refused(&server, &restore, json!({}), 400, "max_certificates = 2").await;
    assert_eq!(server.ask(reqwest::Method::DELETE, &kept(other), None).await.unwrap().status, 204);
    done(&server, &restore, json!({})).await;
    site.succeeds(&["audit", "verify"]).unwrap();
}

fn person(name: &str) -> String {
    format!("auth/userpass/users/{name}")
}

async fn makes_person(server: &Server, name: &str) -> u16 {
    let made = server.put(&person(name), json!({"password": "a good one"})).await.unwrap();
    let is_full = made.status == 400 && made.error().contains("max_users = 3") && made.error().contains("people");
    assert!(made.status == 204 || is_full, "{made:?}");
    made.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_has_no_more_people_than_its_quota_allows_whoever_makes_them_at_once() {
    let (site, mut server) = started().await;
    let admin = namespace(&mut server, "team").await;
    let root = server.token.clone();
    let mut other = site.serve_for(&root).await.unwrap();
    done(&server, "clm/organizations/team", json!({"max_users": 3})).await;
    for server in [&mut server, &mut other] {
        server.enter("team", &admin);
    }
    until(Duration::from_secs(5), "the other has heard of it", true, async || {
        other.get("auth/token/lookup-self").await.unwrap().status == 200
    })
    .await;
    // The administrator is one of them.
    let names: Vec<String> = (0..6).map(|number| format!("person-{number}")).collect();
    let of = |number: usize| makes_person(if number.is_multiple_of(2) { &server } else { &other }, &names[number]);
    let made = join_all((0..6).map(of)).await;
    let there: Vec<&String> =
        names.iter().zip(&made).filter(|(_, status)| **status == 204).map(|(name, _)| name).collect();
    assert_eq!(there.len(), 2, "{made:?}");
    // Who is there is changed as before; who has gone makes room for one, and comes back only if there is some.
    done(&server, &person(there[0]), json!({"password": "another one"})).await;
    assert_eq!(server.ask(reqwest::Method::DELETE, &person(there[0]), None).await.unwrap().status, 204);
    assert_eq!(makes_person(&server, "late").await, 204);
    assert_eq!(makes_person(&server, there[0]).await, 400);
    assert_eq!(makes_person(&server, "later").await, 400);
    // Root's own are not counted with them.
    server.enter("", &root);
    done(&server, "sys/auth/userpass", json!({"type": "userpass"})).await;
    done(&server, &person("of-root"), json!({"password": "a good one"})).await;
    done(&server, "clm/organizations/team", json!({"max_users": ""})).await;
    server.enter("team", &admin);
    assert_eq!(makes_person(&server, there[0]).await, 204);
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_counts_for_a_namespace_or_a_mount_of_it() {
    let (_site, mut server) = started().await;
    let admin = namespace(&mut server, "team").await;
    let other = namespace(&mut server, "other").await;
    let root = server.token.clone();
    refused(
        &server,
        "sys/quotas/rate-limit/none",
        json!({"path": "team/nosuch/", "rate": 1}),
        400,
        "no mount is there",
    )
    .await;
    done(&server, "sys/quotas/rate-limit/mount", json!({"path": "team/transit", "rate": 2, "interval": "1h"})).await;
    done(&server, "sys/quotas/rate-limit/all", json!({"path": "team", "rate": 4, "interval": "1h"})).await;
    assert_eq!(server.get("sys/quotas/rate-limit/all").await.unwrap().text("path"), "team/");
    server.enter("team", &admin);
    let mut signed = Vec::new();
    for _ in 0..3 {
        signed.push(crate::sign(&server).await.status.as_u16());
    }
    assert_eq!(signed, [200, 200, 429]);
    server.enter("", &admin);
    assert_eq!(
        server.put("team/transit/sign/k", json!({"input": "YQ=="})).await.unwrap().status,
        429,
        "by path it is the same"
    );
    let mut read = Vec::new();
    for _ in 0..5 {
        read.push(server.get("team/auth/token/lookup-self").await.unwrap().status.as_u16());
    }
    assert_eq!(read, [200, 200, 200, 200, 429]);
    for (namespace, token, path) in [("other", &other, "transit/keys/k"), ("", &root, "sys/mounts")] {
        server.enter(namespace, token);
        assert_eq!(server.get(path).await.unwrap().status, 200, "{namespace}: others are not counted");
    }
}
