//! Entities that become one.

use crate::{asked_as, done, login, put, reads_mounts, sql, started, text, told};
use reqwest::Method;
use serde_json::{Value, json};
use tests::Server;

#[tokio::test]
async fn entities_that_become_one_keep_aliases_policies_groups_and_tokens() {
    let (site, mut server) = started().await;
    let (machine, person) = machine_and_person(&server).await;
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

/// What a program and a person are given who log in.
async fn machine_and_person(server: &Server) -> (Value, Value) {
    done(&put(server, "sys/auth/approle", json!({"type": "approle"})).await, 204);
    done(&put(server, "auth/approle/role/r", json!({"role_id": "r"})).await, 204);
    (by_role(server, "r").await, login(server, "bob").await)
}

#[tokio::test]
async fn a_disabled_entitys_tokens_are_not_good_again_by_a_merge() {
    let (site, mut server) = started().await;
    let (machine, person) = machine_and_person(&server).await;
    let (from, to) = (text(&machine, "entity_id"), text(&person, "entity_id"));
    let disable = async |server: &Server, id: &str, disabled: bool| {
        done(&put(server, &format!("identity/entity/id/{id}"), json!({"disabled": disabled})).await, 204);
    };
    let own = async |server: &mut Server, auth: &Value| {
        let answer = asked_as(server, text(auth, "client_token"), Method::GET, "auth/token/lookup-self", None).await;
        answer.status.as_u16()
    };
    let merge = json!({"from_entity_ids": [from], "to_entity_id": to, "force": true});
    disable(&server, from, true).await;
    told(&put(&server, "identity/entity/merge", merge.clone()).await, 400, &format!("entity {from} is disabled"));
    assert_eq!((own(&mut server, &machine).await, own(&mut server, &person).await), (403, 200));
    let left = server.get(&format!("identity/entity/id/{from}")).await.unwrap();
    assert_eq!((left.text("id"), &left.body["data"]["disabled"]), (from, &json!(true)));
    // Into a disabled one any may go: its tokens are good for nothing then, until that one is enabled.
    disable(&server, from, false).await;
    disable(&server, to, true).await;
    assert_eq!(own(&mut server, &machine).await, 200);
    done(&put(&server, "identity/entity/merge", merge).await, 204);
    assert_eq!((own(&mut server, &machine).await, own(&mut server, &person).await), (403, 403));
    disable(&server, to, false).await;
    assert_eq!((own(&mut server, &machine).await, own(&mut server, &person).await), (200, 200));
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn an_alias_tells_which_entities_it_came_from() {
    let (site, server) = started().await;
    let (machine, person) = machine_and_person(&server).await;
    let (first, second) = (text(&machine, "entity_id"), text(&person, "entity_id"));
    let third = put(&server, "identity/entity", json!({"name": "all"})).await.text("id").to_owned();
    let aliases = async |id: &str| {
        let shown = server.get(&format!("identity/entity/id/{id}")).await.unwrap();
        let of = |kind: &str| {
            let aliases = shown.body["data"]["aliases"].as_array().unwrap();
            aliases.iter().find(|alias| alias["mount_type"] == kind).unwrap().clone()
        };
        (of("approle"), of("userpass"))
    };
    // One that is named twice is one.
    let merge = json!({"from_entity_ids": [first, first], "to_entity_id": second});
    done(&put(&server, "identity/entity/merge", merge).await, 204);
    let (of_machine, of_person) = aliases(second).await;
    assert_eq!(
        (&of_machine["merged_from_canonical_ids"], &of_person["merged_from_canonical_ids"]),
        (&json!([first]), &Value::Null)
    );
    done(
        &put(&server, "identity/entity/merge", json!({"from_entity_ids": [second], "to_entity_id": third})).await,
        204,
    );
    let (of_machine, of_person) = aliases(&third).await;
    assert_eq!(
        (&of_machine["merged_from_canonical_ids"], &of_person["merged_from_canonical_ids"]),
        (&json!([first, second]), &json!([second]))
    );
    let merged = server.get(&format!("identity/entity/id/{third}")).await.unwrap();
    assert_eq!(merged.body["data"]["merged_entity_ids"], json!([first, second]));
    // It stays so when something else is written on it, and a login finds it.
    let path = format!("identity/entity-alias/id/{}", text(&of_machine, "id"));
    done(&put(&server, &path, json!({"custom_metadata": {"a": "b"}})).await, 200);
    let read = server.get(&path).await.unwrap();
    assert_eq!(
        (&read.body["data"]["merged_from_canonical_ids"], &read.body["data"]["custom_metadata"]),
        (&json!([first, second]), &json!({"a": "b"}))
    );
    assert_eq!(text(&by_role(&server, "r").await, "entity_id"), third);
    assert_eq!(text(&login(&server, "bob").await, "entity_id"), third);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
    // Nor does SQL say where it came from.
    for wrong in ["'{}'", "merged_from_entity_ids[1:1]", "ARRAY[gen_random_uuid()]"] {
        let alias = text(&of_machine, "id");
        let changed = format!("UPDATE entity_aliases SET merged_from_entity_ids = {wrong} WHERE id = '{alias}'");
        assert_eq!(sql(&site, &changed).await, 1);
        told(&server.get(&path).await.unwrap(), 500, "changed behind the service's back");
    }
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
    kept["conflicting_alias_ids_to_keep"] = json!([to]);
    told(&put(&server, "identity/entity/merge", kept.clone()).await, 400, "aliases with the same mount");
    kept["conflicting_alias_ids_to_keep"] = json!([to, keep]);
    done(&put(&server, "identity/entity/merge", kept).await, 204);
    let left = aliases(&server, &to).await;
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"], &left[0]["name"]), (1, &keep, &json!("r")));
    for token in [&first, &second] {
        let own = asked_as(&mut server, token, Method::GET, "auth/token/lookup-self", None).await;
        assert_eq!(own.body["data"]["identity_policies"], json!(["of-r", "of-s"]), "{own:?}");
    }
    assert_eq!(left[0]["merged_from_canonical_ids"], json!([from]));
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
