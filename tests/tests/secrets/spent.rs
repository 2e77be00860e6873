//! How often the service's own keys encrypt: data keys, and those for what tokens keep.

use super::{ask, done, started_at};
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::Duration;
use tests::{Answer, Site, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// Nobody rotates: the job is another server's, for an hour.
async fn hold(core: &mut PgConnection) {
    let hold = "INSERT INTO jobs (name, next_run_at) VALUES ('data_key.rotate', now() + interval '1 hour') \
                ON CONFLICT (name) DO UPDATE SET next_run_at = excluded.next_run_at, leased_by = NULL, leased_until = NULL";
    sqlx::query(hold).execute(core).await.unwrap();
}

/// From now on the job is done again.
async fn release(core: &mut PgConnection) {
    sqlx::query("UPDATE jobs SET next_run_at = now() WHERE name = 'data_key.rotate'").execute(core).await.unwrap();
}

async fn number(secure: &mut PgConnection, statement: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(secure).await.unwrap()
}

fn is_spent(refused: &Answer, which: &str) {
    let says = format!("of the organization's {which} key has made the 40 encryptions that one key may make");
    assert!(refused.status == 400 && refused.error().contains(&says), "{refused:?}");
}

#[tokio::test]
async fn a_data_key_encrypts_so_often_and_no_more_and_another_is_made_before() {
    let site = Site::ready("[keys]\nencryptions_per_version = 40\n").await.unwrap();
    let server = started_at(&site).await;
    let mut superuser = site.core.superuser().await.unwrap();
    hold(&mut superuser).await;
    for number in 0..40 {
        let target = if number % 2 == 0 { "secret/data/a {\"data\":{\"n\":1}}" } else { "kv/a {\"n\":1}" };
        done(&server, &format!("POST {target}")).await;
    }
    for line in ["POST secret/data/a {\"data\":{}}", "POST kv/b {\"x\":1}", "PATCH secret/data/a {\"data\":{}}"] {
        is_spent(&ask(&server, line).await, "data");
    }
    // What is there is read, and when the job comes there is another key.
    done(&server, "GET secret/data/a").await;
    assert_eq!(done(&server, "GET sys/key-status").await["term"], 1);
    release(&mut superuser).await;
    let term = async || done(&server, "GET sys/key-status").await["term"].as_i64().unwrap();
    until(PATIENCE, "the key's version", 2, term).await;
    done(&server, "POST secret/data/a {\"data\":{}}").await;
    // From now on it comes before the end: at three quarters, of which what is encrypted anew is a part.
    let mut secure = site.secure.superuser().await.unwrap();
    let newest = "SELECT coalesce(max(u.reserved), 0) FROM key_usage u JOIN encryption_keys k ON k.id = u.encryption_key_id WHERE k.key_version = 2";
    while number(&mut secure, newest).await < 30 {
        done(&server, "POST secret/data/b {\"data\":{}}").await;
    }
    until(PATIENCE, "the key's version", 3, term).await;
    done(&server, "POST secret/data/b {\"data\":{}}").await;
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn so_does_a_key_for_what_tokens_keep_and_what_is_under_an_older_one_stays_readable() {
    let site = Site::ready("[keys]\nencryptions_per_version = 40\n").await.unwrap();
    let mut server = started_at(&site).await;
    let mut core = site.core.superuser().await.unwrap();
    let mut secure = site.secure.superuser().await.unwrap();
    hold(&mut core).await;
    done(&server, "POST kv/a {\"n\":1}").await;
    let wrapped = async |server: &mut tests::Server| {
        "120".clone_into(&mut server.wrap_ttl);
        let answer = ask(server, "GET kv/a").await;
        server.wrap_ttl.clear();
        answer
    };
    for number in 0..39 {
        done(&server, &format!("POST cubbyhole/{number} {{\"n\":{number}}}")).await;
    }
    let answer = wrapped(&mut server).await;
    let token = answer.body["wrap_info"]["token"].as_str().unwrap().to_owned();
    is_spent(&ask(&server, "POST cubbyhole/more {\"n\":1}").await, "cubbyhole");
    is_spent(&wrapped(&mut server).await, "cubbyhole");
    // Nothing but that is refused: secrets have a key of their own.
    done(&server, "POST kv/a {\"n\":1}").await;
    assert_eq!(done(&server, "GET cubbyhole/7").await["n"], 7);

    release(&mut core).await;
    let newest = "SELECT max(key_version)::bigint FROM cubbyhole_keys";
    until(PATIENCE, "the key's version", 2, async || number(&mut secure, newest).await).await;
    done(&server, "POST cubbyhole/more {\"n\":1}").await;
    assert_eq!(done(&server, "GET cubbyhole/7").await["n"], 7);
    assert_eq!(done(&server, &format!("PUT sys/wrapping/unwrap {{\"token\":\"{token}\"}}")).await["n"], 1);
    // From now on it comes before the end.
    let reserved = "SELECT coalesce(max(u.reserved), 0) FROM key_usage u JOIN cubbyhole_keys k ON k.id = u.cubbyhole_key_id WHERE k.key_version = 2";
    while number(&mut secure, reserved).await < 30 {
        done(&server, "POST cubbyhole/more {\"n\":1}").await;
    }
    until(PATIENCE, "the key's version", 3, async || number(&mut secure, newest).await).await;
    let rotated =
        "SELECT count(*) FROM secure_audit_log WHERE event_type = 'cubbyhole_key.rotate' AND result = 'success'";
    assert_eq!(number(&mut secure, rotated).await, 2);
    let root = server.token.clone();
    drop(server);
    let server = site.serve_for(&root).await.unwrap();
    assert_eq!(done(&server, "GET cubbyhole/7").await["n"], 7);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}
