//! Entities that become one.

use crate::{asked_as, done, login, put, reads_mounts, started, text, told};
use reqwest::Method;
use serde_json::{Value, json};
use tests::Server;

#[tokio::test]
async fn entities_that_become_one_keep_aliases_policies_groups_and_tokens() {
    let (site, mut server) = started().await;
    done(&put(&server, "sys/auth/approle", json!({"type": "approle"})).await, 204);
    done(&put(&server, "auth/approle/role/r", json!({"role_id": "the-role"})).await, 204);
    let secret = put(&server, "auth/approle/role/r/secret-id", json!({})).await;
    let machine =
        put(&server, "auth/approle/login", json!({"role_id": "the-role", "secret_id": secret.text("secret_id")})).await;
    let machine = machine.body["auth"].clone();
    let person = login(&server, "bob").await;
    let (from, to) = (text(&machine, "entity_id"), text(&person, "entity_id"));
    done(
        &put(&server, "identity/group", json!({"name": "team", "policies": "mounts", "member_entity_ids": from})).await,
        200,
    );
    assert_eq!(reads_mounts(&mut server, text(&person, "client_token")).await, 403);
    done(&put(&server, "identity/entity/merge", json!({"from_entity_ids": [from], "to_entity_id": to})).await, 204);
    assert_eq!(reads_mounts(&mut server, text(&person, "client_token")).await, 200);
    assert_eq!(reads_mounts(&mut server, text(&machine, "client_token")).await, 200, "its tokens are the one's");
    let shown = server.get(&format!("identity/entity/id/{to}")).await.unwrap().body["data"].clone();
    assert_eq!((shown["merged_entity_ids"].clone(), shown["aliases"].as_array().unwrap().len()), (json!([from]), 2));
    done(&put(&server, &format!("identity/entity/id/{to}"), json!({"disabled": true})).await, 204);
    assert_eq!(reads_mounts(&mut server, text(&machine, "client_token")).await, 403);
    let eve = login(&server, "eve").await;
    let both = json!({"from_entity_ids": [text(&eve, "entity_id")], "to_entity_id": to});
    told(&put(&server, "identity/entity/merge", both).await, 400, "aliases with the same mount");
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

/// Two roles of one login method, each with an entity that has a policy of its own; entities and tokens.
async fn two_roles(server: &Server) -> Vec<(String, String)> {
    done(&put(server, "sys/auth/approle", json!({"type": "approle"})).await, 204);
    let mut both = Vec::new();
    for name in ["r", "s"] {
        done(&put(server, &format!("auth/approle/role/{name}"), json!({"role_id": name})).await, 204);
        let auth = by_role(server, name).await;
        let id = text(&auth, "entity_id").to_owned();
        let policies = json!({"policies": [format!("of-{name}")]});
        done(&put(server, &format!("identity/entity/id/{id}"), policies).await, 204);
        both.push((id, text(&auth, "client_token").to_owned()));
    }
    both
}

async fn by_role(server: &Server, name: &str) -> Value {
    let secret = put(server, &format!("auth/approle/role/{name}/secret-id"), json!({})).await;
    let login = json!({"role_id": name, "secret_id": secret.text("secret_id")});
    put(server, "auth/approle/login", login).await.body["auth"].clone()
}

#[tokio::test]
async fn of_two_aliases_of_one_method_the_named_one_stays_and_tokens_of_both_are_the_one_entitys() {
    let (site, mut server) = started().await;
    let [(from, first), (to, second)] = two_roles(&server).await.try_into().unwrap();
    let aliases = async |server: &Server, id: &str| {
        server.get(&format!("identity/entity/id/{id}")).await.unwrap().body["data"]["aliases"].clone()
    };
    let keep = aliases(&server, &from).await[0]["id"].clone();
    let merge = json!({"from_entity_ids": [from], "to_entity_id": to, "force": true});
    told(&put(&server, "identity/entity/merge", merge.clone()).await, 400, keep.as_str().unwrap());
    let mut kept = merge;
    kept["conflicting_alias_ids_to_keep"] = json!([keep]);
    done(&put(&server, "identity/entity/merge", kept).await, 204);
    let left = aliases(&server, &to).await;
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"], &left[0]["name"]), (1, &keep, &json!("r")));
    for token in [&first, &second] {
        let own = asked_as(&mut server, token, Method::GET, "auth/token/lookup-self", None).await;
        assert_eq!(own.body["data"]["identity_policies"], json!(["of-r", "of-s"]), "{own:?}");
    }
    // By either id it is found; a login by the alias that was dropped is somebody new.
    assert_eq!(aliases(&server, &from).await, left);
    assert_eq!(text(&by_role(&server, "r").await, "entity_id"), to);
    let anew = by_role(&server, "s").await;
    assert!(![&from, &to].contains(&&text(&anew, "entity_id").to_owned()), "{anew}");
    done(&server.ask(Method::DELETE, &format!("identity/entity/id/{to}"), None).await.unwrap(), 204);
    for token in [&first, &second] {
        done(&asked_as(&mut server, token, Method::GET, "auth/token/lookup-self", None).await, 403);
    }
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}
