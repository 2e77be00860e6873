//! Tokens for somebody else than their maker, through a role that allows the alias; from outside.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Server, Site};

/// A role `r` that allows `bob` and `team-*`, and policies `p1`, which may make tokens through it, and `p2`, which may list mounts.
async fn started() -> (Site, Server) {
    let (site, server) = Site::started("").await.unwrap();
    for (name, path, capability) in [("p1", "auth/token/create/*", "update"), ("p2", "sys/mounts", "read")] {
        let policy = json!({"policy": format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}")});
        done(&server.put(&format!("sys/policies/acl/{name}"), policy).await.unwrap(), 204);
    }
    let role = json!({"allowed_policies": "p1,p2", "allowed_entity_aliases": "Bob, team-*"});
    done(&server.put("auth/token/roles/r", role).await.unwrap(), 204);
    (site, server)
}

fn done(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
}

fn told(answer: &Answer, status: u16, text: &str) {
    done(answer, status);
    assert!(answer.error().contains(text), "{answer:?}");
}

async fn create(server: &Server, body: Value) -> Value {
    let made = server.put("auth/token/create/r", body).await.unwrap();
    done(&made, 200);
    made.body["auth"].clone()
}

async fn by(server: &mut Server, auth: &Value, method: Method, path: &str, body: Value) -> Answer {
    let token = auth["client_token"].as_str().unwrap().to_owned();
    let root = std::mem::replace(&mut server.token, token);
    let answer = server.ask(method, path, Some(body.to_string().into())).await.unwrap();
    server.token = root;
    answer
}

async fn accessor(server: &Server) -> String {
    let shown = server.get("sys/auth").await.unwrap();
    shown.body["data"]["token/"]["accessor"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_for_whom_its_alias_names_and_has_that_entitys_policies() {
    let (site, mut server) = started().await;
    let first = create(&server, json!({"policies": ["p1"], "entity_alias": "Bob"})).await;
    let entity = first["entity_id"].as_str().unwrap().to_owned();
    let shown = server.get(&format!("identity/entity/id/{entity}")).await.unwrap();
    let alias = &shown.body["data"]["aliases"][0];
    assert_eq!(
        (&alias["name"], &alias["mount_accessor"], &alias["mount_type"]),
        (&json!("bob"), &json!(accessor(&server).await), &json!("token"))
    );
    assert_eq!(
        by(&mut server, &first, Method::GET, "auth/token/lookup-self", json!({})).await.text("entity_id"),
        entity
    );

    // The same again, in any case; somebody else by a pattern. What the entity has counts beside the token's own, at once.
    done(&by(&mut server, &first, Method::GET, "sys/mounts", json!({})).await, 403);
    done(&server.put(&format!("identity/entity/id/{entity}"), json!({"policies": "p2"})).await.unwrap(), 204);
    done(&by(&mut server, &first, Method::GET, "sys/mounts", json!({})).await, 200);
    for same in ["bob", "BOB"] {
        let again = create(&server, json!({"policies": ["p1"], "entity_alias": same})).await;
        assert_eq!((&again["entity_id"], &again["identity_policies"]), (&json!(entity), &json!(["p2"])), "{same}");
        assert_eq!(again["policies"], json!(["default", "p1", "p2"]));
    }
    let other = create(&server, json!({"policies": ["p1"], "entity_alias": "team-x"})).await;
    assert!(other["entity_id"] != json!(entity) && other["entity_id"] != json!(""), "{other}");

    // A child is its parent's entity's, unless it says whose else it is, be it a batch token or an orphan.
    let child = by(&mut server, &first, Method::PUT, "auth/token/create/r", json!({"policies": ["p1"]})).await;
    assert_eq!(child.body["auth"]["entity_id"], json!(entity));
    done(&server.put("auth/token/roles/r", json!({"orphan": true})).await.unwrap(), 204);
    for body in [json!({"entity_alias": "team-x"}), json!({"entity_alias": "team-x", "type": "batch", "ttl": "1h"})] {
        let made = by(&mut server, &first, Method::PUT, "auth/token/create/r", body).await;
        let auth = &made.body["auth"];
        assert_eq!((&auth["entity_id"], &auth["orphan"]), (&other["entity_id"], &json!(true)), "{made:?}");
        let seen = by(&mut server, auth, Method::GET, "auth/token/lookup-self", json!({})).await;
        assert_eq!(seen.body["data"]["entity_id"], other["entity_id"]);
    }

    done(&server.put(&format!("identity/entity/id/{entity}"), json!({"disabled": true})).await.unwrap(), 204);
    let refused = server.put("auth/token/create/r", json!({"entity_alias": "bob"})).await.unwrap();
    told(&refused, 403, "entity from given entity alias is disabled");
    done(&by(&mut server, &first, Method::GET, "auth/token/lookup-self", json!({})).await, 403);
    let mut superuser = site.core.superuser().await.unwrap();
    let recorded: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit_log WHERE event_type = 'token.create' AND event_data ->> 'entity_alias' = 'Bob' AND event_data ->> 'entity_id' = $1",
    )
    .bind(&entity)
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(recorded, 1);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn an_alias_needs_a_role_that_allows_it() {
    let (site, server) = started().await;
    let body = json!({"policies": ["p1"], "entity_alias": "bob"});
    for path in ["auth/token/create", "auth/token/create-orphan"] {
        let refused = server.put(path, body.clone()).await.unwrap();
        told(&refused, 400, "'entity_alias' is only allowed in combination with token role");
    }
    // As clients send it that mean none.
    done(&server.put("auth/token/create", json!({"policies": ["p1"], "entity_alias": ""})).await.unwrap(), 200);
    for alias in ["eve", "bobby", "my-team-x"] {
        let refused = server.put("auth/token/create/r", json!({"entity_alias": alias})).await.unwrap();
        told(&refused, 400, "invalid 'entity_alias' value");
    }
    let shown = async |role: &str| server.get(&format!("auth/token/roles/{role}")).await.unwrap();
    assert_eq!(shown("r").await.body["data"]["allowed_entity_aliases"], json!(["bob", "team-*"]));
    // Changed with what is named, and taken back with an empty list.
    done(&server.put("auth/token/roles/r", json!({"token_num_uses": 5})).await.unwrap(), 204);
    assert_eq!(shown("r").await.body["data"]["allowed_entity_aliases"], json!(["bob", "team-*"]));
    done(&server.put("auth/token/roles/r", json!({"allowed_entity_aliases": []})).await.unwrap(), 204);
    assert_eq!(shown("r").await.body["data"]["allowed_entity_aliases"], json!([]));
    told(&server.put("auth/token/create/r", body.clone()).await.unwrap(), 400, "invalid 'entity_alias' value");
    done(&server.put("auth/token/roles/plain", json!({})).await.unwrap(), 204);
    assert_eq!(shown("plain").await.body["data"]["allowed_entity_aliases"], json!(null));
    told(&server.put("auth/token/create/plain", body.clone()).await.unwrap(), 400, "invalid 'entity_alias' value");
    // Nor by SQL: the list is under the role's MAC.
    let mut superuser = site.core.superuser().await.unwrap();
    let edited = "UPDATE auth_roles SET config = jsonb_set(config, '{allowed_entity_aliases}', '[\"*\"]')";
    assert_eq!(sqlx::query(edited).execute(&mut superuser).await.unwrap().rows_affected(), 2);
    for role in ["r", "plain"] {
        let refused = server.put(&format!("auth/token/create/{role}"), body.clone()).await.unwrap();
        told(&refused, 500, "changed behind the service's back");
    }
    let entities: i64 = sqlx::query_scalar("SELECT count(*) FROM entities").fetch_one(&mut superuser).await.unwrap();
    assert_eq!(entities, 0, "nobody is made of what is refused");
}

#[tokio::test]
async fn an_alias_that_is_there_is_found_and_first_ones_at_once_make_one_entity() {
    let (site, server) = started().await;
    let made = server.put("identity/entity", json!({"name": "robert", "policies": "p2"})).await.unwrap();
    let alias =
        json!({"name": "Team-Lead", "canonical_id": made.text("id"), "mount_accessor": accessor(&server).await});
    done(&server.put("identity/entity-alias", alias).await.unwrap(), 200);
    let auth = create(&server, json!({"policies": ["p1"], "entity_alias": "Team-Lead"})).await;
    assert_eq!((auth["entity_id"].as_str().unwrap(), &auth["identity_policies"]), (made.text("id"), &json!(["p2"])));

    let body = json!({"policies": ["p1"], "entity_alias": "team-new"});
    let all = futures_util::future::join_all((0..8).map(|_| create(&server, body.clone()))).await;
    let mut entities: Vec<&str> = all.iter().map(|auth| auth["entity_id"].as_str().unwrap()).collect();
    entities.sort_unstable();
    entities.dedup();
    assert_eq!(entities.len(), 1, "{entities:?}");
    // A text that is there is not made anew, nor is anybody for it.
    let chosen = json!({"policies": ["p1"], "entity_alias": "team-other", "id": "chosen"});
    create(&server, chosen.clone()).await;
    told(&server.put("auth/token/create/r", chosen).await.unwrap(), 400, "cannot create a token with a duplicate ID");
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}
