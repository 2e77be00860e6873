//! IVs of AES-GCM: none twice under one key (SP 800-38D, 8), whichever server is asked. A million of one server are looked at in hsm-bridge's tests.

use super::{done, restarted, started};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;

const CALLS: usize = 200;
const ITEMS: usize = 1_000;
/// Calls at a time.
const AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_ivs_that_two_servers_use_at_once_none_is_there_twice_also_after_a_restart() {
    let (site, server) = started().await;
    done(&server, "keys/app", json!({})).await;
    let mut other = site.serve_for(&server.token).await.unwrap();
    let body = json!({"batch_input": vec![json!({"plaintext": ""}); ITEMS]}).to_string().into_bytes();
    let mut ivs: Vec<[u8; 12]> = Vec::with_capacity(CALLS * ITEMS);
    // The second half by workers that have begun anew, beside those that have not.
    for half in 0..2 {
        if half == 1 {
            other = restarted(&site, other).await;
        }
        let servers = [&server, &other].into_iter().cycle().take(CALLS / 2);
        let asked = servers.map(|server| server.ask(Method::PUT, "transit/encrypt/app", Some(body.clone())));
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            let answer = answer.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.error());
            for result in answer.body["data"]["batch_results"].as_array().unwrap() {
                let text = result["ciphertext"].as_str().unwrap().strip_prefix("vault:v1:").unwrap();
                let sealed = BASE64_STANDARD.decode(text).unwrap();
                assert_eq!(sealed.len(), 12 + 16, "IV and tag");
                ivs.push(*sealed.first_chunk().unwrap());
            }
        }
    }
    let used = ivs.len();
    ivs.sort_unstable();
    ivs.dedup();
    assert_eq!((used, ivs.len()), (CALLS * ITEMS, CALLS * ITEMS), "IVs that were used, and different ones among them");
    // They are counted, in blocks that both took.
    let mut superuser = site.secure.superuser().await.unwrap();
    let counted: i64 =
        sqlx::query_scalar("SELECT sum(reserved)::bigint FROM key_usage").fetch_one(&mut superuser).await.unwrap();
    assert!(counted >= 200_000, "{counted} encryptions counted");
}
