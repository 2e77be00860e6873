//! Second factors of entities that become one.

use super::{Bob, FAILED, Program, done, method, put, requirement, told, validate};
use serde_json::{Value, json};
use tests::Server;

/// Roles `r` and `s` of AppRole; ids of their entities.
async fn machines(server: &Server) -> [String; 2] {
    put(server, "sys/auth/approle", json!({"type": "approle"})).await;
    let mut ids = Vec::new();
    for name in ["r", "s"] {
        let role = json!({"role_id": name, "bind_secret_id": false, "secret_id_bound_cidrs": "127.0.0.0/8"});
        put(server, &format!("auth/approle/role/{name}"), role).await;
        let given = put(server, "auth/approle/login", json!({"role_id": name})).await;
        ids.push(given.body["auth"]["entity_id"].as_str().unwrap().to_owned());
    }
    ids.try_into().unwrap()
}

impl Bob {
    async fn entity_id(&self) -> String {
        self.entity().await.rsplit_once('/').unwrap().1.to_owned()
    }

    async fn merge(&self, from: &[&String], to: &str, force: bool) -> tests::Answer {
        let merge = json!({"from_entity_ids": from, "to_entity_id": to, "force": force});
        self.server.put("identity/entity/merge", merge).await.unwrap()
    }
}

#[tokio::test]
async fn a_second_factor_goes_with_its_entity_into_the_one_that_this_becomes() {
    let bob = Bob::new().await;
    let server = &bob.server;
    let [machine, other] = machines(server).await;
    let person = bob.entity_id().await;
    let of_machines = method(server, "machines").await;
    let program = Program::of(server, &of_machines, &json!(machine)).await;
    let all = json!({"mfa_method_ids": of_machines, "auth_method_types": "approle"});
    put(server, "identity/mfa/login-enforcement/machines", all).await;
    let waits = async |role: &str| {
        let answer = put(server, "auth/approle/login", json!({"role_id": role})).await;
        requirement(&answer)["mfa_request_id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (waits("r").await, waits("r").await);
    let given = validate(server, &of_machines, &first, &program.code(0)).await;
    assert_eq!(given.body["auth"]["entity_id"], json!(machine), "{given:?}");
    done(&bob.merge(&[&machine], &person, false).await, 204);
    // Who waited is the one that he is now; the code that was taken is taken, the next one is good.
    told(&validate(server, &of_machines, &second, &program.code(0)).await, 403, FAILED);
    let given = validate(server, &of_machines, &second, &program.code(1)).await;
    done(&given, 200);
    assert_eq!(given.body["auth"]["entity_id"], json!(person));
    // What the other one had stays.
    let request = bob.request().await;
    done(&bob.validate(server, &request, &bob.program.code(0)).await, 200);
    let mine = format!("SELECT id FROM mfa_secrets WHERE entity_id = '{person}'");
    assert_eq!((bob.sql(&mine).await, bob.sql("SELECT id FROM mfa_secrets").await), (2, 2));
    assert!(bob.site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
    // It is that one's alone, whatever SQL says.
    let given_away =
        format!("UPDATE mfa_secrets SET entity_id = '{other}' WHERE entity_id = '{person}' AND revision = 2");
    assert_eq!(bob.sql(&given_away).await, 1);
    done(&validate(server, &of_machines, &waits("s").await, &program.code(2)).await, 500);
}

#[tokio::test]
async fn two_second_factors_of_one_method_are_merged_by_force_alone_and_then_the_targets_stays() {
    let bob = Bob::new().await;
    let server = &bob.server;
    let [r, s] = machines(server).await;
    let person = bob.entity_id().await;
    let other = method(server, "other").await;
    let program = Program::of(server, &bob.method, &json!(r)).await;
    for entity in [&r, &person, &s] {
        Program::of(server, &other, &json!(entity)).await;
    }
    for force in [Value::Null, json!(false)] {
        let mut merge = json!({"from_entity_ids": [r], "to_entity_id": person});
        merge["force"] = force;
        let refused = server.put("identity/entity/merge", merge).await.unwrap();
        for method in [&bob.method, &other] {
            told(&refused, 400, &format!("conflicting MFA config ID \"{method}\" in entity ID \"{r}\""));
        }
    }
    assert_eq!(server.get(&format!("identity/entity/id/{r}")).await.unwrap().text("id"), r);
    assert_eq!(bob.sql("SELECT id FROM mfa_secrets").await, 5);

    done(&bob.merge(&[&r], &person, true).await, 204);
    assert_eq!(bob.sql("SELECT id FROM mfa_secrets").await, 3);
    let request = bob.request().await;
    told(&bob.validate(server, &request, &program.code(0)).await, 403, FAILED);
    done(&bob.validate(server, &request, &bob.program.code(0)).await, 200);

    // Of two that come, the first one's; neither without force, though the target has none.
    let [t, u] = [put(server, "identity/entity", json!({})).await, put(server, "identity/entity", json!({})).await];
    let (t, u) = (t.text("id").to_owned(), u.text("id").to_owned());
    Program::of(server, &other, &json!(t)).await;
    told(&bob.merge(&[&t, &s], &u, false).await, 400, &format!("in entity ID \"{s}\""));
    let mut superuser = bob.site.core.superuser().await.unwrap();
    let of_t: uuid::Uuid = sqlx::query_scalar("SELECT id FROM mfa_secrets WHERE entity_id = $1::uuid")
        .bind(&t)
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    done(&bob.merge(&[&t, &s], &u, true).await, 204);
    assert_eq!(bob.sql(&format!("SELECT id FROM mfa_secrets WHERE entity_id = '{u}' AND id = '{of_t}'")).await, 1);
    assert_eq!(bob.sql("SELECT id FROM mfa_secrets").await, 3);
    assert!(bob.site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}
