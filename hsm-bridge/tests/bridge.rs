//! The bridge on real tokens: SoftHSM2, worker processes, signatures checked by software we did not write.
#![expect(clippy::unwrap_used, reason = "tests")]

mod faults;
mod processes;

use futures_util::StreamExt;
use hsm_bridge::{
    Bridge, Ciphertext, Context, ContextDerivation, ContextKdf, Error, HashAlgorithm, KeyRef, KeyType, PinSource,
    Plaintext, Purpose, Sealed, Settings, SignMechanism, TokenKey, WrappedKey, setup,
};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use processes::{alive, kill, parent_of};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// A token of the test's own, and a bridge to it.
struct Fixture {
    directory: TempDir,
    settings: Settings,
}

impl Fixture {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let tokens = softhsm::TokenDirectory::at(directory.path()).unwrap();
        let pin_file = directory.path().join("pin");
        std::fs::write(&pin_file, "123456\n").unwrap();
        let settings = Settings {
            module: softhsm::module().unwrap(),
            token: "test".into(),
            pin: PinSource::File(pin_file),
            environment: tokens.environment(),
            executable: Some(env!("CARGO_BIN_EXE_hsm-bridge-process").into()),
            ..Settings::default()
        };
        setup::initialize_token(&settings, "test", &SecretString::from("so-pin-1"), &SecretString::from("123456"))
            .unwrap();
        Self { directory, settings }
    }

    async fn bridge(&self) -> Bridge {
        let bridge = Bridge::open(self.settings.clone()).await.unwrap();
        bridge.ready().await.unwrap();
        bridge
    }
}

async fn root(bridge: &Bridge) -> KeyRef {
    let (key, _) =
        bridge.generate_token_key(Uuid::new_v4(), "clm-root", KeyType::Aes256, Purpose::Wrapping).await.unwrap();
    KeyRef::Token(key)
}

async fn wrapped(bridge: &Bridge, root: &KeyRef, key_type: KeyType, purpose: Purpose) -> (KeyRef, Vec<u8>) {
    let generated = bridge.generate_wrapped_key(key_type, purpose, root).await.unwrap();
    let spki = generated.public.map(|public| public.spki_der).unwrap_or_default();
    let key = WrappedKey { id: Uuid::new_v4(), key_type, purpose, blob: generated.blob, wrapped_by: root.clone() };
    (KeyRef::Wrapped(Arc::new(key)), spki)
}

fn verify_p256(spki: &[u8], digest: &[u8], signature: &[u8]) -> bool {
    use p256::pkcs8::DecodePublicKey;
    let key = p256::ecdsa::VerifyingKey::from_public_key_der(spki).unwrap();
    let signature = p256::ecdsa::Signature::from_slice(signature).unwrap();
    key.verify_prehash(digest, &signature).is_ok()
}

#[tokio::test]
async fn a_wrapped_p256_key_signs_and_p256_verifies_it() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    let digest = vec![7; 32];
    let signatures = bridge.sign(&key, SignMechanism::Ecdsa, vec![digest.clone(); 60]).await.unwrap();
    assert_eq!(signatures.len(), 60);
    for signature in &signatures {
        assert!(verify_p256(&spki, &digest, signature));
        assert!(!verify_p256(&spki, &[8; 32], signature));
    }
}

#[tokio::test]
async fn rsa_signs_by_both_paddings_and_the_rsa_crate_verifies() {
    use rsa::pkcs8::DecodePublicKey;
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::Rsa2048, Purpose::SigningAndEncryption).await;
    let public = rsa::RsaPublicKey::from_public_key_der(&spki).unwrap();
    let digest = vec![9; 32];
    let pkcs1 =
        bridge.sign(&key, SignMechanism::RsaPkcs1(Some(HashAlgorithm::Sha2_256)), vec![digest.clone()]).await.unwrap();
    public.verify(rsa::Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), &digest, &pkcs1[0]).unwrap();
    let mechanism = SignMechanism::RsaPss { hash: HashAlgorithm::Sha2_256, salt_length: 32 };
    let pss = bridge.sign(&key, mechanism, vec![digest.clone()]).await.unwrap();
    public.verify(rsa::Pss::new_with_salt::<rsa::sha2::Sha256>(32), &digest, &pss[0]).unwrap();
    let short = bridge.sign(&key, SignMechanism::RsaPkcs1(Some(HashAlgorithm::Sha2_256)), vec![vec![1; 31]]).await;
    assert!(matches!(short, Err(Error::Refused { .. })), "{short:?}");
}

#[tokio::test]
async fn aes_gcm_gives_back_what_it_took_and_refuses_what_was_changed() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, _) = wrapped(&bridge, &root, KeyType::Aes256, Purpose::Encryption).await;
    let plaintext = |data: &[u8]| Plaintext { data: data.to_vec().into(), aad: b"aad".to_vec(), context: None };
    let made = bridge.aead_encrypt_all(&key, vec![plaintext(b"attack at dawn"), plaintext(b"")]).await.unwrap();
    let sealed = |ciphertext: &Ciphertext, aad: &[u8]| Sealed {
        ciphertext: ciphertext.clone(),
        aad: aad.to_vec(),
        context: None,
    };
    let mut damaged = made[0].clone();
    damaged.ciphertext_and_tag[0] ^= 1;
    let items =
        vec![sealed(&made[0], b"aad"), sealed(&made[0], b"other"), sealed(&damaged, b"aad"), sealed(&made[1], b"aad")];
    let opened = bridge.aead_decrypt_all(&key, items).await.unwrap();
    assert_eq!(opened, [Some(b"attack at dawn".to_vec()), None, None, Some(Vec::new())]);
}

#[tokio::test]
async fn of_a_million_nonces_made_in_parallel_none_is_the_same() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, _) = wrapped(&bridge, &root, KeyType::Aes256, Purpose::Encryption).await;
    let items = || vec![Plaintext { data: Vec::new().into(), aad: Vec::new(), context: None }; 5_000];
    let batches = (0..200).map(|_| bridge.aead_encrypt_all(&key, items()));
    let mut batches = futures_util::stream::iter(batches).buffer_unordered(20);
    let mut nonces = std::collections::HashSet::new();
    while let Some(batch) = batches.next().await {
        nonces.extend(batch.unwrap().into_iter().map(|ciphertext| ciphertext.iv));
    }
    assert_eq!(nonces.len(), 1_000_000);
}

#[tokio::test]
async fn keys_of_contexts_are_derived_in_the_token() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    assert_eq!(bridge.capabilities().await.unwrap().derivation, [ContextKdf::AesEcbEncryptData]);
    let root = root(&bridge).await;
    let (key, _) = wrapped(&bridge, &root, KeyType::Aes256, Purpose::Derivation).await;
    let context = |cipher: u8, nonce: Option<u8>| {
        let (cipher, nonce) = ([cipher; 32], nonce.map(|byte| [byte; 32]));
        Some(Context { key_type: KeyType::Aes256, derivation: ContextDerivation::AesEcbEncryptData { cipher, nonce } })
    };
    let plaintext = |context| Plaintext { data: b"m".to_vec().into(), aad: Vec::new(), context };
    let all = vec![
        plaintext(context(1, Some(9))),
        plaintext(context(1, Some(9))),
        plaintext(context(2, Some(9))),
        plaintext(context(1, None)),
    ];
    let made = bridge.aead_encrypt_all(&key, all).await.unwrap();
    assert_eq!(made[0], made[1], "convergent");
    assert_eq!(made[0].iv, made[2].iv);
    assert_ne!(made[0].ciphertext_and_tag, made[2].ciphertext_and_tag);
    assert_ne!(made[0].iv, made[3].iv);
    let sealed = |cipher: u8| Sealed { ciphertext: made[3].clone(), aad: Vec::new(), context: context(cipher, None) };
    let opened = bridge.aead_decrypt_all(&key, vec![sealed(1), sealed(2)]).await.unwrap();
    assert_eq!(opened, [Some(b"m".to_vec()), None]);
    // Nothing else may be done with such a key.
    let own = Plaintext { data: b"m".to_vec().into(), aad: Vec::new(), context: None };
    assert!(matches!(bridge.aead_encrypt_all(&key, vec![own]).await, Err(Error::Refused { .. })));
}

#[tokio::test]
async fn hmac_is_that_of_the_token_key_in_every_worker() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let (key, _) = bridge.generate_token_key(Uuid::new_v4(), "mac", KeyType::Hmac(32), Purpose::Mac).await.unwrap();
    let macs = bridge.hmac(&KeyRef::Token(key), HashAlgorithm::Sha2_256, vec![b"row".to_vec(); 200]).await.unwrap();
    assert!(macs.iter().all(|mac| mac == &macs[0] && mac.len() == 32));
    let other = bridge.hmac(&KeyRef::Token(key), HashAlgorithm::Sha2_256, vec![b"raw".to_vec()]).await.unwrap();
    assert_ne!(other[0], macs[0]);
}

#[tokio::test]
async fn ed25519_stays_on_a_token_that_cannot_wrap_it() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let capabilities = bridge.capabilities().await.unwrap();
    assert!(capabilities.ed25519);
    let root = root(&bridge).await;
    if !capabilities.wraps_ed25519 {
        let refused = bridge.generate_wrapped_key(KeyType::Ed25519, Purpose::Signing, &root).await;
        assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    }
    let (key, public) =
        bridge.generate_token_key(Uuid::new_v4(), "ed", KeyType::Ed25519, Purpose::Signing).await.unwrap();
    assert_eq!(public.unwrap().spki_der.len(), 44);
    let signature = bridge.sign(&KeyRef::Token(key), SignMechanism::Ed25519, vec![b"message".to_vec()]).await.unwrap();
    assert_eq!(signature[0].len(), 64);
}

#[tokio::test]
async fn the_root_key_cannot_leave_and_wrapped_generation_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    wrapped(&bridge, &root, KeyType::EcP384, Purpose::Signing).await;
    let objects = bridge.find_objects("").await.unwrap();
    assert_eq!(objects.len(), 1, "{objects:?}");
    let object = &objects[0];
    assert!(
        object.sensitive
            && object.always_sensitive
            && !object.extractable
            && object.never_extractable
            && object.private
    );
    assert!(object.wrap && object.unwrap && !object.encrypt && !object.decrypt && !object.sign);
}

#[tokio::test]
async fn a_rewrapped_key_is_the_same_key() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let (old, new) = (root(&bridge).await, root(&bridge).await);
    let (key, spki) = wrapped(&bridge, &old, KeyType::EcP256, Purpose::Signing).await;
    let KeyRef::Wrapped(key) = key else { panic!("wrapped") };
    let blob = bridge.rewrap(&key, &new).await.unwrap();
    assert_ne!(blob, key.blob);
    let again = WrappedKey { id: Uuid::new_v4(), blob, wrapped_by: new, ..(*key).clone() };
    let signature =
        bridge.sign(&KeyRef::Wrapped(Arc::new(again)), SignMechanism::Ecdsa, vec![vec![3; 32]]).await.unwrap();
    assert!(verify_p256(&spki, &[3; 32], &signature[0]));
}

#[tokio::test]
async fn a_cache_of_one_key_serves_many() {
    let mut fixture = Fixture::new();
    fixture.settings.cached_keys_per_worker = 2;
    fixture.settings.workers = 1;
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    let mut keys = Vec::new();
    for _ in 0..6 {
        keys.push(wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await);
    }
    for _ in 0..2 {
        for (key, spki) in &keys {
            let signature = bridge.sign(key, SignMechanism::Ecdsa, vec![vec![5; 32]]).await.unwrap();
            assert!(verify_p256(spki, &[5; 32], &signature[0]));
        }
    }
}

#[tokio::test]
async fn workers_killed_under_load_cost_no_caller_an_error() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    let callers: Vec<_> = (0..8u8)
        .map(|caller| {
            let (bridge, key, spki) = (bridge.clone(), key.clone(), spki.clone());
            tokio::spawn(async move {
                for _ in 0..150 {
                    let signature = bridge.sign(&key, SignMechanism::Ecdsa, vec![vec![caller; 32]]).await.unwrap();
                    assert!(verify_p256(&spki, &[caller; 32], &signature[0]));
                }
            })
        })
        .collect();
    for _ in 0..3 {
        let Some(victim) = ready_worker(&bridge).await else { break };
        kill(victim, "KILL");
        until(|| !bridge.status().workers.iter().any(|worker| worker.pid == victim && worker.ready)).await;
        until(|| bridge.status().workers.iter().filter(|worker| worker.ready && !worker.slow).count() == 2).await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(bridge.status().workers.iter().map(|worker| worker.restarts).sum::<u64>() >= 3);
}

#[tokio::test]
async fn a_hanging_worker_is_replaced_and_its_requests_are_answered_by_another() {
    let mut fixture = Fixture::new();
    fixture.settings.watchdog_ms = 500;
    let bridge = fixture.bridge().await;
    until(|| bridge.status().workers.iter().all(|worker| worker.ready)).await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    bridge.sign(&key, SignMechanism::Ecdsa, vec![vec![1; 32]; 100]).await.unwrap();
    let stopped = ready_worker(&bridge).await.unwrap();
    kill(stopped, "STOP");
    for _ in 0..20 {
        let signature = bridge.sign(&key, SignMechanism::Ecdsa, vec![vec![1; 32]; 2]).await.unwrap();
        assert!(verify_p256(&spki, &[1; 32], &signature[0]));
    }
    // Both workers take part in a large batch, so the stopped one is asked, found silent and replaced.
    let batch = bridge.sign(&key, SignMechanism::Ecdsa, vec![vec![1; 32]; 200]).await.unwrap();
    assert_eq!(batch.len(), 200);
    until(|| !bridge.status().workers.iter().any(|worker| worker.pid == stopped)).await;
}

#[tokio::test]
async fn a_supervisor_that_is_killed_comes_back_with_its_workers() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    let worker = ready_worker(&bridge).await.unwrap();
    kill(parent_of(worker), "KILL");
    until(|| !alive(worker)).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let signature = loop {
        match bridge.sign(&key, SignMechanism::Ecdsa, vec![vec![1; 32]]).await {
            Ok(signature) => break signature,
            Err(error) => assert!(Instant::now() < deadline, "still {error}"),
        }
        tokio::task::yield_now().await;
    };
    assert!(verify_p256(&spki, &[1; 32], &signature[0]));
}

#[tokio::test]
async fn a_wrong_pin_is_said_at_once_and_tried_once() {
    let mut fixture = Fixture::new();
    let wrong = fixture.directory.path().join("wrong");
    std::fs::write(&wrong, "654321").unwrap();
    fixture.settings.pin = PinSource::File(wrong);
    let bridge = Bridge::open(fixture.settings.clone()).await.unwrap();
    let error = bridge.ready().await.unwrap_err();
    assert!(matches!(&error, Error::Configuration(text) if text.contains("correct hsm.pin")), "{error}");
    assert!(!error.to_string().contains("654321"));
    // The others share the supervisor's PIN; none logs in with it afterwards.
    assert!(bridge.status().workers.iter().all(|worker| !worker.ready));
}

#[tokio::test]
async fn a_missing_token_and_a_missing_module_name_what_to_do() {
    let mut fixture = Fixture::new();
    fixture.settings.token = "absent".into();
    let error = Bridge::open(fixture.settings.clone()).await.unwrap().ready().await.unwrap_err();
    assert!(
        matches!(&error, Error::Unavailable(text) if text.contains("`test`") && text.contains("clm hsm init")),
        "{error}"
    );
    fixture.settings.module = "/nonexistent/module.so".into();
    let error = Bridge::open(fixture.settings.clone()).await.unwrap().ready().await.unwrap_err();
    assert!(matches!(&error, Error::Configuration(text) if text.contains("/nonexistent/module.so")), "{error}");
}

#[tokio::test]
async fn a_token_that_goes_away_and_comes_back_is_served_again() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, spki) = wrapped(&bridge, &root, KeyType::EcP256, Purpose::Signing).await;
    let (tokens, away) = (fixture.directory.path().join("tokens"), fixture.directory.path().join("away"));
    let mac = bridge.generate_token_key(Uuid::new_v4(), "mac", KeyType::Hmac(32), Purpose::Mac).await.unwrap().0;
    bridge.hmac(&KeyRef::Token(mac), HashAlgorithm::Sha2_256, vec![b"x".to_vec(); 60]).await.unwrap();
    std::fs::rename(&tokens, &away).unwrap();
    let error = bridge.hmac(&KeyRef::Token(mac), HashAlgorithm::Sha2_256, vec![b"x".to_vec()]).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_) | Error::Busy), "{error}");
    std::fs::rename(&away, &tokens).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match bridge.sign(&key, SignMechanism::Ecdsa, vec![vec![1; 32]]).await {
            Ok(signature) => return assert!(verify_p256(&spki, &[1; 32], &signature[0])),
            Err(error) => assert!(Instant::now() < deadline, "still {error}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_locked_bridge_refuses_until_it_is_unlocked_and_the_pin_can_be_changed() {
    let mut fixture = Fixture::new();
    fixture.settings.pin = PinSource::Unlock;
    let bridge = Bridge::open(fixture.settings.clone()).await.unwrap();
    assert!(matches!(bridge.random(8).await, Err(Error::Locked)));
    assert!(matches!(bridge.unlock(SecretString::from("wrong1")).await, Err(Error::Configuration(_))));
    bridge.unlock(SecretString::from("123456")).await.unwrap();
    assert_eq!(bridge.random(8).await.unwrap().len(), 8);
    bridge.set_pin(SecretString::from("a-new-pin")).await.unwrap();
    bridge.lock().await.unwrap();
    assert!(matches!(bridge.random(8).await, Err(Error::Locked)));
    assert!(bridge.unlock(SecretString::from("123456")).await.is_err());
    bridge.unlock(SecretString::from("a-new-pin")).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_says_busy() {
    let mut fixture = Fixture::new();
    fixture.settings.queue_limit = 4;
    fixture.settings.workers = 1;
    let bridge = fixture.bridge().await;
    let root = root(&bridge).await;
    let (key, _) = wrapped(&bridge, &root, KeyType::EcP521, Purpose::Signing).await;
    bridge.sign(&key, SignMechanism::Ecdsa, vec![vec![1; 32]]).await.unwrap();
    let calls = (0..40).map(|_| bridge.sign(&key, SignMechanism::Ecdsa, vec![vec![1; 32]]));
    let outcomes = futures_util::future::join_all(calls).await;
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(Error::Busy))));
    assert!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() >= 4);
}

#[tokio::test]
async fn nothing_runs_on_when_the_bridge_is_dropped() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let worker = ready_worker(&bridge).await.unwrap();
    let supervisor = parent_of(worker);
    drop(bridge);
    until(|| !alive(worker) && !alive(supervisor)).await;
}

#[tokio::test]
async fn a_taken_cka_id_and_a_taken_label_are_refused() {
    let fixture = Fixture::new();
    let bridge = fixture.bridge().await;
    let id = Uuid::new_v4();
    bridge.generate_token_key(id, "one", KeyType::EcP256, Purpose::Signing).await.unwrap();
    assert!(bridge.generate_token_key(id, "two", KeyType::EcP256, Purpose::Signing).await.is_err());
    bridge.destroy_token_key(id).await.unwrap();
    let key = KeyRef::Token(TokenKey { id, key_type: KeyType::EcP256 });
    assert!(matches!(bridge.sign(&key, SignMechanism::Ecdsa, vec![vec![1; 32]]).await, Err(Error::NotFound(_))));
    let pin = SecretString::from("123456");
    let error = setup::initialize_token(&fixture.settings, "test", &pin, &pin).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    let tokens = setup::list_tokens(&fixture.settings).unwrap();
    assert_eq!(tokens.len(), 1);
    assert!(tokens[0].user_pin_initialized);
}

async fn ready_worker(bridge: &Bridge) -> Option<u32> {
    bridge.status().workers.iter().find(|worker| worker.ready && !worker.slow).map(|worker| worker.pid)
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "did not happen within 20 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
