//! Calls below `transit/`, for tests of keys on any token.

use crate::{Answer, Server};
use serde_json::Value;

/// A call that must succeed.
pub async fn done(server: &Server, path: &str, body: Value) -> Answer {
    let answer = put(server, path, body).await;
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer
}

/// A call that must be refused with 400 and a text that ends so.
pub async fn refused(server: &Server, path: &str, body: Value, ends: &str) {
    let answer = put(server, path, body.clone()).await;
    assert_eq!(answer.status, 400, "{path} {body}: {answer:?}");
    assert!(answer.error().ends_with(ends), "{path} {body}: {}", answer.error());
}

async fn put(server: &Server, path: &str, body: Value) -> Answer {
    server.put(&format!("transit/{path}"), body).await.expect("the server answers")
}
