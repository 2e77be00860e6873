//! `clm dev` as a developer uses it.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tests::process::{alive, descendants, signal};
use tests::{Server, built};

fn dev(arguments: &[&str]) -> Command {
    let mut command = Command::new(built("clm").unwrap());
    command.arg("dev").args(arguments);
    command
}

async fn on(state: &Path, more: &[&str]) -> anyhow::Result<Server> {
    let arguments = [&["--state", state.to_str().unwrap()], more].concat();
    Server::dev(dev(&arguments), &state.with_extension("log")).await
}

async fn signs(server: &Server, key: &str) {
    let signed = server.put(&format!("transit/sign/{key}"), json!({"input": "YQ=="})).await.unwrap();
    assert!(signed.status == 200 && signed.text("signature").starts_with("vault:v1:"), "{signed:?}");
}

fn end(mut server: Server) {
    assert!(signal(server.pid(), "TERM"));
    assert_eq!(server.wait().unwrap(), Some(0));
}

fn gone(processes: &[u32]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while processes.iter().any(|pid| alive(*pid)) {
        assert!(Instant::now() < deadline, "a process stays");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_knows_the_keys_and_the_token_of_the_first() {
    let directory = TempDir::new().unwrap();
    let state = directory.path().join("state");
    let first = on(&state, &[]).await.unwrap();
    assert_eq!(first.put("transit/keys/k", json!({"type": "ecdsa-p256"})).await.unwrap().status, 200);
    let token = first.token.clone();
    let taken = on(&state, &[]).await.unwrap_err().to_string();
    assert!(taken.contains("another `clm dev` runs on"), "{taken}");
    end(first);
    let other = on(&state, &["--root-token", "other"]).await.unwrap_err().to_string();
    assert!(other.contains("has another root token"), "{other}");
    let other = on(&state, &["--seal", "shamir"]).await.unwrap_err().to_string();
    assert!(other.contains("has the seal pkcs11"), "{other}");

    let second = on(&state, &[]).await.unwrap();
    assert_eq!(second.token, token);
    signs(&second, "k").await;
    let mode = state.join("root-token").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may read the root token");
    let settings = state.join("clm.toml");
    let verify = ["--config", settings.to_str().unwrap(), "audit", "verify"];
    assert!(Command::new(built("clm").unwrap()).args(verify).status().unwrap().success());
    assert_eq!(second.put("sys/mounts/transit", json!({"type": "transit"})).await.unwrap().status, 400, "it is there");
    end(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_ephemeral_ones_run_at_once_and_leave_nothing() {
    let directory = TempDir::new().unwrap();
    let start = |number: usize| {
        let (log, token) = (directory.path().join(format!("{number}.log")), format!("root-{number}"));
        async move { Server::dev(dev(&["--ephemeral", "--root-token", &token]), &log).await.unwrap() }
    };
    let servers = futures_util::future::join_all((0..3).map(start)).await;
    for (number, server) in servers.into_iter().enumerate() {
        assert_eq!(server.token, format!("root-{number}"));
        assert_eq!(server.put("transit/keys/k", json!({"type": "none"})).await.unwrap().status, 400);
        assert_eq!(server.put("transit/keys/k", json!({"type": "ed25519"})).await.unwrap().status, 200);
        signs(&server, "k").await;
        assert_eq!(server.put("secret/data/a", json!({"data": {"x": 1}})).await.unwrap().body["data"]["version"], 1);
        let processes = descendants(server.pid());
        let kept = state_of(server.pid());
        assert!(kept.is_dir() && processes.len() > 3, "{processes:?}");
        end(server);
        gone(&processes);
        assert!(!kept.exists() && !kept.with_added_extension("lock").exists());
    }
}

/// Where an ephemeral one keeps its files, from the lock it holds open.
fn state_of(pid: u32) -> std::path::PathBuf {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let lock = open
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .find(|path| path.to_string_lossy().starts_with("/var/tmp/clm-dev.") && path.file_name().unwrap() == "lock");
    lock.unwrap().parent().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigkill_nothing_runs_on_and_the_next_start_sweeps() {
    let directory = TempDir::new().unwrap();
    let log = directory.path().join("log");
    let mut server = Server::dev(dev(&["--ephemeral"]), &log).await.unwrap();
    let (processes, kept) = (descendants(server.pid()), state_of(server.pid()));
    assert!(signal(server.pid(), "KILL"));
    server.wait().unwrap();
    gone(&processes);
    assert!(kept.is_dir());
    end(Server::dev(dev(&["--ephemeral"]), &log).await.unwrap());
    assert!(!kept.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_state_survives_sigkill() {
    let directory = TempDir::new().unwrap();
    let state = directory.path().join("state");
    let mut server = on(&state, &[]).await.unwrap();
    assert_eq!(server.put("transit/keys/k", json!({"type": "rsa-2048"})).await.unwrap().status, 200);
    assert!(signal(server.pid(), "KILL"));
    server.wait().unwrap();
    let again = on(&state, &[]).await.unwrap();
    signs(&again, "k").await;
    end(again);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_shamir_seal_it_unseals_itself_and_with_no_init_it_waits() {
    let directory = TempDir::new().unwrap();
    let (sealed, waiting) = (directory.path().join("sealed"), directory.path().join("waiting"));
    let first = on(&sealed, &["--seal", "shamir"]).await.unwrap();
    assert_eq!(first.get("sys/seal-status").await.unwrap().body["type"], "shamir");
    assert_eq!(first.put("transit/keys/k", json!({"type": "ecdsa-p384"})).await.unwrap().status, 200);
    end(first);
    let second = on(&sealed, &[]).await.unwrap();
    signs(&second, "k").await;
    end(second);

    let mut server = on(&waiting, &["--no-init"]).await.unwrap();
    assert_eq!((server.token.as_str(), server.get("sys/health").await.unwrap().status.as_u16()), ("", 501));
    server.initialize().await.unwrap();
    end(server);
    let by_hand = on(&waiting, &[]).await.unwrap_err().to_string();
    assert!(by_hand.contains("was initialised by hand"), "{by_hand}");
    let again = on(&waiting, &["--no-init"]).await.unwrap();
    assert_eq!(again.get("sys/health").await.unwrap().status, 200);
    end(again);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_and_one_below_a_closed_home_are_served_too() {
    let directory = TempDir::new_in("/var/tmp").unwrap();
    let home =
        directory.path().join("home-of-somebody-whose-name-is-longer-than-any-socket-s-path-may-be-in-all-of-unix");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
    let log = directory.path().join("log");
    // As whoever runs the tests: for root, PostgreSQL's user may not enter that home.
    let mut command = dev(&[]);
    command.env("HOME", &home).env_remove("XDG_STATE_HOME");
    let server = Server::dev(command, &log).await.unwrap();
    assert_eq!(server.put("transit/keys/k", json!({"type": "ecdsa-p256"})).await.unwrap().status, 200);
    end(server);
    let state = home.join(".local/state/clm-dev");
    assert!(state.join("root-token").is_file());
    // What lies elsewhere for this state; `clm dev` itself sweeps it once the state is gone.
    for (kept, base) in [("cluster", "/var/lib/clm-dev"), ("socket", "/tmp")] {
        let Ok(name) = std::fs::read_to_string(state.join(kept)) else { continue };
        std::fs::remove_dir_all(Path::new(base).join(name.trim())).unwrap();
        drop(std::fs::remove_file(Path::new(base).join(name.trim()).with_added_extension("state")));
    }

    if !rustix::process::geteuid().is_root() {
        return;
    }
    // The clone may be closed to others: they get a program of their own.
    let program = directory.path().join("clm");
    std::fs::copy(built("clm").unwrap(), &program).unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let nobody = 65534;
    let own = directory.path().join("nobody");
    std::fs::create_dir(&own).unwrap();
    std::os::unix::fs::chown(&own, Some(nobody), Some(nobody)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).arg("dev").current_dir(&own);
    command.env("HOME", &own).env_remove("XDG_STATE_HOME");
    let server = Server::dev(command, &log).await.unwrap();
    assert_eq!(server.put("transit/keys/k", json!({"type": "ecdsa-p256"})).await.unwrap().status, 200);
    signs(&server, "k").await;
    end(server);
}
