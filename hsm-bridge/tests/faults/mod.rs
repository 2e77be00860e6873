//! What a misbehaving module does to the bridge: SoftHSM2 behind a module that fails on request.

use super::*;
use std::path::PathBuf;

/// A fixture whose workers load the faulty module; key material is made through it too.
struct Faulty {
    fixture: Fixture,
    control: PathBuf,
    log: PathBuf,
}

impl Faulty {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        let (control, log) = (fixture.directory.path().join("faults"), fixture.directory.path().join("calls"));
        let real = std::mem::replace(&mut fixture.settings.module, softhsm_fault::module_path());
        fixture.settings.workers = 1;
        fixture.settings.start_ms = 4_000;
        for (name, path) in [("CLM_FAULT_MODULE", &real), ("CLM_FAULT_CONTROL", &control), ("CLM_FAULT_LOG", &log)] {
            fixture.settings.environment.insert(name.into(), path.display().to_string());
        }
        Self { fixture, control, log }
    }

    fn rules(&self, rules: &str) {
        std::fs::write(&self.control, rules).unwrap();
    }

    /// The worker that called that function last.
    fn last_caller(&self, function: &str) -> u32 {
        let calls = softhsm_fault::log::read(&self.log, 0);
        calls.iter().rev().find(|call| call.function == function).unwrap().pid
    }

    /// Calls of that function by all workers so far.
    fn calls(&self, function: &str) -> usize {
        softhsm_fault::log::read(&self.log, 0).iter().filter(|call| call.function == function).count()
    }
}

async fn worker(bridge: &Bridge, slow: bool) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(worker) = bridge.status().workers.iter().find(|worker| worker.ready && worker.slow == slow) {
            return worker.pid;
        }
        assert!(Instant::now() < deadline, "no worker within 20 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn sign_once(bridge: &Bridge, key: &KeyRef) -> hsm_bridge::Result<Vec<Vec<u8>>> {
    bridge.sign(key, SignMechanism::Ecdsa, vec![vec![1; 32]]).await
}

#[tokio::test]
async fn a_device_error_that_passes_costs_the_caller_nothing() {
    let faulty = Faulty::new();
    let bridge = faulty.fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    faulty.rules("C_Sign error CKR_DEVICE_ERROR times 1\n");
    let signature = sign_once(&bridge, &key).await.unwrap();
    assert!(verify_p256(&spki, &[1; 32], &signature[0]));
}

#[tokio::test]
async fn a_device_error_that_stays_is_the_hsms_and_ends_with_its_cause() {
    let faulty = Faulty::new();
    let bridge = faulty.fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    faulty.rules("C_Sign error CKR_DEVICE_ERROR\n");
    let error = sign_once(&bridge, &key).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    faulty.rules("");
    let signature = sign_once(&bridge, &key).await.unwrap();
    assert!(verify_p256(&spki, &[1; 32], &signature[0]));
}

#[tokio::test]
async fn a_crash_inside_the_library_is_answered_by_the_next_worker() {
    let mut faulty = Faulty::new();
    faulty.fixture.settings.workers = 2;
    let bridge = faulty.fixture.bridge().await;
    until(|| bridge.status().workers.iter().all(|worker| worker.ready)).await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    let signature = sign_once(&bridge, &key).await.unwrap();
    assert!(verify_p256(&spki, &[1; 32], &signature[0]));
    let signer = faulty.last_caller("C_Sign");
    faulty.rules(&format!("C_Sign die pid {signer}\n"));
    let signature = sign_once(&bridge, &key).await.unwrap();
    assert!(verify_p256(&spki, &[1; 32], &signature[0]));
    assert_ne!(faulty.last_caller("C_Sign"), signer);
    until(|| !alive(signer)).await;
}

#[tokio::test]
async fn a_hanging_call_is_ended_though_its_caller_gave_up_before_the_watchdog() {
    let mut faulty = Faulty::new();
    faulty.fixture.settings.deadline_ms = 400;
    faulty.fixture.settings.watchdog_ms = 1_500;
    let bridge = faulty.fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    sign_once(&bridge, &key).await.unwrap();
    let hung = worker(&bridge, false).await;
    faulty.rules("C_Sign hang\n");
    let before = faulty.calls("C_Sign");
    assert!(matches!(sign_once(&bridge, &key).await, Err(Error::Busy)));
    assert!(faulty.calls("C_Sign") > before, "the call must have reached the module");
    faulty.rules("");
    until(|| !alive(hung)).await;
    until(|| bridge.status().workers.iter().any(|worker| worker.ready && !worker.slow && worker.pid != hung)).await;
    let signature = sign_once(&bridge, &key).await.unwrap();
    assert!(verify_p256(&spki, &[1; 32], &signature[0]));
}

#[tokio::test]
async fn a_login_that_hangs_is_ended_and_another_worker_starts() {
    let faulty = Faulty::new();
    let bridge = faulty.fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    let (signer, _) = (worker(&bridge, false).await, worker(&bridge, true).await);
    let before = faulty.calls("C_Login");
    faulty.rules("C_Login hang\n");
    kill(signer, "KILL");
    until(|| faulty.calls("C_Login") > before).await;
    faulty.rules("");
    until(|| bridge.status().workers.iter().any(|worker| worker.ready && !worker.slow && worker.pid != signer)).await;
    let signature = sign_once(&bridge, &key).await.unwrap();
    assert!(verify_p256(&spki, &[1; 32], &signature[0]));
}

#[tokio::test]
async fn a_hanging_generation_does_not_hold_up_signing() {
    let mut faulty = Faulty::new();
    faulty.fixture.settings.deadline_ms = 400;
    let bridge = faulty.fixture.bridge().await;
    worker(&bridge, true).await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    sign_once(&bridge, &key).await.unwrap();
    faulty.rules("C_GenerateKeyPair hang\n");
    let generation = bridge.generate_wrapped_key(KeyType::Rsa2048, Purpose::Signing, &root);
    let signing = async {
        until(|| faulty.calls("C_GenerateKeyPair") > 0).await;
        sign_once(&bridge, &key).await.unwrap()
    };
    let (generated, signature) = tokio::join!(generation, signing);
    assert!(matches!(generated, Err(Error::Busy)), "{generated:?}");
    assert!(verify_p256(&spki, &[1; 32], &signature[0]));
}

#[tokio::test]
async fn a_wrong_pin_reaches_the_token_once_whatever_the_number_of_workers() {
    let mut faulty = Faulty::new();
    faulty.fixture.settings.workers = 3;
    let wrong = faulty.fixture.directory.path().join("wrong");
    std::fs::write(&wrong, "654321").unwrap();
    faulty.fixture.settings.pin = PinSource::File(wrong);
    let bridge = Bridge::open(faulty.fixture.settings.clone()).await.unwrap();
    let error = bridge.ready().await.unwrap_err();
    assert!(matches!(error, Error::Configuration(_)), "{error}");
    // A second try would come with the back-off's first pause, 50 ms: asked again for longer than that.
    let until = Instant::now() + Duration::from_millis(600);
    while Instant::now() < until {
        assert_eq!(faulty.calls("C_Login"), 1);
        assert!(matches!(bridge.random(1).await, Err(Error::Configuration(_))));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_module_that_overstates_the_length_of_a_wrapped_key_gives_a_blob_of_the_right_length() {
    let faulty = Faulty::new();
    faulty.rules("C_WrapKey(length) overestimate 16\n");
    let bridge = faulty.fixture.bridge().await;
    let root = root(&bridge).await;
    let generated = bridge.generate_wrapped_key(KeyType::Aes256, Purpose::Encryption, &root).await.unwrap();
    // AES-KWP of 32 bytes (RFC 5649, 3).
    assert_eq!(generated.blob.len(), 40);
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    let signature = sign_once(&bridge, &key).await.unwrap();
    assert!(verify_p256(&spki, &[1; 32], &signature[0]));
}

#[tokio::test]
async fn several_threads_answer_every_request() {
    let mut fixture = Fixture::new();
    fixture.settings.workers = 1;
    fixture.settings.threads_per_worker = 4;
    fixture.settings.deadline_ms = 3_000;
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    let mut keys = Vec::new();
    for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::EcP521] {
        keys.push(wrapped(&bridge, &root, key_type, Purpose::Signing).await.0);
    }
    for round in 0..60 {
        // Short work beside long work, and then silence: nothing comes after them that would push a kept-back reply out.
        let calls = (0..7).map(|call| sign_once(&bridge, &keys[(round + call) % 3]));
        for outcome in futures_util::future::join_all(calls).await {
            outcome.unwrap();
        }
    }
}

#[tokio::test]
async fn a_key_destroyed_elsewhere_does_not_make_a_callers_mistake_look_like_a_lost_token() {
    let mut fixture = Fixture::new();
    fixture.settings.workers = 1;
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, _) = wrapped(&bridge, &root, KeyType::Aes256, Purpose::Encryption).await;
    let damaged = Ciphertext { iv: [0; 12], ciphertext_and_tag: vec![0; 32] };
    for _ in 0..6 {
        let id = Uuid::new_v4();
        let (mac, _) = bridge.generate_token_key(id, "mac", KeyType::Hmac(32), Purpose::Mac).await.unwrap();
        bridge.hmac(&KeyRef::Token(mac), HashAlgorithm::Sha2_256, vec![b"x".to_vec()]).await.unwrap();
        bridge.destroy_token_key(id).await.unwrap();
    }
    let before = worker(&bridge, false).await;
    for _ in 0..20 {
        let refused = bridge.aes_gcm_decrypt(&key, damaged.clone(), Vec::new()).await;
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    }
    assert_eq!(worker(&bridge, false).await, before, "the worker must live on");
}
