//! Secrets that are given while their entity, or their method, becomes another or is no more.

use super::{Bob, Program, done, method, put, told};
use serde_json::{Value, json};
use sqlx::{Acquire, AssertSqlSafe, PgConnection, Row};
use std::time::Duration;
use tests::{Answer, Server, until};

/// Less than a writer of the log waits for one commit.
const PATIENCE: Duration = Duration::from_secs(8);

async fn entity(server: &Server) -> String {
    put(server, "identity/entity", json!({})).await.text("id").to_owned()
}

async fn generate(server: &Server, method: &str, entity: &str) -> Answer {
    let body = json!({"method_id": method, "entity_id": entity});
    server.put("identity/mfa/method/totp/admin-generate", body).await.unwrap()
}

async fn run(connection: &mut PgConnection, statement: &str) -> u64 {
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(connection).await.unwrap().rows_affected()
}

impl Bob {
    /// Until so many transactions of the service wait for another's.
    async fn held(&self, transactions: i64) {
        let mut looking = self.site.core.superuser().await.unwrap();
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0 AND datname = current_database()";
        until(PATIENCE, "they wait for each other", transactions, async || {
            sqlx::query(waiting).fetch_one(&mut looking).await.unwrap().get(0)
        })
        .await;
    }

    async fn owners(&self) -> Vec<String> {
        let mut looking = self.site.core.superuser().await.unwrap();
        let owners = "SELECT entity_id::text FROM mfa_secrets WHERE method_id <> (SELECT id FROM system_entries WHERE name = $1) ORDER BY 1";
        sqlx::query_scalar(owners).bind(&self.method).fetch_all(&mut looking).await.unwrap()
    }
}

#[tokio::test]
async fn who_becomes_another_while_given_a_second_factor_has_it_as_that_one() {
    let bob = Bob::new().await;
    let (server, replica) = (&bob.server, bob.site.serve_for(&bob.server.token).await.unwrap());
    let other = method(server, "other").await;
    let (from, to) = (entity(server).await, entity(server).await);
    let group = put(server, "identity/group", json!({"name": "g", "member_entity_ids": [from]})).await;
    let mut superuser = bob.site.core.superuser().await.unwrap();
    let mut holding = superuser.begin().await.unwrap();
    let hold = format!("SELECT FROM group_members WHERE group_id = '{}' FOR UPDATE", group.text("id"));
    assert_eq!(run(&mut holding, &hold).await, 1);
    // The merge holds both entities, and waits for the group's member; the secret waits for the merge.
    let merge = json!({"from_entity_ids": [from], "to_entity_id": to});
    let (merged, given, ()) = tokio::join!(
        server.put("identity/entity/merge", merge),
        async {
            bob.held(1).await;
            generate(&replica, &other, &from).await
        },
        async {
            bob.held(2).await;
            holding.rollback().await.unwrap();
        }
    );
    done(&merged.unwrap(), 204);
    done(&given, 200);
    assert!(given.text("url").starts_with("otpauth://totp/Our%20keys:"), "{given:?}");
    assert_eq!(bob.owners().await, [to]);
    assert!(bob.site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn who_is_deleted_while_given_a_second_factor_has_none() {
    let bob = Bob::new().await;
    let server = &bob.server;
    let gone = entity(server).await;
    let mut superuser = bob.site.core.superuser().await.unwrap();
    let mut deleting = superuser.begin().await.unwrap();
    assert_eq!(run(&mut deleting, &format!("DELETE FROM entities WHERE id = '{gone}'")).await, 1);
    let (given, ()) = tokio::join!(generate(server, &bob.method, &gone), async {
        bob.held(1).await;
        deleting.commit().await.unwrap();
    });
    told(&given, 400, "invalid entity ID");
}

#[tokio::test]
async fn what_is_deleted_goes_with_a_second_factor_that_was_just_given() {
    let bob = Bob::new().await;
    let server = &bob.server;
    let gone = entity(server).await;
    let dropped = method(server, "dropped").await;
    let kept = entity(server).await;
    let rows = async || bob.sql("SELECT id FROM mfa_secrets").await;
    assert_eq!(rows().await, 1);
    for (path, method, entity) in [
        (format!("identity/entity/id/{gone}"), &bob.method, &gone),
        (format!("identity/mfa/method/totp/{dropped}"), &dropped, &kept),
    ] {
        let mut superuser = bob.site.core.superuser().await.unwrap();
        let mut giving = superuser.begin().await.unwrap();
        let give = format!(
            "INSERT INTO mfa_secrets (id, organization_id, entity_id, method_id, secret, revision, row_mac) \
             SELECT gen_random_uuid(), s.organization_id, '{entity}', m.id, s.secret, 1, s.row_mac \
             FROM mfa_secrets s, system_entries m WHERE m.kind = 'mfa_method' AND m.name = '{method}'"
        );
        assert_eq!(run(&mut giving, &give).await, 1);
        let (deleted, ()) = tokio::join!(server.ask(reqwest::Method::DELETE, &path, None), async {
            bob.held(1).await;
            giving.commit().await.unwrap();
        });
        done(&deleted.unwrap(), 204);
        assert_eq!(rows().await, 1, "{path}");
    }
    // What was there before is.
    let request = bob.request().await;
    done(&bob.validate(server, &request, &bob.program.code(0)).await, 200);
    let again = generate(server, &bob.method, &kept).await;
    assert!(again.body["data"]["url"].is_string(), "{again:?}");
    Program::of(server, &method(server, "dropped").await, &Value::from(kept)).await;
}
