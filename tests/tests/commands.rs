//! The `clm` command on a token and databases of its own, as an operator uses it.
#![expect(clippy::unwrap_used, reason = "tests")]

use audit_chain::Caller;
use keyvault::clock::SystemClock;
use keyvault::key::{Hash, KeyAlgorithm, KeyName, Marshaling, NewKey, Padding, SaltLength, SignRequest};
use keyvault::{Settings, Vault};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::Site;
use uuid::Uuid;

async fn vault(site: &Site) -> Vault {
    let settings = Settings::new(site.secure.url("clm_secure_app").into(), site.hsm().unwrap());
    let vault = Vault::open(settings, Arc::new(SystemClock)).await.unwrap();
    vault.bridge().ready().await.unwrap();
    vault
}

async fn sign_three_times(vault: &Vault) {
    let caller = Caller {
        request_id: Uuid::now_v7(),
        organization_id: Uuid::now_v7(),
        user_id: None,
        entity_id: None,
        accessor: "a".into(),
        display_name: "test".into(),
        ip_address: None,
        user_agent: None,
        path: "transit/sign/k".into(),
        verdict: None,
        arrival: None,
    };
    vault.initialize(&caller).await.unwrap();
    let (mount, name) = (Uuid::now_v7(), KeyName::parse("k").unwrap());
    let new = NewKey::of(KeyAlgorithm::EcdsaP256);
    let (key, _) = vault.create_key(&caller, mount, &name, new).await.unwrap();
    for number in 0..3u8 {
        let request = SignRequest {
            version: 0,
            hash: Some(Hash::SHA2_256),
            prehashed: false,
            padding: Padding::Pss,
            salt_length: SaltLength::Auto,
            marshaling: Marshaling::Asn1,
            inputs: vec![Ok(vec![number])],
        };
        vault.sign(&caller, &key, request).await.unwrap();
    }
}

// Several threads: the vault goes on signing checkpoints while this one waits for the command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sets_up_a_token_holds_the_ceremony_and_audits_what_was_done() {
    let site = Site::new().await.unwrap();
    let so_pin = site.path("so-pin");
    site.succeeds(&["hsm", "init", "--so-pin-file", so_pin.to_str().unwrap()]).unwrap();
    assert!(site.succeeds(&["hsm", "list"]).unwrap().contains("site\t"));
    assert!(site.fails(&["ceremony", "check"]).unwrap().contains("clm ceremony root"));
    let transcript = site.succeeds(&["ceremony", "root"]).unwrap();
    // As it was printed, with all that stands before the key.
    std::fs::write(site.path("audit.pem"), &transcript).unwrap();
    assert!(site.fails(&["ceremony", "root"]).unwrap().contains("a second root key is never made"));
    let key = &transcript[transcript.find("-----BEGIN").unwrap()..];
    assert!(site.succeeds(&["ceremony", "check"]).unwrap().ends_with(key), "the key again");
    site.succeeds(&["migrate"]).unwrap();
    site.succeeds(&["migrate"]).unwrap();

    let vault = vault(&site).await;
    sign_three_times(&vault).await;
    let public_key = site.path("audit.pem");
    let verify = ["audit", "verify", "--public-key", public_key.to_str().unwrap()];
    // A checkpoint is signed every few seconds; only with one is a cut tail found.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !site.succeeds(&verify).unwrap().contains("5 records in 1 chains, 1 signed checkpoints") {
        assert!(Instant::now() < deadline, "{}", site.succeeds(&verify).unwrap());
    }
    drop(vault);

    let mut superuser = site.secure.superuser().await.unwrap();
    let event: String = sqlx::query_scalar("SELECT event_id::text FROM secure_audit_log WHERE seq = 4")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    sqlx::query("UPDATE secure_audit_log SET accessor = 'b' WHERE seq = 4").execute(&mut superuser).await.unwrap();
    let said = site.fails(&verify).unwrap();
    assert!(said.contains(&event) && said.contains("record 4") && said.contains("was edited"), "{said}");
    sqlx::query("UPDATE secure_audit_log SET accessor = 'a' WHERE seq = 4").execute(&mut superuser).await.unwrap();
    site.succeeds(&verify).unwrap();
    sqlx::query("DELETE FROM secure_audit_log WHERE seq = 5").execute(&mut superuser).await.unwrap();
    assert!(site.fails(&verify).unwrap().contains("the tail was cut off"));
    sqlx::query("UPDATE audit_checkpoints SET signature = '\\x00'").execute(&mut superuser).await.unwrap();
    assert!(site.fails(&verify).unwrap().contains("not signed by the audit key"));
}

#[tokio::test]
async fn what_is_wrong_with_settings_is_said_with_what_to_do() {
    let site = Site::new().await.unwrap();
    assert!(site.fails(&["ceremony", "root"]).unwrap().contains("clm hsm init"), "no token yet");
    std::fs::write(site.path("clm.toml"), "[hsm]\ncolour = 'red'\n").unwrap();
    assert!(site.fails(&["hsm", "list"]).unwrap().contains("colour"));
    std::fs::write(site.path("clm.toml"), "").unwrap();
    assert!(site.fails(&["hsm", "list"]).unwrap().contains("set [hsm]"));
    assert!(site.fails(&["migrate"]).unwrap().contains("set [migration]"));
    std::fs::write(
        site.path("clm.toml"),
        "[hsm]\nmodule = '/nonexistent.so'\ntoken = 'x'\npin = { file = '/dev/null' }\n",
    )
    .unwrap();
    let said = site.fails(&["ceremony", "root"]).unwrap();
    assert!(said.contains("/nonexistent.so") || said.contains("/dev/null is empty"), "{said}");
}

#[tokio::test]
async fn killing_what_uses_the_hsm_leaves_no_process_behind() {
    let site = Site::new().await.unwrap();
    let so_pin = site.path("so-pin");
    site.succeeds(&["hsm", "init", "--so-pin-file", so_pin.to_str().unwrap()]).unwrap();
    // A program that holds a bridge, as the server will: a supervisor whose socket is closed by the killing.
    let bridge = hsm_bridge::Bridge::open(site.hsm().unwrap()).await.unwrap();
    bridge.ready().await.unwrap();
    let workers: Vec<u32> =
        bridge.status().workers.iter().filter(|worker| worker.ready).map(|worker| worker.pid).collect();
    assert!(!workers.is_empty());
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", workers[0])).unwrap();
    let supervisor = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().to_owned();
    assert!(
        Command::new("kill").args(["-STOP", &workers[0].to_string()]).status().unwrap().success(),
        "one hangs in a call"
    );
    assert!(Command::new("kill").args(["-KILL", &supervisor]).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(2);
    let alive = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
    };
    while workers.iter().any(alive) {
        assert!(Instant::now() < deadline, "a worker outlives its supervisor by two seconds");
        tokio::task::yield_now().await;
    }
}
