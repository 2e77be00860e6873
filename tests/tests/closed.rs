//! A sealed service, and what nobody can look into.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;
use tests::{Site, built, process, until};

const PATIENCE: Duration = Duration::from_secs(20);
/// What is answered whatever the state.
const ALLOWED: [&str; 6] = ["health", "init", "init-status", "leader", "seal-status", "unseal"];

#[tokio::test]
async fn sealing_ends_workers_and_supervisor_and_only_what_opens_it_is_answered() {
    let site = Site::ready("[seal]\ntype = 'shamir'\nrekey = true\ngenerate_root = true\n").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    // Not made yet it is closed as well.
    for (path, status) in [("sys/seal", 204), ("sys/step-down", 503), ("nosuch/x", 503)] {
        assert_eq!(server.put(path, Value::Null).await.unwrap().status, status, "{path}");
    }
    let made = server.put("sys/init", json!({"secret_shares": 1, "secret_threshold": 1})).await.unwrap();
    server.token = made.body["root_token"].as_str().unwrap().to_owned();
    let key = made.body["keys"][0].as_str().unwrap().to_owned();
    server.put("sys/unseal", json!({"key": key})).await.unwrap();
    server.until_health(200).await.unwrap();
    let processes = process::descendants(server.pid());
    let is_worker = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("hsm-worker"))
    };
    let workers: Vec<u32> = processes.into_iter().filter(is_worker).collect();
    assert!(!workers.is_empty());

    assert_eq!(server.put("sys/seal", Value::Null).await.unwrap().status, 204);
    until(PATIENCE, "a worker is left", false, || async { workers.iter().any(|pid| process::alive(*pid)) }).await;
    let mut asked = 0;
    let while_sealed: Vec<_> =
        api::http::routes().filter(|route| route.while_sealed).map(|route| route.operation_id).collect();
    assert_eq!(BTreeSet::from_iter(while_sealed), BTreeSet::from(ALLOWED));
    for route in api::http::routes().filter(|route| !ALLOWED.contains(&route.operation_id)) {
        let method = reqwest::Method::from_bytes(route.method.as_bytes()).unwrap();
        let path: String = route.path.trim_start_matches("/v1/").replace(['{', '}', '+'], "");
        // Whoever asks to seal it has what he asks for.
        let expected = if route.operation_id == "seal" { 204 } else { 503 };
        let answer = server.ask(method, &path, Some(b"{}".to_vec())).await.unwrap();
        assert_eq!(answer.status, expected, "{}: {answer:?}", route.operation_id);
        if expected == 503 {
            assert_eq!(answer.error(), "Vault is sealed", "{}", route.operation_id);
        }
        asked += 1;
    }
    assert!(asked > 100, "{asked}");
    // Nor does anything say what else a path could be asked.
    for (path, status) in [("sys/mfa/validate", 503), ("sys/wrapping/unwrap", 503), ("sys/unseal", 405)] {
        assert_eq!(server.get(path).await.unwrap().status, status, "{path}");
    }
    // Nothing of before serves anybody until it is open again.
    assert_eq!(server.put("sys/unseal", json!({"key": key})).await.unwrap().body["sealed"], false);
    assert_eq!(server.get("auth/token/lookup-self").await.unwrap().status, 200);
}

/// Whom the files of a server's process below /proc belong to, when that user started it: root, if it cannot be dumped (proc(5)).
async fn owner_of_memory(core_dumps: bool) -> (u32, u32) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (executable, address) = (directory.path().join("clm"), directory.path().join("address"));
    std::fs::copy(built("clm").unwrap(), &executable).unwrap();
    let mut command = Command::new(&executable);
    // Databases and HSM are away: it waits for them.
    let nowhere = "postgresql://nobody@127.0.0.1:1/none";
    command
        .arg("server")
        .env_clear()
        .env("CLM_SERVER__LISTEN", "127.0.0.1:0")
        .env("CLM_SERVER__ADDRESS_FILE", &address)
        .env("CLM_SERVER__CORE_DUMPS", core_dumps.to_string())
        .env("CLM_SECURE_DATABASE__URL", nowhere)
        .env("CLM_CORE_DATABASE__URL", nowhere)
        .env("CLM_HSM__MODULE", "/nosuch/module.so")
        .env("CLM_HSM__TOKEN", "none")
        .stderr(Stdio::null());
    let own = rustix::process::geteuid();
    let user = if own.is_root() { 65_534 } else { own.as_raw() };
    if own.is_root() {
        std::os::unix::fs::chown(directory.path(), Some(user), None).unwrap();
        command.uid(user);
    }
    let mut child = command.spawn().unwrap();
    until(PATIENCE, "it does not start", (true, None), async || (address.exists(), child.try_wait().unwrap())).await;
    let owner = std::fs::metadata(format!("/proc/{}/mem", child.id())).unwrap().uid();
    child.kill().unwrap();
    child.wait().unwrap();
    (owner, user)
}

#[tokio::test]
async fn the_servers_memory_is_closed_to_its_own_user_unless_settings_open_it() {
    assert_eq!(owner_of_memory(false).await.0, 0, "only root may look");
    let (owner, user) = owner_of_memory(true).await;
    assert_eq!(owner, user);
}
