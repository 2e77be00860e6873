//! Who somebody is: entities, aliases and groups from outside, and what their policies do to tokens that live.
#![expect(clippy::unwrap_used, reason = "tests")]

mod merged;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::time::Duration;
use tests::{Answer, Server, Site, until};

/// Servers hear of a change within a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// A service where bob and eve log in with passwords; `team` may sign, whoever is in it.
async fn started() -> (Site, Server) {
    let (site, server) = Site::started("").await.unwrap();
    done(&put(&server, "sys/auth/userpass", json!({"type": "userpass"})).await, 204);
    done(&put(&server, "sys/mounts/kv", json!({"type": "kv", "options": {"version": "1"}})).await, 204);
    for name in ["bob", "eve"] {
        done(&put(&server, &format!("auth/userpass/users/{name}"), json!({"password": name})).await, 204);
    }
    let mounts = r#"path "sys/mounts" { capabilities = ["read"] }"#;
    done(&put(&server, "sys/policies/acl/mounts", json!({"policy": mounts})).await, 204);
    (site, server)
}

async fn put(server: &Server, path: &str, body: Value) -> Answer {
    server.put(path, body).await.unwrap()
}

fn done(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
}

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

async fn login(server: &Server, name: &str) -> Value {
    let answer = put(server, &format!("auth/userpass/login/{name}"), json!({"password": name.to_lowercase()})).await;
    done(&answer, 200);
    answer.body["auth"].clone()
}

/// The same request as somebody else.
async fn asked_as(server: &mut Server, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let root = std::mem::replace(&mut server.token, token.to_owned());
    let answer = server.ask(method, path, body.map(|body| body.to_string().into())).await.unwrap();
    server.token = root;
    answer
}

async fn reads_mounts(server: &mut Server, token: &str) -> u16 {
    asked_as(server, token, Method::GET, "sys/mounts", None).await.status.as_u16()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}"))
}

async fn sql(site: &Site, statement: &str) -> u64 {
    let mut superuser = site.core.superuser().await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut superuser).await.unwrap().rows_affected()
}

#[tokio::test]
async fn each_login_of_one_person_is_the_same_entity_and_the_person_is_no_second_one() {
    let (site, mut server) = started().await;
    let (first, second, other) =
        (login(&server, "bob").await, login(&server, "BOB").await, login(&server, "eve").await);
    let id = text(&first, "entity_id");
    assert!(!id.is_empty() && id == text(&second, "entity_id") && id != text(&other, "entity_id"));
    let entity = server.get(&format!("identity/entity/id/{id}")).await.unwrap().body["data"].clone();
    assert_eq!(
        (&entity["aliases"][0]["name"], &entity["aliases"][0]["mount_type"]),
        (&json!("bob"), &json!("userpass"))
    );
    assert_eq!((&entity["disabled"], &entity["policies"]), (&json!(false), &json!([])));
    let mut superuser = site.core.superuser().await.unwrap();
    let person = "SELECT u.username FROM entities e JOIN users u ON u.id = e.user_id WHERE e.id = $1::uuid";
    let person: String = sqlx::query_scalar(person).bind(id).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(person, "bob");

    let own = asked_as(&mut server, text(&first, "client_token"), Method::GET, "auth/token/lookup-self", None).await;
    assert_eq!(own.text("entity_id"), id);
    // The policy `default` lets everybody look at himself, and at nobody else.
    for (whose, status) in [(id, 200), (text(&other, "entity_id"), 403)] {
        let path = format!("identity/entity/id/{whose}");
        done(&asked_as(&mut server, text(&first, "client_token"), Method::GET, &path, None).await, status);
    }

    // By AppRole it is the role that comes.
    done(&put(&server, "sys/auth/approle", json!({"type": "approle"})).await, 204);
    done(&put(&server, "auth/approle/role/r", json!({"role_id": "the-role"})).await, 204);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let secret = put(&server, "auth/approle/role/r/secret-id", json!({})).await;
        let login = json!({"role_id": "the-role", "secret_id": secret.text("secret_id")});
        ids.push(text(&put(&server, "auth/approle/login", login).await.body["auth"], "entity_id").to_owned());
    }
    assert_eq!(ids[0], ids[1]);
    let entity = server.get(&format!("identity/entity/id/{}", ids[0])).await.unwrap();
    assert_eq!(entity.body["data"]["aliases"][0]["name"], "the-role");
    assert_eq!(entity.body["data"]["aliases"][0]["metadata"], json!({"role_name": "r"}));

    // What is made by a token is its bearer's as well, an orphan nobody's.
    let token = text(&first, "client_token");
    let wide = r#"path "auth/token/*" { capabilities = ["update", "sudo"] }"#;
    done(&put(&server, "sys/policies/acl/wide", json!({"policy": wide})).await, 204);
    done(&put(&server, &format!("identity/entity/id/{id}"), json!({"policies": "wide"})).await, 204);
    let child = asked_as(&mut server, token, Method::PUT, "auth/token/create", Some(json!({}))).await;
    assert_eq!(text(&child.body["auth"], "entity_id"), id);
    assert_eq!(child.body["auth"]["identity_policies"], json!(["wide"]));
    let batch = json!({"type": "batch", "ttl": "1h"});
    let batch = asked_as(&mut server, token, Method::PUT, "auth/token/create", Some(batch)).await;
    assert_eq!(text(&batch.body["auth"], "entity_id"), id);
    let batch = text(&batch.body["auth"], "client_token").to_owned();
    let looked = asked_as(&mut server, &batch, Method::GET, "auth/token/lookup-self", None).await;
    assert_eq!(looked.text("entity_id"), id);
    let orphan = asked_as(&mut server, token, Method::PUT, "auth/token/create-orphan", Some(json!({}))).await;
    assert_eq!(text(&orphan.body["auth"], "entity_id"), "");
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn policies_of_an_entity_and_of_its_groups_count_at_once_on_tokens_that_live_here_and_elsewhere() {
    let (site, mut server) = started().await;
    let mut second = site.serve().await.unwrap();
    second.token.clone_from(&server.token);
    second.until_health(200).await.unwrap();
    let auth = login(&server, "bob").await;
    let (token, id) = (text(&auth, "client_token").to_owned(), text(&auth, "entity_id").to_owned());
    assert_eq!((reads_mounts(&mut server, &token).await, reads_mounts(&mut second, &token).await), (403, 403));
    let entity = format!("identity/entity/id/{id}");

    async fn become_on_both(server: &mut Server, second: &mut Server, token: &str, status: u16) {
        assert_eq!(reads_mounts(server, token).await, status, "at once where it was changed");
        until(PATIENCE, "the other server follows", status, async || reads_mounts(second, token).await).await;
    }
    done(&put(&server, &entity, json!({"policies": ["mounts"]})).await, 204);
    become_on_both(&mut server, &mut second, &token, 200).await;
    let own = asked_as(&mut server, &token, Method::GET, "auth/token/lookup-self", None).await;
    assert_eq!(
        (&own.body["data"]["policies"], &own.body["data"]["identity_policies"]),
        (&json!(["default"]), &json!(["mounts"]))
    );
    let again = login(&server, "bob").await;
    assert_eq!(
        (&again["policies"], &again["token_policies"], &again["identity_policies"]),
        (&json!(["default", "mounts"]), &json!(["default"]), &json!(["mounts"]))
    );
    done(&put(&server, &entity, json!({"policies": []})).await, 204);
    become_on_both(&mut server, &mut second, &token, 403).await;

    // By a group, and by a group that holds this group.
    let team = put(&server, "identity/group", json!({"name": "team", "member_entity_ids": [id]})).await;
    done(&team, 200);
    done(&put(&server, "identity/group/name/team", json!({"policies": ["mounts"]})).await, 204);
    become_on_both(&mut server, &mut second, &token, 200).await;
    done(&put(&server, "identity/group/name/team", json!({"policies": []})).await, 204);
    become_on_both(&mut server, &mut second, &token, 403).await;
    let house = json!({"name": "house", "policies": ["mounts"], "member_group_ids": [team.text("id")]});
    let house = put(&server, "identity/group", house).await;
    become_on_both(&mut server, &mut second, &token, 200).await;
    told(
        &put(&server, "identity/group/name/team", json!({"member_group_ids": [house.text("id")]})).await,
        400,
        "cyclic relationship",
    );
    let shown = server.get(&entity).await.unwrap().body["data"].clone();
    assert_eq!(shown["direct_group_ids"], json!([team.text("id")]));
    assert_eq!(shown["inherited_group_ids"], json!([house.text("id")]));
    done(&put(&server, "identity/group/name/team", json!({"member_entity_ids": []})).await, 204);
    become_on_both(&mut server, &mut second, &token, 403).await;
    done(&put(&server, "identity/group/name/team", json!({"member_entity_ids": id})).await, 204);
    become_on_both(&mut server, &mut second, &token, 200).await;
    done(&server.ask(Method::DELETE, "identity/group/name/team", None).await.unwrap(), 204);
    become_on_both(&mut server, &mut second, &token, 403).await;

    // Disabled, its tokens are good for nothing, and no login gives others.
    assert_eq!(asked_as(&mut second, &token, Method::GET, "auth/token/lookup-self", None).await.status, 200);
    done(&put(&server, &entity, json!({"disabled": true})).await, 204);
    become_on_both(&mut server, &mut second, &token, 403).await;
    let refused = asked_as(&mut server, &token, Method::GET, "auth/token/lookup-self", None).await;
    told(&refused, 403, "permission denied");
    let refused = put(&server, "auth/userpass/login/bob", json!({"password": "bob"})).await;
    told(&refused, 403, "permission denied");
    done(&put(&server, &entity, json!({"disabled": false})).await, 204);
    done(&asked_as(&mut server, &token, Method::GET, "auth/token/lookup-self", None).await, 200);
    done(&server.ask(Method::DELETE, &entity, None).await.unwrap(), 204);
    done(&asked_as(&mut server, &token, Method::GET, "auth/token/lookup-self", None).await, 403);
    assert_ne!(text(&login(&server, "bob").await, "entity_id"), id, "who is deleted begins anew");
}

#[tokio::test]
async fn groups_that_two_servers_put_into_each_other_at_once_make_no_circle() {
    let (site, server) = started().await;
    let second = site.serve_for(&server.token).await.unwrap();
    for round in 0..12 {
        let mut ids = Vec::new();
        for name in ["one", "other"] {
            let made = put(&server, "identity/group", json!({"name": format!("{name}{round}")})).await;
            ids.push(made.text("id").to_owned());
        }
        let into = async |server: &Server, holder: usize| {
            let path = format!("identity/group/id/{}", ids[holder]);
            put(server, &path, json!({"member_group_ids": [ids[1 - holder]]})).await
        };
        let (one, other) = tokio::join!(into(&server, 0), into(&second, 1));
        let (made, refused) = if one.status == 204 { (one, other) } else { (other, one) };
        done(&made, 204);
        told(&refused, 400, "cyclic relationship");
    }
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn templates_give_each_his_own_and_follow_what_they_are_filled_with() {
    let (_site, mut server) = started().await;
    let (bob, eve) = (login(&server, "bob").await, login(&server, "eve").await);
    let accessor =
        server.get("sys/auth").await.unwrap().body["data"]["userpass/"]["accessor"].as_str().unwrap().to_owned();
    let (id, other) = (text(&bob, "entity_id").to_owned(), text(&eve, "entity_id").to_owned());
    let crew = put(&server, "identity/group", json!({"name": "crew", "member_entity_ids": [id]})).await;
    let crew = crew.text("id").to_owned();
    let entity = format!("identity/entity/id/{id}");
    done(&put(&server, &entity, json!({"metadata": {"team": "blue", "wide": "*", "deep": "a/b"}})).await, 204);
    let paths = [
        "kv/by-id/{{identity.entity.id}}/*".to_owned(),
        "kv/by-meta/{{identity.entity.metadata.team}}/*".to_owned(),
        format!("kv/by-alias/{{{{identity.entity.aliases.{accessor}.name}}}}/*"),
        "kv/by-group/{{identity.groups.names.crew.id}}/*".to_owned(),
        "kv/{{identity.entity.metadata.wide}}".to_owned(),
        "kv/{{identity.entity.metadata.deep}}/x".to_owned(),
        "kv/plain".to_owned(),
    ];
    let rules: Vec<String> =
        paths.iter().map(|path| format!("path \"{path}\" {{ capabilities = [\"create\", \"update\"] }}")).collect();
    done(&put(&server, "sys/policies/acl/own", json!({"policy": rules.join("\n")})).await, 204);
    for name in ["bob", "eve"] {
        done(&put(&server, &format!("auth/userpass/users/{name}"), json!({"token_policies": "own"})).await, 204);
    }
    let token = text(&login(&server, "bob").await, "client_token").to_owned();
    for (path, status) in [
        (format!("by-id/{id}/a"), 204),
        (format!("by-id/{other}/a"), 403),
        ("by-meta/blue/a".into(), 204),
        ("by-meta/red/a".into(), 403),
        ("by-alias/bob/a".into(), 204),
        ("by-alias/eve/a".into(), 403),
        (format!("by-group/{crew}/a"), 204),
        ("anything".into(), 403),
        ("a/b/x".into(), 403),
        ("plain".into(), 204),
    ] {
        let answer = asked_as(&mut server, &token, Method::PUT, &format!("kv/{path}"), Some(json!({"a": 1}))).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    done(&put(&server, &entity, json!({"metadata": {"team": "red"}})).await, 204);
    for (team, status) in [("red", 204), ("blue", 403)] {
        let path = format!("kv/by-meta/{team}/a");
        done(&asked_as(&mut server, &token, Method::PUT, &path, Some(json!({"a": 1}))).await, status);
    }
    // Without an entity nothing is filled, and the plain rule stays.
    let nobody = put(&server, "auth/token/create", json!({"policies": ["own"]})).await;
    let nobody = text(&nobody.body["auth"], "client_token").to_owned();
    for (path, status) in [("plain", 204), ("by-meta/red/a", 403), ("by-id//a", 403)] {
        let path = format!("kv/{path}");
        done(&asked_as(&mut server, &nobody, Method::PUT, &path, Some(json!({"a": 1}))).await, status);
    }
    for broken in ["kv/{{identity.entity.id", "kv/{{time.now}}"] {
        let policy = format!("path \"{broken}\" {{ capabilities = [\"read\"] }}");
        told(&put(&server, "sys/policies/acl/broken", json!({"policy": policy})).await, 400, "a template is");
    }
}

#[tokio::test]
async fn rows_written_by_sql_give_nobody_policies() {
    let (site, mut server) = started().await;
    let auth = login(&server, "bob").await;
    let (token, id) = (text(&auth, "client_token").to_owned(), text(&auth, "entity_id").to_owned());
    let group = put(&server, "identity/group", json!({"name": "mighty", "policies": ["mounts"]})).await;
    assert_eq!(reads_mounts(&mut server, &token).await, 403);
    let group = group.text("id");
    let member = format!(
        "INSERT INTO group_members (id, organization_id, group_id, member_entity_id, revision, row_mac) \
         SELECT gen_random_uuid(), organization_id, '{group}', '{id}', 1, row_mac FROM entities WHERE id = '{id}'"
    );
    assert_eq!(sql(&site, &member).await, 1);
    until(PATIENCE, "the row is seen", 500, async || reads_mounts(&mut server, &token).await).await;
    // Nor is there a token afterwards of a login that rests on it.
    let tokens = sql(&site, "SELECT id FROM tokens").await;
    let refused = put(&server, "auth/userpass/login/bob", json!({"password": "bob"})).await;
    told(&refused, 500, "changed behind the service's back");
    assert_eq!(sql(&site, "SELECT id FROM tokens").await, tokens);
    assert_eq!(sql(&site, "DELETE FROM group_members").await, 1);
    until(PATIENCE, "the row is gone", 403, async || reads_mounts(&mut server, &token).await).await;
    for (statement, back) in [
        ("UPDATE entities SET policies = '{mounts}'", "UPDATE entities SET policies = '{}'"),
        ("UPDATE entity_aliases SET name = 'eve'", "UPDATE entity_aliases SET name = 'bob'"),
    ] {
        assert_eq!(sql(&site, statement).await, 1, "{statement}");
        until(PATIENCE, "the row is refused", 500, async || reads_mounts(&mut server, &token).await).await;
        if statement.contains("aliases") {
            let stolen = put(&server, "auth/userpass/login/eve", json!({"password": "eve"})).await;
            told(&stolen, 500, "changed behind the service's back");
        }
        assert_eq!(sql(&site, back).await, 1);
    }
}

#[tokio::test]
async fn entities_and_groups_are_found_by_what_is_known_of_them_and_what_is_not_there_is_204() {
    let (_site, server) = started().await;
    let id = text(&login(&server, "bob").await, "entity_id").to_owned();
    let entity = server.get(&format!("identity/entity/id/{id}")).await.unwrap().body["data"].clone();
    let accessor = entity["aliases"][0]["mount_accessor"].clone();
    let group = put(&server, "identity/group", json!({"name": "outer", "type": "external"})).await;
    let alias = json!({"name": "devs", "canonical_id": group.text("id"), "mount_accessor": accessor});
    let alias = put(&server, "identity/group-alias", alias).await;
    let nobody = "00000000-0000-4000-8000-000000000000";
    for (what, id, name, alias_id, alias_name) in [
        ("entity", id.as_str(), entity["name"].as_str().unwrap(), text(&entity["aliases"][0], "id"), "bob"),
        ("group", group.text("id"), "outer", alias.text("id"), "devs"),
    ] {
        let look = async |by: Value| put(&server, &format!("identity/lookup/{what}"), by).await;
        for by in [
            json!({"id": id}),
            json!({"name": name}),
            json!({"alias_id": alias_id}),
            json!({"alias_name": alias_name, "alias_mount_accessor": accessor}),
        ] {
            assert_eq!(look(by.clone()).await.text("id"), id, "{what} {by}");
        }
        for by in [
            json!({"id": nobody}),
            json!({"id": "no uuid"}),
            json!({"name": "absent"}),
            json!({"alias_id": nobody}),
            json!({"alias_id": "no uuid"}),
            json!({"alias_name": "absent", "alias_mount_accessor": accessor}),
            json!({"alias_name": alias_name, "alias_mount_accessor": "auth_none_0"}),
        ] {
            assert_eq!(look(by.clone()).await.status, 204, "{what} {by}");
        }
        for by in [json!({}), json!({"alias_name": alias_name}), json!({"alias_mount_accessor": accessor})] {
            told(&look(by).await, 400, "query attributes not supplied");
        }
    }
}
