//! Version 1 of the engine, and what becomes of it when a mount is given versions.

use super::{ask, done, started};
use serde_json::json;

#[tokio::test]
async fn a_value_is_kept_read_listed_and_deleted() {
    let (_site, server) = started().await;
    for (line, status, error) in [
        ("POST kv/a {\"x\":1,\"y\":{\"z\":[1]}}", 204, ""),
        ("POST kv/a", 400, "missing data fields"),
        ("POST kv/a {}", 400, "missing data fields"),
        ("POST kv/a [1]", 400, "failed to decode JSON input: cannot take an array for an object"),
        ("POST kv {\"a\":1}", 400, "missing path"),
        ("POST kv/dir/ {\"a\":1}", 400, "cannot write to a path ending in '/'"),
        ("PATCH kv/a {\"a\":1}", 405, "1 error occurred:\n\t* unsupported operation\n\n"),
        ("GET kv/nothing", 404, ""),
        ("GET kv", 404, ""),
        ("GET kv/dir", 404, ""),
        ("GET kv/dir?list=abc", 400, ""),
        ("POST kv/dir/b {\"b\":1}", 204, ""),
        ("POST kv/t {\"t\":1}", 204, ""),
        ("PUT kv/sp%20ace {\"t\":1}", 204, ""),
        ("PUT kv/http://x {\"t\":1}", 204, ""),
        ("GET kv/http://x", 200, ""),
        ("DELETE kv/http://x", 204, ""),
        ("DELETE kv/sp%20ace", 204, ""),
        ("DELETE kv/sp%20ace", 204, ""),
        ("GET kv/sp%20ace", 404, ""),
        ("GET kv/A", 404, ""),
        ("LIST kv/a", 404, ""),
    ] {
        let answer = ask(&server, line).await;
        assert_eq!((answer.status.as_u16(), answer.error()), (status, error), "{line}");
    }
    let read = ask(&server, "GET kv/a").await;
    assert_eq!((&read.body["data"], &read.body["lease_id"]), (&json!({"x": 1, "y": {"z": [1]}}), &json!("")));
    for line in ["LIST kv", "LIST kv/", "GET kv?list=true"] {
        assert_eq!(done(&server, line).await, json!({"keys": ["a", "dir/", "t"]}), "{line}");
    }
}

#[tokio::test]
async fn a_value_says_how_long_it_holds_else_the_mount_does() {
    let (_site, server) = started().await;
    let lasts = async |data: &str| {
        done(&server, &format!("POST kv/a {data}")).await;
        ask(&server, "GET kv/a").await.body["lease_duration"].as_u64().unwrap()
    };
    for (data, seconds) in [
        ("{\"v\":1}", 2_764_800),
        ("{\"ttl\":\"90s\"}", 90),
        ("{\"ttl\":120}", 120),
        ("{\"lease\":\"5m\"}", 300),
        ("{\"ttl\":\"abc\"}", 2_764_800),
    ] {
        assert_eq!(lasts(data).await, seconds, "{data}");
    }
    done(&server, "POST sys/mounts/kv/tune {\"default_lease_ttl\":\"45m\"}").await;
    assert_eq!(lasts("{\"v\":1}").await, 2_700);
}

#[tokio::test]
async fn a_mount_that_is_given_versions_keeps_what_it_has_as_version_1() {
    let (site, server) = started().await;
    done(&server, "POST kv/app/a {\"x\":1}").await;
    done(&server, "POST kv/app/a {\"x\":2}").await;
    let upgraded = ask(&server, "POST sys/mounts/kv/tune {\"options\":{\"version\":2}}").await;
    assert_eq!(upgraded.status, 200, "{upgraded:?}");
    assert!(upgraded.body["warnings"][0].is_string(), "{upgraded:?}");
    assert_eq!(done(&server, "GET sys/mounts/kv").await["options"], json!({"version": "2"}));
    let read = done(&server, "GET kv/data/app/a").await;
    assert_eq!((&read["data"], &read["metadata"]["version"]), (&json!({"x": 2}), &json!(1)));
    assert_eq!(done(&server, "POST kv/data/app/a {\"data\":{\"x\":3},\"options\":{\"cas\":1}}").await["version"], 2);
    assert_eq!(done(&server, "GET kv/data/app/a?version=1").await["data"], json!({"x": 2}));
    assert_eq!(ask(&server, "POST sys/mounts/kv/tune {\"options\":{\"version\":\"2\"}}").await.status, 204);
    let downgrade = ask(&server, "POST sys/mounts/kv/tune {\"options\":{\"version\":\"1\"}}").await;
    assert_eq!((downgrade.status.as_u16(), downgrade.error()), (400, "cannot downgrade mount from version 2"));
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn clients_are_told_which_version_a_mount_is_of() {
    let (_site, server) = started().await;
    done(&server, "POST sys/mounts/third {\"type\":\"kv\",\"options\":{\"version\":2}}").await;
    done(&server, "POST sys/mounts/old {\"type\":\"generic\"}").await;
    for (asked, path, version) in [
        ("secret/app/a", "secret/", json!("2")),
        ("secret", "secret/", json!("2")),
        ("third/x", "third/", json!("2")),
        ("kv/app/a", "kv/", json!("1")),
        ("old/a", "old/", json!(null)),
    ] {
        let told = done(&server, &format!("GET sys/internal/ui/mounts/{asked}")).await;
        assert_eq!((&told["path"], &told["options"]["version"]), (&json!(path), &version), "{asked}");
    }
    done(&server, "POST old/a {\"x\":1}").await;
    for refused in
        ["{\"type\":\"kv\",\"options\":{\"version\":3}}", "{\"type\":\"transit\",\"options\":{\"version\":1}}"]
    {
        assert_eq!(ask(&server, &format!("POST sys/mounts/x {refused}")).await.status, 400, "{refused}");
    }
}
