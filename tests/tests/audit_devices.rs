//! Audit devices: what they are told, in which words, and what becomes of requests when one does not listen.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::Method;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};
use tests::{Answer, Server, Site, found, process};

const PATIENCE: Duration = Duration::from_secs(20);

async fn started() -> (Site, Server) {
    let (site, server) = Site::started("[audit]\ndevices = true\n").await.unwrap();
    assert_eq!(server.put("sys/mounts/kv", json!({"type": "kv"})).await.unwrap().status, 204);
    (site, server)
}

async fn enable(server: &Server, name: &str, kind: &str, options: Value) -> Answer {
    server
        .put(&format!("sys/audit/{name}"), json!({"type": kind, "description": "told", "options": options}))
        .await
        .unwrap()
}

async fn enabled(server: &Server, name: &str, kind: &str, options: Value) {
    let answer = enable(server, name, kind, options).await;
    assert_eq!(answer.status, 204, "{answer:?}");
}

/// Entries of a file; the last of them may still be on its way.
fn entries(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn entry(path: &Path, kind: &str, of: &str) -> Value {
    found(PATIENCE, &format!("no {kind} of {of}"), async || {
        let of_it = |entry: &&Value| entry["type"] == kind && entry["request"]["path"] == of;
        let entries = entries(path);
        entries.iter().rev().find(of_it).cloned().ok_or_else(|| format!("{entries:?}"))
    })
    .await
}

async fn hash(server: &Server, device: &str, input: &str) -> String {
    let answer = server.put(&format!("sys/audit-hash/{device}"), json!({"input": input})).await.unwrap();
    assert_eq!(answer.body["hash"], answer.body["data"]["hash"], "{answer:?}");
    answer.text("hash").to_owned()
}

#[tokio::test]
async fn a_file_is_told_each_request_and_its_answer_and_what_is_secret_only_as_hmac() {
    let (site, mut server) = started().await;
    let file = site.path("audit.log");
    let options = json!({"file_path": file, "mode": "0640"});
    enabled(&server, "f", "file", options.clone()).await;
    let again = enable(&server, "f", "file", options.clone()).await;
    assert_eq!((again.status.as_u16(), again.error()), (400, "path already in use"));
    let listed = server.get("sys/audit").await.unwrap();
    let shown = json!({"type": "file", "description": "told", "options": options, "local": false, "path": "f/"});
    assert_eq!((&listed.body["data"]["f/"], &listed.body["f/"]), (&shown, &shown));

    server.put("sys/config/auditing/request-headers/X-Trace", json!({"hmac": false})).await.unwrap();
    server.put("sys/mounts/kv/tune", json!({"audit_non_hmac_request_keys": ["open"]})).await.unwrap();
    let client = reqwest::Client::new();
    let body = json!({"password": "s3cret-value", "open": "for-all", "number": 7}).to_string();
    let written = client
        .put(format!("{}/v1/kv/a", server.address()))
        .header("X-Vault-Token", &server.token)
        .header("X-Trace", "trace-7")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(written.status(), 204);
    assert_eq!(server.get("kv/a").await.unwrap().body["data"]["password"], "s3cret-value");
    let asked = entry(&file, "request", "kv/a").await;
    let first = entries(&file).into_iter().find(|entry| entry["request"]["path"] == "kv/a").unwrap();
    let secret = hash(&server, "f", "s3cret-value").await;
    assert!(secret.starts_with("hmac-sha256:") && secret.len() == 12 + 64, "{secret}");
    assert_eq!(first["request"]["data"], json!({"password": secret, "open": "for-all", "number": 7}));
    assert_eq!(first["request"]["headers"], json!({"x-trace": ["trace-7"]}));
    let token = hash(&server, "f", &server.token).await;
    assert_eq!((&first["auth"]["client_token"], &first["request"]["client_token"]), (&json!(token), &json!(token)));
    for (field, expected) in [
        ("/auth/policies", json!(["root"])),
        ("/auth/policy_results/allowed", json!(true)),
        ("/auth/token_type", json!("service")),
        ("/request/operation", json!("update")),
        ("/request/mount_point", json!("kv/")),
        ("/request/mount_type", json!("kv")),
        ("/request/namespace/id", json!("root")),
        ("/request/remote_address", json!("127.0.0.1")),
    ] {
        assert_eq!(first.pointer(field), Some(&expected), "{field}: {first}");
    }
    let answered = entry(&file, "response", "kv/a").await;
    assert_eq!(answered["response"]["data"]["password"], json!(secret));
    assert_eq!(answered["request"]["id"], asked["request"]["id"]);

    // A refusal says why; a token that is made is told only as HMAC.
    let made = server.put("auth/token/create", json!({"policies": ["default"]})).await.unwrap();
    let text = made.body["auth"]["client_token"].as_str().unwrap();
    let created = entry(&file, "response", "auth/token/create").await;
    assert_eq!(created["response"]["auth"]["client_token"], json!(hash(&server, "f", text).await));
    let refused =
        client.get(format!("{}/v1/kv/b", server.address())).header("X-Vault-Token", text).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let denied = entry(&file, "response", "kv/b").await;
    assert_eq!(denied["auth"]["policy_results"]["allowed"], false);
    assert!(denied["error"].as_str().unwrap().contains("permission denied"), "{denied}");
    let told = std::fs::read_to_string(&file).unwrap();
    assert!(["s3cret-value", text, &server.token].iter().all(|secret| !told.contains(*secret)));

    // Who bears the token is told with it, and which policies it has because of that.
    server.put("sys/auth/userpass", json!({"type": "userpass"})).await.unwrap();
    server.put("auth/userpass/users/ann", json!({"password": "pw"})).await.unwrap();
    let login = server.put("auth/userpass/login/ann", json!({"password": "pw"})).await.unwrap();
    let field = |name: &str| login.body["auth"][name].as_str().unwrap().to_owned();
    let entity = field("entity_id");
    server.put(&format!("identity/entity/id/{entity}"), json!({"policies": ["extra"]})).await.unwrap();
    let (_, root) = server.enter("", &field("client_token"));
    assert_eq!(server.get("auth/token/lookup-self").await.unwrap().status, 200);
    server.enter("", &root);
    let auth = entry(&file, "request", "auth/token/lookup-self").await["auth"].take();
    assert_eq!((&auth["entity_id"], &auth["identity_policies"]), (&json!(entity), &json!(["extra"])));
    assert_eq!((&auth["policies"], &auth["token_policies"]), (&json!(["default", "extra"]), &json!(["default"])));

    // What is done in a namespace says in which.
    server.put("sys/namespaces/team", json!({})).await.unwrap();
    let id = server.get("sys/namespaces/team").await.unwrap().text("id").to_owned();
    server.get("team/sys/policies/acl/default").await.unwrap();
    let inside = entry(&file, "response", "sys/policies/acl/default").await;
    assert_eq!(inside["request"]["namespace"], json!({"id": id, "path": "team/"}));
    let theirs = server.put("clm/organization-tokens/team", json!({})).await.unwrap();
    let (_, root) = server.enter("", theirs.text("token"));
    assert_eq!(server.get("kv/foreign").await.unwrap().status, 403);
    server.enter("", &root);
    let foreign = entry(&file, "response", "kv/foreign").await;
    assert!(foreign["error"].as_str().unwrap().contains("permission denied"), "{foreign}");

    // Who only asks where the service stands is not told of: probes do, at all times.
    assert_eq!(server.get("sys/health").await.unwrap().status, 200);
    assert_eq!(server.get("sys/internal/ui/mounts").await.unwrap().status, 200);
    entry(&file, "response", "sys/internal/ui/mounts").await;
    assert!(entries(&file).iter().all(|entry| entry["request"]["path"] != "sys/health"));

    assert_eq!(server.ask(Method::DELETE, "sys/audit/f", None).await.unwrap().status, 204);
    let last = entries(&file).len();
    server.get("kv/a").await.unwrap();
    assert_eq!(entries(&file).len().max(last), entries(&file).len());
    let unknown = server.put("sys/audit-hash/f", json!({"input": "x"})).await.unwrap();
    assert_eq!((unknown.status.as_u16(), unknown.error()), (400, "unknown audit backend \"f/\""));
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_made_anew_at_a_hangup() {
    let (site, server) = started().await;
    let (file, moved) = (site.path("audit.log"), site.path("audit.log.1"));
    enabled(&server, "f", "file", json!({"file_path": file, "required": "true"})).await;
    server.get("kv/a").await.unwrap();
    std::fs::rename(&file, &moved).unwrap();
    server.get("kv/b").await.unwrap();
    assert!(!file.exists(), "it writes to the file that it has open");
    assert!(process::signal(server.pid(), "HUP"));
    let deadline = Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(Instant::now() < deadline, "it was not opened anew");
        server.get("kv/c").await.unwrap();
    }
    entry(&file, "response", "kv/c").await;
    entry(&moved, "response", "kv/b").await;
}

#[tokio::test]
async fn sockets_and_syslog_are_told_the_same() {
    let (site, server) = started().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let path = site.path("syslog");
    let syslog = UnixDatagram::bind(&path).unwrap();
    syslog.set_read_timeout(Some(PATIENCE)).unwrap();
    let accepted = std::thread::spawn(move || {
        // The first connection only tries whether it can be opened.
        drop(listener.accept().unwrap());
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        BufReader::new(stream).lines().map(Result::unwrap).find(|line| line.contains("\"path\":\"kv/seen\""))
    });
    enabled(&server, "s", "socket", json!({"address": address})).await;
    enabled(&server, "l", "syslog", json!({"address": path, "facility": "LOCAL3", "tag": "keys"})).await;
    server.get("kv/seen").await.unwrap();
    let line = tokio::task::spawn_blocking(|| accepted.join().unwrap()).await.unwrap().unwrap();
    let entry: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&entry["type"], &entry["request"]["operation"]), (&json!("request"), &json!("read")));
    let mut buffer = vec![0; 1 << 16];
    let told = loop {
        let length = syslog.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.contains("kv/seen") {
            break text;
        }
    };
    // LOCAL3 is 19, informational is 6.
    assert!(told.starts_with(&format!("<158>keys[{}]: {{", server.pid())), "{told}");
}

#[tokio::test]
async fn an_optional_device_that_hangs_holds_nobody_up_and_a_required_one_lets_nothing_pass() {
    let (site, mut server) = started().await;
    // A pipe with somebody who opens it and never reads: it takes 64 KiB, then writing waits.
    let pipe = site.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::File::open(pipe).unwrap())
    };
    enabled(&server, "o", "file", json!({"file_path": pipe})).await;
    let _silent = reader.join().unwrap();
    let began = Instant::now();
    let large = "x".repeat(100);
    let body = json!(
        (0..600).map(|number| (format!("k{number}"), large.clone())).collect::<std::collections::BTreeMap<_, _>>()
    );
    for _ in 0..10 {
        assert_eq!(server.put("kv/large", body.clone()).await.unwrap().status, 204);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // So many small ones that its queue is full.
    let dropped = async || {
        let text = server.get("sys/metrics?format=prometheus").await.unwrap().body;
        let line = text
            .as_str()
            .unwrap()
            .lines()
            .find(|line| line.starts_with("clm_audit_device_dropped_total{device=\"o/\"}"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let deadline = Instant::now() + Duration::from_secs(100);
    while dropped().await == 0 {
        assert!(Instant::now() < deadline, "nothing was dropped");
        let many = futures_util::future::join_all((0..200).map(|_| server.get("sys/internal/ui/mounts/kv")));
        assert!(many.await.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)));
    }
    assert_eq!(server.ask(Method::DELETE, "sys/audit/o", None).await.unwrap().status, 204);

    let file = site.path("gone").join("audit.log");
    std::fs::create_dir(site.path("gone")).unwrap();
    enabled(&server, "r", "file", json!({"file_path": file, "required": "true"})).await;
    assert_eq!(server.put("kv/b", json!({"a": 1})).await.unwrap().status, 204);
    std::fs::remove_dir_all(site.path("gone")).unwrap();
    assert!(process::signal(server.pid(), "HUP"));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = server.put("kv/c", json!({"a": 1})).await.unwrap();
        if answer.status == 500 {
            assert!(answer.error().contains("the required audit device r/ does not take entries"), "{answer:?}");
            break;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
    }
    // Probes and whoever looks what is wrong are answered all the same; what asks for a token is not.
    let (_, root) = server.enter("", "");
    for (path, status) in [
        ("sys/health", 200),
        ("sys/seal-status", 200),
        ("sys/leader", 200),
        ("sys/init", 200),
        ("sys/wrapping/lookup", 500),
    ] {
        let answer = server.get(path).await.unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    server.enter("", &root);
    assert_eq!(server.get("sys/ha-status").await.unwrap().status, 500);
    // What stands in the way can be taken away.
    assert_eq!(server.ask(Method::DELETE, "sys/audit/r", None).await.unwrap().status, 204);
    let mut superuser = site.secure.superuser().await.unwrap();
    let written =
        "SELECT count(*) FROM secure_audit_log WHERE event_type = 'secret.write' AND event_data ->> 'path' = 'kv/c'";
    let before: i64 = sqlx::query_scalar(written).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(server.put("kv/c", json!({"a": 1})).await.unwrap().status, 204);
    let after: i64 = sqlx::query_scalar(written).fetch_one(&mut superuser).await.unwrap();
    assert!(after == before + 1, "{before} {after}");
}

#[tokio::test]
async fn what_would_tell_secrets_or_cannot_be_is_refused() {
    let (site, server) = started().await;
    for (kind, options, text) in [
        ("file", json!({"file_path": site.path("f"), "log_raw": "true"}), "log_raw is not supported"),
        ("file", json!({}), "file_path is required"),
        ("file", json!({"file_path": "/nosuch/directory/f"}), "unable to open"),
        ("kafka", json!({}), "unknown backend type"),
        ("socket", json!({"address": "127.0.0.1:1"}), "unable to open"),
    ] {
        let refused = enable(&server, "x", kind, options).await;
        assert!(refused.status == 400 && refused.error().contains(text), "{refused:?}");
    }
    let (site, server) = Site::started("").await.unwrap();
    let refused = enable(&server, "x", "file", json!({"file_path": site.path("f")})).await;
    assert!(refused.status == 400 && refused.error().contains("audit.devices = true"), "{refused:?}");
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_devices_where_that_was_asked_for() {
    let (site, server) = started().await;
    let file = site.path("audit.log");
    enabled(&server, "f", "file", json!({"file_path": file})).await;
    let limit = json!({"path": "kv", "rate": 1, "interval": "1h"});
    assert_eq!(server.put("sys/quotas/rate-limit/few", limit).await.unwrap().status, 204);
    let limited = async |path: &str| {
        let answer = server.put(path, json!({"a": "s3cret-value"})).await.unwrap();
        assert_eq!(answer.status, 429, "{answer:?}");
        answer.error().to_owned()
    };
    assert_eq!(server.get("kv/first").await.unwrap().status, 404);
    limited("kv/untold").await;
    let logged = json!({"enable_rate_limit_audit_logging": true});
    assert_eq!(server.put("sys/quotas/config", logged).await.unwrap().status, 204);
    let said = limited("kv/told").await;
    assert_eq!(said, "request path \"kv/told\": rate limit quota exceeded");
    let (asked, answered) = (entry(&file, "request", "kv/told").await, entry(&file, "response", "kv/told").await);
    assert_eq!((&asked["error"], &answered["error"]), (&json!(said), &json!(said)), "{asked} {answered}");
    assert_eq!(asked["request"]["id"], answered["request"]["id"]);
    assert_eq!(asked["request"]["remote_address"], "127.0.0.1");
    // Its token was not looked at.
    assert_eq!(asked["auth"]["policies"], Value::Null);
    let token = hash(&server, "f", &server.token).await;
    assert_eq!(asked["request"]["client_token"], json!(token));
    assert_eq!(
        server.put("sys/quotas/config", json!({"enable_rate_limit_audit_logging": false})).await.unwrap().status,
        204
    );
    limited("kv/untold-again").await;
    // What comes later is there.
    assert_eq!(server.get("sys/mounts").await.unwrap().status, 200);
    entry(&file, "response", "sys/mounts").await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("kv/untold") && !text.contains("s3cret-value"), "{text}");
}
