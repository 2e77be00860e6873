//! The vault on real parts: SoftHSM2 and PostgreSQL; signatures checked by `openssl`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;
mod symmetric;

use audit_chain::{BreakKind, Checkpoint, Verifier};
use futures_util::{StreamExt, TryStreamExt};
use keyvault::clock::SystemClock;
use keyvault::key::{
    Hash, KeyAlgorithm, KeyConfig, Marshaling, NewKey, Padding, SaltLength, SignRequest, VerifyItem, VerifyRequest,
};
use keyvault::{Error, Settings, Vault, ceremony};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Fixture, key_name, open};
use tests::{TestDatabase, TestToken};
use uuid::Uuid;

fn request(input: &[u8]) -> SignRequest {
    SignRequest {
        version: 0,
        hash: Some(Hash::SHA2_256),
        prehashed: false,
        padding: Padding::Pss,
        salt_length: SaltLength::Auto,
        marshaling: Marshaling::Asn1,
        inputs: vec![Ok(input.to_vec())],
    }
}

async fn verify(
    fixture: &Fixture,
    name: &str,
    like: &SignRequest,
    version: u32,
    input: &[u8],
    signature: &[u8],
) -> Result<bool, String> {
    let key = fixture.key(name).await;
    let item = VerifyItem { input: input.to_vec(), version, signature: signature.to_vec() };
    let request = VerifyRequest {
        hash: like.hash,
        prehashed: like.prehashed,
        padding: like.padding,
        salt_length: SaltLength::Auto,
        marshaling: like.marshaling,
        items: vec![Ok(item)],
    };
    fixture.vault.verify(&fixture.caller, &key, request).await.unwrap().remove(0)
}

/// `openssl dgst -verify`, or `pkeyutl` for Ed25519: software we did not write.
fn openssl_verifies(spki: &[u8], digest: Option<&str>, options: &[&str], message: &[u8], signature: &[u8]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("spki"), spki).unwrap();
    std::fs::write(path("message"), message).unwrap();
    std::fs::write(path("signature"), signature).unwrap();
    let mut command = Command::new("openssl");
    match digest {
        Some(digest) => command
            .args(["dgst", digest, "-keyform", "DER", "-verify"])
            .arg(path("spki"))
            .arg("-signature")
            .arg(path("signature")),
        None => command
            .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey"])
            .arg(path("spki"))
            .arg("-sigfile")
            .arg(path("signature"))
            .arg("-in"),
    };
    if digest.is_some() {
        for option in options {
            command.args(["-sigopt", option]);
        }
    }
    command.arg(path("message")).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

#[tokio::test]
async fn every_algorithm_signs_what_openssl_verifies() {
    let fixture = Fixture::new().await;
    let message = b"a payment order".as_slice();
    for algorithm in [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::EcdsaP521,
        KeyAlgorithm::Ed25519,
        KeyAlgorithm::Rsa2048,
    ] {
        let name = algorithm.name();
        fixture.create(name, algorithm).await;
        let asked = request(message);
        let signed = fixture.sign(name, asked.clone()).await.unwrap();
        let signature = signed.signatures[0].clone().unwrap();
        let spki = fixture.key(name).await.versions[&1].public_key.clone();
        let digest = (algorithm != KeyAlgorithm::Ed25519).then_some("-sha256");
        let options: &[&str] =
            if algorithm == KeyAlgorithm::Rsa2048 { &["rsa_padding_mode:pss", "rsa_pss_saltlen:auto"] } else { &[] };
        assert!(openssl_verifies(&spki, digest, options, message, &signature), "{name}");
        assert!(!openssl_verifies(&spki, digest, options, b"another order", &signature), "{name}");
        assert_eq!(verify(&fixture, name, &asked, 1, message, &signature).await, Ok(true), "{name}");
        assert_eq!(verify(&fixture, name, &asked, 1, b"another order", &signature).await, Ok(false), "{name}");
    }
}

#[tokio::test]
async fn rsa_paddings_and_salts_are_what_was_asked() {
    let fixture = Fixture::new().await;
    fixture.create("r", KeyAlgorithm::Rsa2048).await;
    let spki = fixture.key("r").await.versions[&1].public_key.clone();
    let message = b"m".as_slice();
    let pkcs1 = SignRequest { padding: Padding::Pkcs1v15, ..request(message) };
    let signature = fixture.sign("r", pkcs1.clone()).await.unwrap().signatures.remove(0).unwrap();
    assert!(openssl_verifies(&spki, Some("-sha256"), &["rsa_padding_mode:pkcs1"], message, &signature));
    assert_eq!(verify(&fixture, "r", &pkcs1, 1, message, &signature).await, Ok(true));
    assert_eq!(
        verify(&fixture, "r", &request(message), 1, message, &signature).await,
        Ok(false),
        "a PKCS#1 signature is no PSS"
    );
    for (salt_length, bytes) in
        [(SaltLength::Hash, 32), (SaltLength::Bytes(20), 20), (SaltLength::Bytes(0), 0), (SaltLength::Auto, 222)]
    {
        let asked = SignRequest { salt_length, ..request(message) };
        let signature = fixture.sign("r", asked.clone()).await.unwrap().signatures.remove(0).unwrap();
        let length = format!("rsa_pss_saltlen:{bytes}");
        assert!(
            openssl_verifies(&spki, Some("-sha256"), &["rsa_padding_mode:pss", &length], message, &signature),
            "{bytes}"
        );
        assert_eq!(verify(&fixture, "r", &asked, 1, message, &signature).await, Ok(true), "{bytes}");
        let mut damaged = signature;
        damaged[7] ^= 1;
        assert_eq!(verify(&fixture, "r", &asked, 1, message, &damaged).await, Ok(false));
    }
    let refused = fixture.sign("r", SignRequest { salt_length: SaltLength::Bytes(223), ..request(message) }).await;
    assert!(matches!(refused, Err(Error::Invalid(text)) if text == "requested salt length 223 is invalid"));
}

#[tokio::test]
async fn versions_keep_working_through_rotation_and_end_where_configured() {
    let fixture = Fixture::new().await;
    let (name, message) = (key_name("k"), b"m".as_slice());
    fixture.create("k", KeyAlgorithm::EcdsaP256).await;
    let old = fixture.sign("k", request(message)).await.unwrap().signatures.remove(0).unwrap();
    fixture.vault.rotate_key(&fixture.caller, fixture.mount, &name).await.unwrap();
    let signed = fixture.sign("k", request(message)).await.unwrap();
    assert_eq!(signed.version, 2);
    let asked = request(message);
    assert_eq!(verify(&fixture, "k", &asked, 1, message, &old).await, Ok(true));
    assert_eq!(verify(&fixture, "k", &asked, 2, message, &old).await, Ok(false));
    let by_old = fixture.sign("k", SignRequest { version: 1, ..request(message) }).await.unwrap();
    assert_eq!(by_old.version, 1);
    let config = KeyConfig { min_decryption_version: Some(2), ..KeyConfig::default() };
    fixture.vault.configure_key(&fixture.caller, fixture.mount, &name, config).await.unwrap();
    let too_old = verify(&fixture, "k", &asked, 1, message, &old).await.unwrap_err();
    assert!(too_old.contains("too old"), "{too_old}");
    assert!(fixture.sign("k", SignRequest { version: 1, ..request(message) }).await.is_err());
}

#[tokio::test]
async fn of_many_creators_one_wins_and_of_many_rotations_none_is_lost() {
    let fixture = Fixture::new().await;
    let name = key_name("raced");
    let new = NewKey::of(KeyAlgorithm::EcdsaP256);
    let creators = (0..8).map(|_| fixture.vault.create_key(&fixture.caller, fixture.mount, &name, new));
    let made = futures_util::future::join_all(creators).await;
    assert_eq!(made.iter().filter(|made| made.as_ref().unwrap().1).count(), 1);
    let ids: std::collections::BTreeSet<_> = made.iter().map(|made| made.as_ref().unwrap().0.id).collect();
    assert_eq!(ids.len(), 1);
    let rotations = (0..6).map(|_| fixture.vault.rotate_key(&fixture.caller, fixture.mount, &name));
    futures_util::future::join_all(rotations).await.into_iter().for_each(|rotated| drop(rotated.unwrap()));
    let key = fixture.key("raced").await;
    assert_eq!(key.settings.latest_version, 7);
    assert_eq!(key.versions.keys().copied().collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_deleted_key_is_gone_for_good_and_its_name_is_free() {
    let fixture = Fixture::new().await;
    let name = key_name("k");
    fixture.create("k", KeyAlgorithm::Ed25519).await;
    let refused = fixture.vault.delete_key(&fixture.caller, fixture.mount, &name).await.unwrap_err();
    assert_eq!(refused.to_string(), "error deleting policy k: deletion is not allowed for this key");
    let config = KeyConfig { deletion_allowed: Some(true), ..KeyConfig::default() };
    fixture.vault.configure_key(&fixture.caller, fixture.mount, &name, config).await.unwrap();
    let objects = fixture.vault.bridge().find_objects("clm-key-").await.unwrap().len();
    assert_eq!(objects, 2, "Ed25519 is a pair on the token");
    fixture.vault.delete_key(&fixture.caller, fixture.mount, &name).await.unwrap();
    assert!(fixture.vault.key(fixture.caller.organization_id, fixture.mount, &name).await.unwrap().is_none());
    assert!(fixture.vault.bridge().find_objects("clm-key-").await.unwrap().is_empty());
    fixture.create("k", KeyAlgorithm::EcdsaP256).await;
    assert_eq!(fixture.vault.list_keys(fixture.caller.organization_id, fixture.mount).await.unwrap(), ["k"]);
}

#[tokio::test]
async fn a_row_changed_behind_the_services_back_is_refused_and_recorded() {
    for change in [
        "UPDATE named_keys SET min_decryption_version = 2, latest_version = 2",
        "UPDATE named_keys SET exportable = true",
        "UPDATE private_keys SET public_key = (SELECT public_key FROM private_keys p WHERE p.id <> private_keys.id LIMIT 1)",
        "UPDATE private_keys SET encrypted_key_material = (SELECT encrypted_key_material FROM private_keys p WHERE p.id <> private_keys.id LIMIT 1)",
        "UPDATE private_keys SET is_exportable = true",
        "UPDATE private_keys SET revision = revision + 1",
        "DELETE FROM private_keys",
    ] {
        let fixture = Fixture::new().await;
        fixture.create("a", KeyAlgorithm::EcdsaP256).await;
        fixture.create("b", KeyAlgorithm::EcdsaP256).await;
        fixture.sign("a", request(b"m")).await.unwrap();
        assert!(fixture.sql(change).await > 0, "{change}");
        // The key is cached: the notification ends that.
        let deadline = Instant::now() + Duration::from_secs(10);
        let error = loop {
            match fixture.sign("a", request(b"m")).await {
                Err(error) => break error,
                Ok(_) => assert!(Instant::now() < deadline, "still signs after: {change}"),
            }
        };
        assert!(matches!(error, Error::RowTampered { .. }), "{change}: {error}");
        assert!(fixture.vault.integrity_alarms() > 0);
        let recorded = fixture.records().await.iter().any(|record| record.event.event_type == "integrity.row_refused");
        assert!(recorded, "{change}");
    }
}

#[tokio::test]
async fn an_older_self_of_a_row_is_found_by_comparing_with_the_log() {
    let fixture = Fixture::new().await;
    fixture.create("k", KeyAlgorithm::EcdsaP256).await;
    fixture.sql("CREATE TABLE kept AS SELECT * FROM named_keys").await;
    let config = KeyConfig { min_encryption_version: Some(1), ..KeyConfig::default() };
    fixture.vault.configure_key(&fixture.caller, fixture.mount, &key_name("k"), config).await.unwrap();
    fixture
        .sql("UPDATE named_keys n SET min_encryption_version = k.min_encryption_version, revision = k.revision, row_mac = k.row_mac FROM kept k WHERE k.id = n.id")
        .await;
    let mut connection = fixture.database.superuser().await.unwrap();
    let row = sqlx::query("SELECT id::text, revision FROM named_keys").fetch_one(&mut connection).await.unwrap();
    let (id, revision): (String, i64) = (row.get(0), row.get(1));
    let newest = fixture
        .records()
        .await
        .iter()
        .filter_map(|record| match record.event.data.get("rows")? {
            audit_chain::Value::List(rows) => Some(rows.clone()),
            _ => None,
        })
        .flatten()
        .filter_map(|row| match row {
            audit_chain::Value::Map(row) => Some(row),
            _ => None,
        })
        .filter(|row| row["id"] == audit_chain::Value::Text(id.clone().into()))
        .filter_map(|row| match row["revision"] {
            audit_chain::Value::Integer(revision) => Some(revision),
            _ => None,
        })
        .max();
    assert_eq!((newest, revision), (Some(2), 1), "the log knows revision 2, the table has 1");
}

#[tokio::test]
async fn every_answer_has_its_record_and_the_chain_names_what_is_done_to_it() {
    let fixture = Fixture::new().await;
    fixture.create("k", KeyAlgorithm::EcdsaP256).await;
    let calls =
        (0..64).map(|number: u8| fixture.sign("k", SignRequest { inputs: vec![Ok(vec![number])], ..request(b"") }));
    let signed = futures_util::future::join_all(calls).await;
    let records = fixture.records().await;
    let mut hashes: Vec<_> = records
        .iter()
        .filter(|record| record.event.event_type == "key.sign")
        .map(|record| record.event.result_sha256)
        .collect();
    assert_eq!(hashes.len(), 64);
    for signed in signed {
        use sha2::Digest;
        let hash: [u8; 32] = sha2::Sha256::digest(signed.unwrap().signatures.remove(0).unwrap()).into();
        let position = hashes
            .iter()
            .position(|recorded| *recorded == Some(hash))
            .expect("a record with the hash of this signature");
        hashes.swap_remove(position);
    }
    let head = records.last().unwrap();
    let heads = vec![audit_chain::Head { chain_id: head.chain_id, seq: head.seq, hash: head.hash }];
    let checkpoint = Checkpoint { log: "secure_audit_log".into(), created_at: head.event.timestamp, heads };
    let check = |records: &[audit_chain::Record]| {
        let mut verifier = Verifier::new([&checkpoint]);
        records.iter().for_each(|record| verifier.take(record));
        verifier.finish().breaks
    };
    assert_eq!(check(&records), vec![]);
    fixture.sql("UPDATE secure_audit_log SET accessor = 'somebody else' WHERE seq = 10").await;
    let broken = check(&fixture.records().await);
    assert_eq!(broken.len(), 1);
    assert_eq!((broken[0].seq, broken[0].kind, broken[0].event_id), (10, BreakKind::Edited, Some(records[9].event.id)));
    fixture.sql("DELETE FROM secure_audit_log WHERE seq = 12").await;
    assert!(check(&fixture.records().await).iter().any(|broken| broken.seq == 12 && broken.kind == BreakKind::Missing));
    fixture.sql(&format!("DELETE FROM secure_audit_log WHERE seq > {}", head.seq - 3)).await;
    assert!(
        check(&fixture.records().await)
            .iter()
            .any(|broken| broken.seq == head.seq && broken.kind == BreakKind::Truncated)
    );
}

#[tokio::test]
async fn a_database_that_drops_connections_loses_no_acknowledged_record_and_doubles_none() {
    let fixture = Fixture::new().await;
    fixture.create("k", KeyAlgorithm::EcdsaP256).await;
    let mut acknowledged = 0;
    for round in 0..12 {
        let calls = (0..16).map(|_| fixture.sign("k", request(b"m")));
        let signing = futures_util::stream::iter(calls).buffer_unordered(16).collect::<Vec<_>>();
        let killing = async {
            if round % 2 == 1 {
                fixture.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'clm' AND query LIKE '%secure_audit_log%'").await;
            }
        };
        let (outcomes, ()) = futures_util::future::join(signing, killing).await;
        acknowledged += outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    }
    let records = fixture.records().await;
    let signed: Vec<_> = records.iter().filter(|record| record.event.event_type == "key.sign").collect();
    let distinct: std::collections::BTreeSet<_> = signed.iter().map(|record| record.event.id).collect();
    assert_eq!(distinct.len(), signed.len(), "a record is there twice");
    assert!(signed.len() >= acknowledged, "{acknowledged} acknowledged, {} recorded", signed.len());
    let mut verifier = Verifier::default();
    records.iter().for_each(|record| verifier.take(record));
    assert_eq!(verifier.finish().breaks, vec![]);
}

#[tokio::test]
async fn the_services_role_cannot_change_its_own_log_or_see_another_organization() {
    let fixture = Fixture::new().await;
    fixture.create("k", KeyAlgorithm::EcdsaP256).await;
    let mut app = sqlx::PgConnection::connect(&fixture.database.url("clm_secure_app")).await.unwrap();
    let role =
        sqlx::query("SELECT current_user::text, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
            .fetch_one(&mut app)
            .await
            .unwrap();
    assert_eq!(
        (role.get::<String, _>(0), role.get::<bool, _>(1), role.get::<bool, _>(2)),
        ("clm_secure_app".into(), false, false)
    );
    for refused in [
        "UPDATE secure_audit_log SET accessor = NULL",
        "DELETE FROM secure_audit_log",
        "TRUNCATE secure_audit_log",
        "DELETE FROM private_keys",
        "DELETE FROM named_keys",
        "CREATE TABLE mine (id int)",
        "ALTER TABLE named_keys DISABLE ROW LEVEL SECURITY",
    ] {
        let error = sqlx::query(refused).execute(&mut app).await.expect_err(refused);
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{refused}: {error}");
    }
    for table in ["named_keys", "private_keys", "encryption_keys", "key_wrappings"] {
        let count = |organization: Uuid| {
            format!("SELECT set_config('clm.organization_id', '{organization}', false), (SELECT count(*) FROM {table})")
        };
        let seen: i64 = sqlx::query(AssertSqlSafe(count(Uuid::new_v4()))).fetch_one(&mut app).await.map(|_| 0).unwrap();
        let others: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(&mut app)
            .await
            .unwrap();
        assert_eq!((seen, others), (0, 0), "{table} shows another organization's rows");
        sqlx::query(AssertSqlSafe(count(fixture.caller.organization_id))).fetch_one(&mut app).await.unwrap();
        let own: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(&mut app)
            .await
            .unwrap();
        assert!(own > 0, "{table}");
    }
}

#[tokio::test]
async fn another_server_on_the_same_token_and_database_uses_the_same_keys() {
    let fixture = Fixture::new().await;
    fixture.create("k", KeyAlgorithm::EcdsaP384).await;
    let other = open(&fixture.database, &fixture.token).await;
    other.bridge().ready().await.unwrap();
    let key = other.key(fixture.caller.organization_id, fixture.mount, &key_name("k")).await.unwrap().unwrap();
    let signature = other.sign(&fixture.caller, &key, request(b"m")).await.unwrap().signatures.remove(0).unwrap();
    assert_eq!(verify(&fixture, "k", &request(b"m"), 1, b"m", &signature).await, Ok(true));
}

#[tokio::test]
async fn a_token_without_the_root_key_is_refused_by_name_and_no_second_root_is_made() {
    let fixture = Fixture::new().await;
    let error = ceremony::create(fixture.vault.bridge()).await.unwrap_err();
    assert!(error.to_string().contains("never made"), "{error}");
    let empty = TestToken::create().unwrap();
    let vault = open(&fixture.database, &empty).await;
    vault.bridge().ready().await.unwrap();
    let error = vault.initialize(&fixture.caller).await.unwrap_err();
    assert!(error.to_string().contains("clm-root-v1"), "{error}");
    assert!(vault.bridge().find_objects("").await.unwrap().is_empty(), "nothing was made on the empty token");
}

#[tokio::test]
async fn a_database_that_would_lose_what_it_acknowledged_is_refused() {
    let (database, token) = (TestDatabase::create().await.unwrap(), TestToken::create().unwrap());
    keyvault::migrate(&database.migration_pool().await.unwrap()).await.unwrap();
    let url = database.url("clm_secure_app") + "&options=-csynchronous_commit%3Doff";
    let settings = Settings::new(url.into(), token.settings.clone());
    let error = Vault::open(settings, Arc::new(SystemClock)).await.unwrap_err();
    assert!(error.to_string().contains("synchronous_commit = on"), "{error}");
}

#[tokio::test]
async fn the_log_knows_every_row_as_it_is_after_every_kind_of_change() {
    let fixture = Fixture::new().await;
    let (vault, caller, mount) = (&fixture.vault, &fixture.caller, fixture.mount);
    for (name, algorithm) in [("kept", KeyAlgorithm::EcdsaP256), ("gone", KeyAlgorithm::Ed25519)] {
        fixture.create(name, algorithm).await;
        vault.rotate_key(caller, mount, &key_name(name)).await.unwrap();
        let config =
            KeyConfig { deletion_allowed: Some(true), min_decryption_version: Some(2), ..KeyConfig::default() };
        vault.configure_key(caller, mount, &key_name(name), config).await.unwrap();
    }
    vault.delete_key(caller, mount, &key_name("gone")).await.unwrap();
    let mut auditor = audit_log::snapshot(&fixture.database.url("clm_auditor")).await.unwrap();
    let mut rows = audit_chain::Rows::default();
    fixture.records().await.iter().for_each(|record| rows.take(&record.event));
    let mut compared = Vec::new();
    for table in audit_log::bound_tables(&mut auditor).await.unwrap() {
        let current: Vec<_> = audit_log::read_rows(&mut auditor, &table).try_collect().await.unwrap();
        current.iter().for_each(|(id, row)| rows.compare(&table, *id, *row));
        compared.extend((!current.is_empty()).then_some(table));
    }
    assert_eq!(compared, ["encryption_keys", "key_state_changes", "named_keys", "private_keys"]);
    assert_eq!(rows.finish(), []);
}
