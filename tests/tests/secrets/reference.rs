//! Requests and answers as the reference gives them.

use super::{ask, done, started};
use serde_json::{Value, json};
use tests::Answer;

/// A request, the status of its answer, and its data, its first error or its first warning. `T` in expected data is a time, a text that ends in
/// `…` the beginning of one; fields that are not named are not looked at.
type Row = (&'static str, u16, Value);

fn fits(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::String(expected), Value::String(found)) if expected == "T" => {
            found.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(found).is_ok()
        }
        (Value::String(expected), Value::String(found)) => match expected.strip_suffix('…') {
            Some(start) => found.starts_with(start),
            None => expected == found,
        },
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().all(|(name, value)| found.get(name).is_some_and(|found| fits(value, found)))
        }
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(expected, found)| fits(expected, found))
        }
        _ => expected == found,
    }
}

fn told(answer: &Answer) -> Value {
    if answer.body["data"].is_object() {
        return answer.body["data"].clone();
    }
    [&answer.body["errors"][0], &answer.body["warnings"][0]]
        .into_iter()
        .find(|text| text.is_string())
        .cloned()
        .unwrap_or_default()
}

async fn walk(rows: &[Row]) {
    let (_site, server) = started().await;
    for (line, status, expected) in rows {
        let answer = ask(&server, line).await;
        assert_eq!(answer.status.as_u16(), *status, "{line}: {answer:?}");
        assert!(fits(expected, &told(&answer)), "{line}: {expected} is not in {answer:?}");
    }
}

fn version(version: i32) -> Value {
    json!({"created_time": "T", "custom_metadata": null, "deletion_time": "", "destroyed": false, "version": version})
}

fn nothing() -> Value {
    Value::Null
}

const MISMATCH: &str = "check-and-set parameter did not match the current version";
const REQUIRED: &str = "check-and-set parameter required for this call";

#[tokio::test]
async fn versions_are_written_and_read() {
    walk(&[
        ("GET secret/config", 200, json!({"cas_required": false, "delete_version_after": "0s", "max_versions": 0})),
        ("POST secret/data/a {\"data\":{\"x\":1}}", 200, version(1)),
        ("PUT secret/data/a {\"data\":{\"x\":2,\"n\":{\"a\":1}}}", 200, version(2)),
        ("POST secret/data/a", 400, json!("no data provided")),
        ("POST secret/data/a {\"a\":1}", 400, json!("no data provided")),
        ("POST secret/data/a {\"data\":\"str\"}", 400, json!("error converting input for field \"data\"…")),
        ("POST secret/data/a {\"data\":[1]}", 400, json!("error converting input for field \"data\"…")),
        ("POST secret/data/b {\"data\":{}}", 200, version(1)),
        ("POST secret/data/b {\"data\":null}", 200, version(2)),
        ("GET secret/data/b", 200, json!({"data": {}, "metadata": version(2)})),
        ("POST secret/data/b/ {\"data\":{}}", 400, json!("cannot write to a path ending in '/'")),
        ("GET secret/data/a", 200, json!({"data": {"x": 2, "n": {"a": 1}}, "metadata": version(2)})),
        ("GET secret/data/a?version=1", 200, json!({"data": {"x": 1}, "metadata": version(1)})),
        ("GET secret/data/a?version=0", 200, json!({"metadata": version(2)})),
        ("GET secret/data/a?version=-1", 200, json!({"metadata": version(2)})),
        ("GET secret/data/a?version=9", 404, nothing()),
        ("GET secret/data/a?version=99999999999", 404, nothing()),
        ("GET secret/data/a?version=abc", 400, json!("Field validation failed…")),
        ("GET secret/data/nothing", 404, nothing()),
        (
            "POST secret/data/k {\"data\":{\"v\":[\"\",0,-7,0.25,false,null,[],{},\"ü✓\",9007199254740991]}}",
            200,
            version(1),
        ),
        (
            "GET secret/data/k",
            200,
            json!({"data": {"v": ["", 0, -7, 0.25, false, null, [], {}, "ü✓", 9_007_199_254_740_991_i64]}}),
        ),
        ("POST secret/data/sp%20ace/%C3%BC {\"data\":{}}", 200, version(1)),
        ("GET secret/data/sp%20ace/%C3%BC", 200, json!({"metadata": version(1)})),
    ])
    .await;
}

#[tokio::test]
async fn paths_that_the_engine_does_not_have_are_said_to_be_invalid() {
    let invalid = || json!("Invalid path for a versioned K/V secrets engine. See the API docs…");
    walk(&[
        ("GET secret/foo", 404, invalid()),
        ("POST secret/foo {}", 404, invalid()),
        ("LIST secret/foo", 404, invalid()),
        ("DELETE secret/foo", 404, invalid()),
        ("GET secret/", 404, invalid()),
        ("POST secret/data {}", 404, json!("Non-listing operations on the root of a K/V v2 mount are not supported.")),
        ("GET secret/metadata/", 404, nothing()),
        ("LIST secret/data/dir", 405, json!("1 error occurred:…")),
    ])
    .await;
}

#[tokio::test]
async fn check_and_set_guards_a_write() {
    walk(&[
        ("POST secret/data/k {\"data\":{},\"options\":{\"cas\":1}}", 400, json!(MISMATCH)),
        ("POST secret/data/k {\"data\":{},\"options\":{\"cas\":0}}", 200, version(1)),
        ("POST secret/data/k {\"data\":{},\"options\":{\"cas\":0}}", 400, json!(MISMATCH)),
        ("POST secret/data/k {\"data\":{},\"options\":{\"cas\":1}}", 200, version(2)),
        ("POST secret/data/k {\"data\":{},\"options\":{\"cas\":\"2\"}}", 200, version(3)),
        ("POST secret/data/k {\"data\":{},\"options\":{\"cas\":-1}}", 400, json!(MISMATCH)),
        (
            "POST secret/data/k {\"data\":{},\"options\":{\"cas\":\"abc\"}}",
            400,
            json!("error parsing check-and-set parameter"),
        ),
        ("POST secret/data/k {\"data\":{},\"options\":{}}", 200, version(4)),
        ("DELETE secret/data/k", 204, nothing()),
        ("POST secret/data/k {\"data\":{},\"options\":{\"cas\":0}}", 400, json!(MISMATCH)),
        ("POST secret/data/k {\"data\":{},\"options\":{\"cas\":4}}", 200, version(5)),
        ("POST secret/metadata/k {\"cas_required\":true}", 204, nothing()),
        ("POST secret/data/k {\"data\":{}}", 400, json!(REQUIRED)),
        ("PATCH secret/data/k {\"data\":{}}", 400, json!(REQUIRED)),
        ("PATCH secret/data/k {\"data\":{},\"options\":{\"cas\":4}}", 400, json!(MISMATCH)),
        ("PATCH secret/data/k {\"data\":{},\"options\":{\"cas\":5}}", 200, version(6)),
        ("POST secret/config {\"cas_required\":true}", 204, nothing()),
        ("POST secret/data/other {\"data\":{}}", 400, json!(REQUIRED)),
        ("POST secret/metadata/other {\"cas_required\":false}", 200, json!("\"cas_required\" set to false…")),
    ])
    .await;
}

#[tokio::test]
async fn a_patch_changes_the_newest_version() {
    walk(&[
        ("POST secret/data/a {\"data\":{\"f\":1,\"n\":{\"a\":1},\"l\":[1]}}", 200, version(1)),
        ("PATCH secret/data/a {\"data\":{\"f\":null,\"n\":{\"k\":1},\"l\":[2]}}", 200, version(2)),
        ("GET secret/data/a", 200, json!({"data": {"n": {"a": 1, "k": 1}, "l": [2]}})),
        ("PATCH secret/data/a", 400, json!("no data provided")),
        ("PATCH secret/data/a {bad", 400, json!("failed to decode JSON input…")),
        ("PATCH secret/data/nothing {\"data\":{}}", 404, nothing()),
        ("DELETE secret/data/a", 204, nothing()),
        ("PATCH secret/data/a {\"data\":{}}", 404, json!({"deletion_time": "T", "destroyed": false, "version": 2})),
        ("PUT secret/destroy/a {\"versions\":[2]}", 204, nothing()),
        ("PATCH secret/data/a {\"data\":{}}", 404, json!({"destroyed": true, "version": 2})),
        ("POST secret/config {\"max_versions\":1}", 204, nothing()),
        ("POST secret/data/one {\"data\":{\"a\":1}}", 200, version(1)),
        ("PATCH secret/data/one {\"data\":{\"b\":2}}", 200, version(2)),
        ("GET secret/data/one", 200, json!({"data": {"a": 1, "b": 2}})),
        ("GET secret/data/one?version=1", 404, nothing()),
    ])
    .await;
}

#[tokio::test]
async fn versions_are_deleted_brought_back_and_destroyed() {
    walk(&[
        ("DELETE secret/data/a", 204, nothing()),
        ("POST secret/undelete/a {\"versions\":[1]}", 204, nothing()),
        ("POST secret/data/a {\"data\":{\"x\":1}}", 200, version(1)),
        ("POST secret/data/a {\"data\":{\"x\":2}}", 200, version(2)),
        ("POST secret/data/a {\"data\":{\"x\":3}}", 200, version(3)),
        ("DELETE secret/data/a", 204, nothing()),
        (
            "GET secret/data/a",
            404,
            json!({"data": null, "metadata": {"deletion_time": "T", "destroyed": false, "version": 3}}),
        ),
        ("GET secret/data/a?version=2", 200, json!({"data": {"x": 2}})),
        ("DELETE secret/data/a", 204, nothing()),
        ("POST secret/undelete/a {\"versions\":[3]}", 204, nothing()),
        ("GET secret/data/a", 200, json!({"data": {"x": 3}, "metadata": version(3)})),
        ("POST secret/delete/a {\"versions\":[1,99]}", 204, nothing()),
        ("POST secret/delete/a {\"versions\":\"1,2\"}", 204, nothing()),
        ("GET secret/data/a?version=2", 404, json!({"data": null, "metadata": {"deletion_time": "T"}})),
        ("POST secret/delete/a {}", 400, json!("No version number provided")),
        ("POST secret/undelete/a {}", 400, json!("No version number provided")),
        ("POST secret/destroy/a {}", 400, json!("no version number provided")),
        ("POST secret/delete/a {\"versions\":\"x\"}", 400, json!("Field validation failed…")),
        ("PUT secret/destroy/a {\"versions\":[2]}", 204, nothing()),
        ("POST secret/undelete/a {\"versions\":[\"1\",\"2\"]}", 204, nothing()),
        ("GET secret/data/a?version=1", 200, json!({"data": {"x": 1}})),
        ("GET secret/data/a?version=2", 404, json!({"data": null, "metadata": {"destroyed": true, "version": 2}})),
        (
            "GET secret/metadata/a",
            200,
            json!({"current_version": 3, "oldest_version": 0, "versions": {
            "1": {"created_time": "T", "deletion_time": "", "destroyed": false},
            "2": {"created_time": "T", "deletion_time": "T", "destroyed": true},
            "3": {"created_time": "T", "deletion_time": "", "destroyed": false}}}),
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_oldest_versions_are_dropped_and_new_ones_may_end_by_themselves() {
    walk(&[
        ("POST secret/config {\"max_versions\":3,\"delete_version_after\":\"30m\"}", 204, nothing()),
        ("GET secret/config", 200, json!({"delete_version_after": "30m0s", "max_versions": 3})),
        ("POST secret/config {}", 204, nothing()),
        ("GET secret/config", 200, json!({"delete_version_after": "30m0s", "max_versions": 3})),
        ("POST secret/data/a {\"data\":{}}", 200, json!({"deletion_time": "T", "version": 1})),
        ("POST secret/config {\"delete_version_after\":\"-1s\",\"max_versions\":2}", 204, nothing()),
        ("GET secret/config", 200, json!({"delete_version_after": "-1s", "max_versions": 2})),
        ("POST secret/data/a {\"data\":{}}", 200, version(2)),
        ("GET secret/metadata/a", 200, json!({"oldest_version": 0})),
        ("POST secret/data/a {\"data\":{}}", 200, version(3)),
        ("GET secret/data/a?version=1", 404, nothing()),
        ("GET secret/metadata/a", 200, json!({"oldest_version": 2, "current_version": 3, "max_versions": 0})),
        ("POST secret/metadata/a {\"max_versions\":1}", 204, nothing()),
        ("GET secret/data/a?version=2", 200, json!({"data": {}})),
        ("POST secret/data/a {\"data\":{}}", 200, version(4)),
        ("GET secret/metadata/a", 200, json!({"oldest_version": 4, "max_versions": 1})),
        (
            "POST secret/config {\"max_versions\":10001}",
            400,
            json!("max_versions must be between 0 and 10000, not 10001"),
        ),
        ("POST secret/config {\"delete_version_after\":\"abc\"}", 400, json!("Field validation failed…")),
    ])
    .await;
}

#[tokio::test]
async fn metadata_are_set_merged_and_deleted() {
    walk(&[
        ("GET secret/metadata/a", 404, nothing()),
        ("PATCH secret/metadata/a {}", 404, nothing()),
        ("POST secret/metadata/a {\"custom_metadata\":{\"k\":\"v\"}}", 204, nothing()),
        ("GET secret/metadata/a", 200, json!({"cas_required": false, "created_time": "T", "current_version": 0,
            "custom_metadata": {"k": "v"}, "delete_version_after": "0s", "max_versions": 0, "oldest_version": 0, "updated_time": "T", "versions": {}})),
        ("GET secret/data/a", 404, nothing()),
        ("POST secret/data/a {\"data\":{}}", 200, json!({"custom_metadata": {"k": "v"}, "version": 1})),
        ("POST secret/metadata/a {\"max_versions\":2,\"custom_metadata\":{\"o\":\"me\",\"n\":1},\"delete_version_after\":\"1h\"}", 204, nothing()),
        ("POST secret/metadata/a {\"cas_required\":true}", 204, nothing()),
        ("GET secret/metadata/a", 200, json!({"cas_required": true, "custom_metadata": {"o": "me", "n": "1"},
            "delete_version_after": "1h0m0s", "max_versions": 2})),
        ("PATCH secret/metadata/a {\"custom_metadata\":{\"o\":null,\"p\":\"q\"}}", 204, nothing()),
        ("GET secret/metadata/a", 200, json!({"custom_metadata": {"n": "1", "p": "q"}, "max_versions": 2})),
        ("PATCH secret/metadata/a {\"custom_metadata\":null,\"max_versions\":null}", 204, nothing()),
        ("GET secret/metadata/a", 200, json!({"custom_metadata": null, "max_versions": 0, "cas_required": true})),
        ("POST secret/metadata/a {\"custom_metadata\":\"x\"}", 400, json!("Field validation failed…")),
        ("POST secret/metadata/a {\"custom_metadata\":{\"k\":{}}}", 400, json!("Field validation failed…")),
        ("POST secret/metadata/a {\"custom_metadata\":{\"\":\"x\"}}", 400,
            json!("custom_metadata validation failed: length of key \"\" is 0 but must be 0 < len(key) <= 128")),
        ("POST secret/metadata/a {\"custom_metadata\":{\"k\":\"\"}}", 400,
            json!("custom_metadata validation failed: length of value for key \"k\" is 0 but must be 0 < len(value) <= 512")),
        ("POST secret/metadata/a {\"max_versions\":\"abc\"}", 400, json!("Field validation failed…")),
        ("DELETE secret/metadata/a", 204, nothing()),
        ("GET secret/metadata/a", 404, nothing()),
        ("DELETE secret/metadata/a", 204, nothing()),
        ("POST secret/data/a {\"data\":{}}", 200, version(1)),
    ])
    .await;
}

#[tokio::test]
async fn names_and_subkeys_are_listed() {
    let (_site, server) = started().await;
    for path in ["a", "dir", "dir/x", "dir/sub/y", "dir/sub/z", "dir-x", "dir0", "ü/ü"] {
        done(&server, &format!("POST secret/data/{path} {{\"data\":{{}}}}")).await;
    }
    done(&server, "DELETE secret/data/a").await;
    let all = json!({"keys": ["a", "dir", "dir-x", "dir/", "dir0", "ü/"]});
    for line in ["LIST secret/metadata", "LIST secret/metadata/", "GET secret/metadata?list=true"] {
        assert_eq!(done(&server, line).await, all, "{line}");
    }
    assert_eq!(done(&server, "LIST secret/metadata/dir").await, json!({"keys": ["sub/", "x"]}));
    assert_eq!(done(&server, "LIST secret/metadata/dir/sub/").await, json!({"keys": ["y", "z"]}));
    for nothing in ["LIST secret/metadata/a", "LIST secret/metadata/nothing", "LIST secret/metadata/di"] {
        assert_eq!(ask(&server, nothing).await.status, 404, "{nothing}");
    }
    done(&server, "POST secret/data/deep {\"data\":{\"a\":{\"b\":{\"c\":1,\"e\":{}},\"d\":[1,2]},\"s\":\"x\"}}").await;
    let deep = json!({"a": {"b": {"c": null, "e": null}, "d": null}, "s": null});
    for (query, expected) in [("", deep), ("?depth=1", json!({"a": null, "s": null}))] {
        let shown = done(&server, &format!("GET secret/subkeys/deep{query}")).await;
        assert_eq!((&shown["subkeys"], &shown["metadata"]["version"]), (&expected, &json!(1)), "{query}");
    }
    assert_eq!(ask(&server, "GET secret/subkeys/deep?version=9").await.status, 404);
    done(&server, "DELETE secret/data/deep").await;
    let gone = ask(&server, "GET secret/subkeys/deep").await;
    assert_eq!((gone.status.as_u16(), &gone.body["data"]["subkeys"]), (404, &Value::Null));
    assert_eq!(gone.body["data"]["metadata"]["version"], 1);
}

#[tokio::test]
async fn what_is_too_long_is_refused_by_the_limit_that_it_passes() {
    let (_site, server) = started().await;
    let value = |length: usize| json!({"data": {"x": "a".repeat(length)}});
    // `{"x":""}` are eight bytes.
    let most = (1 << 20) - 8;
    assert_eq!(server.put("secret/data/big", value(most)).await.unwrap().status, 200);
    let read = server.get("secret/data/big").await.unwrap();
    assert_eq!(read.body["data"]["data"]["x"].as_str().unwrap().len(), most);
    let refused = server.put("secret/data/big", value(most + 1)).await.unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.error().contains("1048577 bytes of JSON; a secret has at most 1048576 (1 MiB)"), "{refused:?}");
    let path = format!("POST secret/data/{} {{\"data\":{{}}}}", "p".repeat(501));
    assert_eq!(ask(&server, &path).await.error(), "the path of a secret has at most 500 characters");
    assert_eq!(ask(&server, "POST secret/data/a%2F.%2Fb {\"data\":{}}").await.status, 400);
}
