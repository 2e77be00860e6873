//! The server does what the model does, whatever is asked in whatever order.

use super::model::{Model, Step};
use super::started;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use tests::{Answer, Server};

const PATHS: [&str; 4] = ["a", "dir", "dir/x", "dir/y/z"];

fn data() -> impl Strategy<Value = Map<String, Value>> {
    let leaf =
        prop_oneof![Just(json!(1)), Just(json!("s")), Just(json!([1, null])), Just(json!({})), Just(Value::Null)];
    let value = leaf.prop_recursive(2, 6, 2, |inner| {
        prop::collection::btree_map("[ab]", inner, 0..3).prop_map(|fields| json!(fields))
    });
    prop::collection::btree_map("[abc]", value, 0..3).prop_map(|fields| fields.into_iter().collect())
}

fn custom() -> impl Strategy<Value = Map<String, Value>> {
    let text = prop_oneof![Just(json!("one")), Just(json!("two")), Just(Value::Null)];
    prop::collection::btree_map("[kl]", text, 0..3).prop_map(|fields| fields.into_iter().collect())
}

fn step() -> impl Strategy<Value = Step> {
    let path = || select(&PATHS[..]);
    let cas = || prop::option::weighted(0.3, -1..5_i64);
    let (max, after) = (|| prop::option::of(0..4_i64), || prop::option::of(select(&[-1_i64, 0, 3600][..])));
    let flag = || prop::option::weighted(0.2, any::<bool>());
    prop_oneof![
        1 => (max(), flag(), after()).prop_map(|(max, cas, after)| Step::Configure { max, cas, after }),
        8 => (path(), data(), cas()).prop_map(|(path, data, cas)| Step::Write { path, data, cas }),
        3 => (path(), data(), cas()).prop_map(|(path, data, cas)| Step::Patch { path, data, cas }),
        5 => (path(), -1..6_i64).prop_map(|(path, version)| Step::Read { path, version }),
        2 => path().prop_map(|path| Step::Delete { path }),
        4 => (path(), select(&["delete", "undelete", "destroy"][..]), prop::collection::vec(1..5_i64, 1..3))
            .prop_map(|(path, verb, versions)| Step::Versions { path, verb, versions }),
        2 => (path(), max(), flag(), after(), prop::option::of(custom()))
            .prop_map(|(path, max, cas, after, custom)| Step::Metadata { path, max, cas, after, custom }),
        2 => (path(), prop::option::of(custom()), any::<bool>())
            .prop_map(|(path, custom, no_max)| Step::PatchMetadata { path, custom, no_max }),
        3 => path().prop_map(|path| Step::ReadMetadata { path }),
        1 => path().prop_map(|path| Step::DeleteSecret { path }),
        1 => select(&["", "dir", "dir/y", "a"][..]).prop_map(|folder| Step::List { folder }),
        1 => path().prop_map(|path| Step::Subkeys { path }),
    ]
}

/// Method, path below the mount, and body.
fn request(step: &Step) -> (Method, String, Value) {
    let list = || Method::from_bytes(b"LIST").unwrap();
    let with_cas = |data: &Map<String, Value>, cas: Option<i64>| match cas {
        None => json!({ "data": data }),
        Some(cas) => json!({"data": data, "options": {"cas": cas}}),
    };
    let said = |fields: [(&str, Value); 4]| -> Value {
        Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    };
    match step {
        Step::Configure { max, cas, after } => {
            let fields = [
                ("max_versions", json!(max)),
                ("cas_required", json!(cas)),
                ("delete_version_after", json!(after)),
                ("", Value::Null),
            ];
            (Method::POST, "config".into(), said(fields))
        }
        Step::Write { path, data, cas } => (Method::POST, format!("data/{path}"), with_cas(data, *cas)),
        Step::Patch { path, data, cas } => (Method::PATCH, format!("data/{path}"), with_cas(data, *cas)),
        Step::Read { path, version } => (Method::GET, format!("data/{path}?version={version}"), Value::Null),
        Step::Subkeys { path } => (Method::GET, format!("subkeys/{path}"), Value::Null),
        Step::Delete { path } => (Method::DELETE, format!("data/{path}"), Value::Null),
        Step::Versions { path, verb, versions } => {
            (Method::POST, format!("{verb}/{path}"), json!({ "versions": versions }))
        }
        Step::DeleteSecret { path } => (Method::DELETE, format!("metadata/{path}"), Value::Null),
        Step::Metadata { path, max, cas, after, custom } => {
            let fields = [
                ("max_versions", json!(max)),
                ("cas_required", json!(cas)),
                ("delete_version_after", json!(after)),
                ("custom_metadata", json!(custom)),
            ];
            (Method::POST, format!("metadata/{path}"), said(fields))
        }
        Step::PatchMetadata { path, custom, no_max } => {
            let mut body =
                said([("custom_metadata", json!(custom)), ("", Value::Null), ("", Value::Null), ("", Value::Null)]);
            if *no_max {
                body["max_versions"] = Value::Null;
            }
            (Method::PATCH, format!("metadata/{path}"), body)
        }
        Step::ReadMetadata { path } => (Method::GET, format!("metadata/{path}"), Value::Null),
        Step::List { folder } => (list(), format!("metadata/{folder}"), Value::Null),
    }
}

/// Without the times of creation, and of times of deletion only whether they are over.
fn timeless(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["created_time", "updated_time", "delete_version_after"] {
                fields.shift_remove(name);
            }
            if let Some(Value::String(time)) = fields.get_mut("deletion_time")
                && let Ok(at) = DateTime::parse_from_rfc3339(time)
            {
                let over = at.with_timezone(&Utc) <= DateTime::<Utc>::from(std::time::UNIX_EPOCH) + since_epoch();
                *time = if over { "past".into() } else { "ahead".into() };
            }
            fields.values_mut().for_each(timeless);
        }
        Value::Array(items) => items.iter_mut().for_each(timeless),
        _ => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "what the server calls the past is compared with the wall clock")]
fn since_epoch() -> std::time::Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

fn told(answer: &Answer) -> (u16, Value) {
    let mut data = answer.body["data"].clone();
    timeless(&mut data);
    if answer.status == 400 {
        data = answer.error().into();
    }
    (answer.status.as_u16(), data)
}

/// Numbers of mounts: each sequence has one of its own.
static MOUNTS: AtomicU32 = AtomicU32::new(0);

async fn agree(server: &Server, steps: &[Step]) -> Result<(), TestCaseError> {
    let mount = format!("m{}", MOUNTS.fetch_add(1, Ordering::Relaxed));
    let mounted = server.put(&format!("sys/mounts/{mount}"), json!({"type": "kv-v2"})).await.unwrap();
    prop_assert_eq!(mounted.status, 204);
    let mut model = Model::default();
    for (number, step) in steps.iter().enumerate() {
        let (method, path, body) = request(step);
        let body = if body.is_null() { None } else { Some(body.to_string().into()) };
        let answer = server.ask(method, &format!("{mount}/{path}"), body).await.unwrap();
        prop_assert_eq!(told(&answer), model.step(step), "step {}: {:?}", number, step);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_and_a_pure_model_agree_over_any_sequence_of_requests() {
    let (site, server) = started().await;
    let runtime = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        let config = Config { cases: 40, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
        let steps = prop::collection::vec(step(), 1..40);
        TestRunner::new(config).run(&steps, |steps| runtime.block_on(agree(&server, &steps)))
    });
    outcome.unwrap_or_else(|failed| panic!("{failed}"));
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}
