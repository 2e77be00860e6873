//! How often a data key encrypts.

use super::{ask, done, started_at};
use std::time::Duration;
use tests::{Site, until};

#[tokio::test]
async fn a_data_key_encrypts_so_often_and_no_more_and_another_is_made_before() {
    let site = Site::ready("[keys]\nencryptions_per_version = 40\n").await.unwrap();
    let server = started_at(&site).await;
    let mut superuser = site.core.superuser().await.unwrap();
    // While nobody rotates: the job is another server's, for an hour.
    let hold = "INSERT INTO jobs (name, next_run_at) VALUES ('data_key.rotate', now() + interval '1 hour') \
                ON CONFLICT (name) DO UPDATE SET next_run_at = excluded.next_run_at, leased_by = NULL, leased_until = NULL";
    sqlx::query(hold).execute(&mut superuser).await.unwrap();
    for number in 0..40 {
        let target = if number % 2 == 0 { "secret/data/a {\"data\":{\"n\":1}}" } else { "kv/a {\"n\":1}" };
        done(&server, &format!("POST {target}")).await;
    }
    for line in ["POST secret/data/a {\"data\":{}}", "POST kv/b {\"x\":1}", "PATCH secret/data/a {\"data\":{}}"] {
        let refused = ask(&server, line).await;
        assert_eq!(refused.status, 400, "{line}: {refused:?}");
        assert!(
            refused.error().contains("has made the 40 encryptions that one key may make (SP 800-38D, 8.3)"),
            "{refused:?}"
        );
    }
    // What is there is read, and when the job comes there is another key.
    done(&server, "GET secret/data/a").await;
    assert_eq!(done(&server, "GET sys/key-status").await["term"], 1);
    sqlx::query("UPDATE jobs SET next_run_at = now() WHERE name = 'data_key.rotate'")
        .execute(&mut superuser)
        .await
        .unwrap();
    let term = async || done(&server, "GET sys/key-status").await["term"].as_i64().unwrap();
    until(Duration::from_secs(30), "the key's version", 2, term).await;
    done(&server, "POST secret/data/a {\"data\":{}}").await;
    // From now on it comes before the end: at three quarters, of which what is encrypted anew is a part.
    let mut secure = site.secure.superuser().await.unwrap();
    let newest = "SELECT coalesce(max(u.reserved), 0) FROM key_usage u JOIN encryption_keys k ON k.id = u.encryption_key_id WHERE k.key_version = 2";
    while sqlx::query_scalar::<_, i64>(newest).fetch_one(&mut secure).await.unwrap() < 30 {
        done(&server, "POST secret/data/b {\"data\":{}}").await;
    }
    until(Duration::from_secs(30), "the key's version", 3, term).await;
    done(&server, "POST secret/data/b {\"data\":{}}").await;
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}
