//! How often a key encrypts.

use super::{b64, done, refused, restarted, started_with};
use futures_util::future::join_all;
use serde_json::json;

const SPENT: &str = "has made the 50 encryptions that one key may make (SP 800-38D, 8.3): rotate the key";

#[tokio::test]
async fn a_version_encrypts_so_often_and_no_more_whoever_asks_and_whatever_happens_between() {
    let (site, mut server) = started_with("[keys]\nencryptions_per_version = 50\n").await;
    done(&server, "keys/app", json!({})).await;
    let encrypt = || server.put("transit/encrypt/app", json!({"plaintext": b64("m")}));
    let answers = join_all((0..30).map(|_| encrypt())).await;
    let first = answers[0].as_ref().unwrap().text("ciphertext").to_owned();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status == 200), "{answers:?}");
    server = restarted(&site, server).await;
    let encrypt = || server.put("transit/encrypt/app", json!({"plaintext": b64("m")}));
    let answers = join_all((0..30).map(|_| encrypt())).await;
    let made = answers.iter().filter(|answer| answer.as_ref().unwrap().status == 200).count();
    assert_eq!(made, 20, "thirty were made before the restart");
    server = restarted(&site, server).await;
    refused(&server, "encrypt/app", json!({"plaintext": ""}), SPENT).await;
    refused(&server, "rewrap/app", json!({"ciphertext": first}), SPENT).await;
    refused(&server, "datakey/wrapped/app", json!({}), SPENT).await;
    // What is encrypted stays readable, and a new version begins anew; a batch counts as what it holds.
    assert_eq!(done(&server, "decrypt/app", json!({"ciphertext": first})).await.text("plaintext"), b64("m"));
    done(&server, "keys/app/rotate", json!({})).await;
    let batch = |items: usize| json!({"batch_input": vec![json!({"plaintext": ""}); items]});
    done(&server, "encrypt/app", batch(49)).await;
    let answer = server.put("transit/encrypt/app", batch(2)).await.unwrap();
    let results = answer.body["data"]["batch_results"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    assert!(results.iter().all(|result| result["error"].as_str().unwrap().ends_with(SPENT)), "{answer:?}");
    done(&server, "encrypt/app", batch(1)).await;

    // Somebody who sets the count back gains nothing by it.
    let mut superuser = site.secure.superuser().await.unwrap();
    let forged = sqlx::query("UPDATE key_usage SET reserved = 1").execute(&mut superuser).await.unwrap();
    assert_eq!(forged.rows_affected(), 2);
    server = restarted(&site, server).await;
    let answer = server.put("transit/encrypt/app", json!({"plaintext": ""})).await.unwrap();
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.error().contains("of key_usage is not what this service wrote"), "{answer:?}");
}

#[tokio::test]
async fn a_key_that_encrypts_seldom_takes_a_small_block_and_a_busy_one_larger_ones() {
    let (site, server) = started_with("").await;
    done(&server, "keys/app", json!({})).await;
    for _ in 0..3 {
        done(&server, "encrypt/app", json!({"plaintext": ""})).await;
    }
    let mut superuser = site.secure.superuser().await.unwrap();
    let mut taken = async || -> Vec<i64> {
        let statement = "SELECT (event_data ->> 'encryptions')::bigint FROM secure_audit_log WHERE event_type = 'key.reserve' ORDER BY seq";
        sqlx::query_scalar(statement).fetch_all(&mut superuser).await.unwrap()
    };
    assert_eq!(taken().await, [1_024]);
    done(&server, "encrypt/app", json!({"batch_input": vec![json!({"plaintext": ""}); 1_022]})).await;
    assert_eq!(taken().await, [1_024, 4_096]);
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}
