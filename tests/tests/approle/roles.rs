//! Roles, field by field: who may make and change them, and how clients are answered.

use crate::{as_token, done, login, post, role_id, secret_id, started, told};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn each_field_of_a_role_has_a_path_of_its_own() {
    let (_site, server) = started().await;
    done(&post(&server, "role/full", json!({"token_ttl": "20m", "token_max_ttl": "1h", "policies": "p1"})).await, 204);
    assert_eq!(server.get("auth/approle/role/full").await.unwrap().body["data"]["policies"], json!(["p1"]));
    assert_eq!(server.get("auth/approle/role/full/token-ttl").await.unwrap().body["data"], json!({"token_ttl": 1200}));
    done(&post(&server, "role/full/token-ttl", json!({"token_ttl": "30m"})).await, 204);
    assert_eq!(server.get("auth/approle/role/full/token-ttl").await.unwrap().body["data"], json!({"token_ttl": 1800}));
    told(&post(&server, "role/full/token-ttl", json!({})).await, 400, "missing token_ttl");
    assert_eq!(post(&server, "role/full/token-ttl", json!({"token_ttl": "2h"})).await.status, 400);
    done(&server.ask(Method::DELETE, "auth/approle/role/full/token-ttl", None).await.unwrap(), 204);
    assert_eq!(server.get("auth/approle/role/full/token-ttl").await.unwrap().body["data"], json!({"token_ttl": 0}));
    for (path, field, value) in [
        ("policies", "token_policies", json!(["p2"])),
        ("secret-id-num-uses", "secret_id_num_uses", json!(7)),
        ("secret-id-ttl", "secret_id_ttl", json!(60)),
        ("token-max-ttl", "token_max_ttl", json!(7200)),
        ("token-num-uses", "token_num_uses", json!(3)),
        ("bind-secret-id", "bind_secret_id", json!(true)),
        ("secret-id-bound-cidrs", "secret_id_bound_cidrs", json!(["10.0.0.0/8"])),
        ("token-bound-cidrs", "token_bound_cidrs", json!(["10.0.0.0/8"])),
        ("period", "token_period", json!(90)),
    ] {
        let mut body = json!({});
        body[field] = value.clone();
        done(&post(&server, &format!("role/full/{path}"), body).await, 204);
        let shown = server.get(&format!("auth/approle/role/full/{path}")).await.unwrap();
        assert_eq!(shown.body["data"][field], value, "{path}");
    }
    assert_eq!(post(&server, "role/full/local-secret-ids", json!({"local_secret_ids": true})).await.status, 405);
    assert_eq!(server.get("auth/approle/role/full/nosuch").await.unwrap().status, 404);
    assert_eq!(server.get("auth/approle/role/absent/token-ttl").await.unwrap().status, 404);
    told(&post(&server, "role/absent/token-ttl", json!({"token_ttl": 1})).await, 404, "does not exist");
    done(&post(&server, "role/full/role-id", json!({"role_id": "another"})).await, 204);
    assert_eq!(role_id(&server, "full").await, "another");
}

#[tokio::test]
async fn what_is_absent_or_needs_no_more_than_a_word_is_answered_as_clients_know_it() {
    let (_site, mut server) = started().await;
    let list = Method::from_bytes(b"LIST").unwrap();
    told(
        &server.ask(list.clone(), "auth/approle/role/absent/secret-id", None).await.unwrap(),
        400,
        "role \"absent\" does not exist",
    );
    done(&server.ask(Method::DELETE, "auth/approle/role/absent/token-ttl", None).await.unwrap(), 204);
    done(&post(&server, "role/r", json!({"role_id": "r"})).await, 204);
    let none = server.ask(list.clone(), "auth/approle/role/r/secret-id", None).await.unwrap();
    assert_eq!(none.status, 404, "there are none");
    // In pages, by either way to ask for a list.
    for name in ["a", "b", "c"] {
        done(&post(&server, &format!("role/{name}"), json!({})).await, 204);
    }
    for (asked, keys) in [
        ("?limit=2", json!(["a", "b"])),
        ("?after=b&limit=1", json!(["c"])),
        ("?after=bb", json!(["c", "r"])),
        ("?limit=0", json!(["a", "b", "c", "r"])),
    ] {
        let listed = server.ask(list.clone(), &format!("auth/approle/role{asked}"), None).await.unwrap();
        assert_eq!((&listed.body["data"]["keys"], &listed.body["warnings"]), (&keys, &Value::Null), "{asked}");
    }
    let by_get = server.get("auth/approle/role?list=true&after=a&limit=1").await.unwrap();
    assert_eq!(by_get.body["data"]["keys"], json!(["b"]));
    told(&server.get("auth/approle/role?list=true&limit=few").await.unwrap(), 400, "limit");
    assert_eq!(server.get("auth/approle/role?list=true&after=r").await.unwrap().status, 404);

    let longer = post(&server, "role/r", json!({"token_ttl": "2h", "token_max_ttl": "1h"})).await;
    assert_eq!(longer.error(), "'token_ttl' cannot be greater than 'token_max_ttl'", "{longer:?}");
    done(&longer, 400);
    done(&post(&server, "role/limited", json!({"secret_id_ttl": "10m", "secret_id_num_uses": 2})).await, 204);
    for (body, why) in [
        (json!({"num_uses": 3}), "num_uses cannot be higher than the role's secret_id_num_uses"),
        (json!({"ttl": "1h"}), "ttl cannot be longer than the role's secret_id_ttl"),
    ] {
        assert_eq!(post(&server, "role/limited/secret-id", body).await.error(), why);
    }
    told(
        &post(&server, "role/r", json!({"token_strictly_bind_ip": true, "token_bound_cidrs": "127.0.0.0/8"})).await,
        400,
        "set only one",
    );
    // What is taken in another sense is told.
    let typed = post(&server, "role/typed", json!({"token_type": "default-service", "token_max_ttl": "9999h"})).await;
    done(&typed, 200);
    let truncated = "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' max TTL value will be truncated";
    assert_eq!(
        typed.body["warnings"],
        json!([truncated, "default-service has no useful meaning; adjusting to service"])
    );
    assert_eq!(server.get("auth/approle/role/typed").await.unwrap().text("token_type"), "service");

    // By old names and paths.
    done(&post(&server, "role/r/bound-cidr-list", json!({"bound_cidr_list": "127.0.0.0/8"})).await, 204);
    done(&post(&server, "role/r/policies", json!({"policies": "p1"})).await, 204);
    for (path, data) in [
        ("bound-cidr-list", json!({"bound_cidr_list": ["127.0.0.0/8"]})),
        ("secret-id-bound-cidrs", json!({"secret_id_bound_cidrs": ["127.0.0.0/8"]})),
        ("policies", json!({"token_policies": ["p1"], "policies": ["p1"]})),
    ] {
        let shown = server.get(&format!("auth/approle/role/r/{path}")).await.unwrap();
        assert_eq!(shown.body["data"], data, "{path}");
    }
    // As both come out of files.
    let (secret, _) = secret_id(&server, "r", json!({})).await;
    let auth = login(&mut server, "r\n", &format!("{secret}\n")).await;
    done(&auth, 200);
}

#[tokio::test]
async fn who_may_make_roles_may_not_change_them_and_what_is_given_ends_to_be_renewed_with_its_role() {
    let (_site, mut server) = started().await;
    done(&server.put("sys/auth/machines/east", json!({"type": "approle"})).await.unwrap(), 204);
    let maker = json!({"policy": "path \"auth/machines/east/role/*\" { capabilities = [\"create\"] }"});
    done(&server.put("sys/policies/acl/maker", maker).await.unwrap(), 204);
    let token = server.put("auth/token/create", json!({"policies": ["maker"]})).await.unwrap();
    let token = token.body["auth"]["client_token"].as_str().unwrap().to_owned();
    let root = std::mem::replace(&mut server.token, token);
    let role = json!({"role_id": "r", "token_policies": "p1", "token_period": "1h"});
    done(&server.put("auth/machines/east/role/r", role.clone()).await.unwrap(), 204);
    done(&server.put("auth/machines/east/role/r", role).await.unwrap(), 403);
    server.token = root;

    let secret = server.put("auth/machines/east/role/r/secret-id", json!({})).await.unwrap();
    let login = json!({"role_id": "r", "secret_id": secret.text("secret_id")});
    let given = server.put("auth/machines/east/login", login).await.unwrap();
    let token = done(&given, 200).body["auth"]["client_token"].as_str().unwrap().to_owned();
    let looked_up = json!({"token": token});
    let info = server.put("auth/token/lookup", looked_up.clone()).await.unwrap();
    assert_eq!(info.text("display_name"), "machines-east");
    // Nobody gave the entity policies.
    let data = &info.body["data"];
    assert_eq!((data.get("identity_policies"), data.get("external_namespace_policies")), (None, None));
    done(&server.put("auth/token/renew", looked_up.clone()).await.unwrap(), 200);
    done(&server.ask(Method::DELETE, "auth/machines/east/role/r", None).await.unwrap(), 204);
    let refused = server.put("auth/token/renew", looked_up).await.unwrap();
    told(&refused, 400, "role \"r\" does not exist during renewal");
    assert_eq!(as_token(&mut server, &token, "sys/mounts").await, 200, "it ends with its time");
}

#[tokio::test]
async fn a_role_has_a_name_of_up_to_4096_bytes_and_programs_log_in_through_it() {
    let (site, mut server) = started().await;
    // Nothing that PostgreSQL could make shorter.
    let name: String = (0..128).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    assert_eq!(name.len(), 4096);
    done(&post(&server, &format!("role/{name}"), json!({"token_policies": "p1", "role_id": "r"})).await, 204);
    let longer = post(&server, &format!("role/{name}x"), json!({})).await;
    told(&longer, 400, "role_name is longer than maximum of 4096 bytes");
    assert_eq!(server.get(&format!("auth/approle/role/{name}x")).await.unwrap().status, 404);
    let (secret, _) = secret_id(&server, &name, json!({})).await;
    let auth = login(&mut server, "r", &secret).await;
    assert_eq!(done(&auth, 200).body["auth"]["metadata"], json!({"role_name": name}));
    let token = auth.body["auth"]["client_token"].as_str().unwrap();
    assert_eq!(as_token(&mut server, token, "sys/mounts").await, 200);
    // In whatever case it is written it is the one; another name is another's, however late it differs.
    done(&post(&server, &format!("role/{}", name.to_uppercase()), json!({"token_policies": "p2"})).await, 204);
    let other = format!("{}_", &name[..4095]);
    let path = format!("role/{other}");
    let at_once = futures_util::future::join_all((0..4).map(|_| post(&server, &path, json!({"role_id": "s"}))));
    for answer in at_once.await {
        done(&answer, 204);
    }
    let list = Method::from_bytes(b"LIST").unwrap();
    let listed = server.ask(list, "auth/approle/role", None).await.unwrap();
    let mut names = [name.clone(), other.clone()];
    names.sort_unstable();
    assert_eq!(listed.body["data"]["keys"], json!(names));
    done(&server.ask(Method::DELETE, &format!("auth/approle/role/{name}"), None).await.unwrap(), 204);
    told(&login(&mut server, "r", &secret).await, 400, "invalid role or secret ID");
    assert_eq!(role_id(&server, &other).await, "s");
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));

    // Records call it so that a closed month can have its indexes, and tell the whole name.
    let mut superuser = site.core.superuser().await.unwrap();
    let told_of: Vec<(i32, String)> = sqlx::query_as(
        "SELECT octet_length(resource_id), event_data ->> 'role_name' FROM audit_log WHERE event_type = 'app_role.delete'",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(told_of, [(36, name)]);
}

#[tokio::test]
async fn a_role_id_is_no_longer_than_the_name_of_its_entitys_alias_may_be() {
    let (_site, mut server) = started().await;
    let longest = "ä".repeat(512);
    for body in [json!({"role_id": format!("{longest}x")}), json!({"role_id": "a\nb"})] {
        told(&post(&server, "role/r", body).await, 400, "role_id must have 1 to 512 characters");
    }
    done(&post(&server, "role/r", json!({"role_id": longest})).await, 204);
    let (secret, _) = secret_id(&server, "r", json!({"metadata": "{\"host\":\"h1\"}"})).await;
    let auth = login(&mut server, &longest, &secret).await;
    assert_eq!(done(&auth, 200).body["auth"]["metadata"], json!({"host": "h1", "role_name": "r"}));
    // What is written on one SecretID is not what all tokens of the role are known by.
    let entity = auth.body["auth"]["entity_id"].as_str().unwrap();
    let shown = server.get(&format!("identity/entity/id/{entity}")).await.unwrap();
    let alias = &shown.body["data"]["aliases"][0];
    assert_eq!((&alias["name"], &alias["metadata"]), (&json!(longest), &json!({"role_name": "r"})));
}
