//! Symmetric keys: their rows are bound, versioned and deleted like those of pairs.

use crate::support::{Fixture, key_name, open};
use keyvault::Error;
use keyvault::key::{Derivation, KeyAlgorithm, KeyConfig, NewKey};

fn derived(algorithm: KeyAlgorithm, derivation: Derivation) -> NewKey {
    NewKey { derivation, ..NewKey::of(algorithm) }
}

#[tokio::test]
async fn symmetric_keys_come_back_from_the_database_as_they_were_made() {
    let fixture = Fixture::new().await;
    let wanted = [
        ("aes128", NewKey::of(KeyAlgorithm::Aes128Gcm96)),
        ("aes256", NewKey { on_token: true, exportable: true, ..NewKey::of(KeyAlgorithm::Aes256Gcm96) }),
        ("cmac", NewKey::of(KeyAlgorithm::Aes192Cmac)),
        ("hmac", NewKey::of(KeyAlgorithm::Hmac(48))),
    ];
    for (name, new) in wanted {
        fixture.vault.create_key(&fixture.caller, fixture.mount, &key_name(name), new).await.unwrap();
        fixture.vault.rotate_key(&fixture.caller, fixture.mount, &key_name(name)).await.unwrap();
    }
    // A server started anew knows only the rows.
    let fresh = open(&fixture.database, &fixture.token).await;
    fresh.bridge().ready().await.unwrap();
    for (name, new) in wanted {
        let key = fresh.key(fixture.caller.organization_id, fixture.mount, &key_name(name)).await.unwrap().unwrap();
        assert_eq!((key.algorithm, key.derivation), (new.algorithm, new.derivation), "{name}");
        assert_eq!(key.versions.keys().copied().collect::<Vec<_>>(), [1, 2]);
        for version in key.versions.values() {
            assert!(version.on_token == new.on_token && version.hmac_key.is_some() && version.public_key.is_empty());
        }
    }
}

#[tokio::test]
async fn what_the_token_cannot_derive_is_refused_with_a_sentence() {
    let fixture = Fixture::new().await;
    let function = fixture.vault.derivation_function().await.unwrap();
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::EcdsaP256, KeyAlgorithm::Hmac(32), KeyAlgorithm::Rsa2048] {
        let new = derived(algorithm, Derivation::Derived(function));
        let refused = fixture.vault.create_key(&fixture.caller, fixture.mount, &key_name("k"), new).await.unwrap_err();
        assert!(refused.to_string().starts_with("key derivation and convergent encryption not supported"), "{refused}");
    }
}

#[tokio::test]
async fn a_symmetric_keys_row_changed_behind_the_services_back_is_refused() {
    let other = "(SELECT o.encrypted_key_material FROM encryption_keys o WHERE o.named_key_id <> encryption_keys.named_key_id LIMIT 1)";
    for change in [
        &format!("UPDATE encryption_keys SET encrypted_key_material = {other} WHERE named_key_id IS NOT NULL"),
        "UPDATE encryption_keys SET hmac_key_material = NULL WHERE named_key_id IS NOT NULL",
        "UPDATE encryption_keys SET is_exportable = true WHERE named_key_id IS NOT NULL",
        "DELETE FROM encryption_keys WHERE named_key_id IS NOT NULL",
        "UPDATE named_keys SET convergent_encryption = true, kdf = 'aes_ecb_encrypt_data'",
        "UPDATE named_keys SET kdf = 'aes_ecb_encrypt_data'",
        "UPDATE named_keys SET key_type = 'hmac', key_size = 32",
    ] {
        let fixture = Fixture::new().await;
        fixture.create("a", KeyAlgorithm::Aes256Gcm96).await;
        fixture.create("b", KeyAlgorithm::Aes256Gcm96).await;
        assert_eq!(fixture.sql(change).await, 2, "{change}");
        let fresh = open(&fixture.database, &fixture.token).await;
        fresh.bridge().ready().await.unwrap();
        let read = fresh.key(fixture.caller.organization_id, fixture.mount, &key_name("a")).await;
        assert!(matches!(read, Err(Error::RowTampered { .. })), "{change}: {read:?}");
    }
}

#[tokio::test]
async fn nothing_of_a_deleted_symmetric_key_is_left() {
    let fixture = Fixture::new().await;
    let name = key_name("k");
    fixture.create("k", KeyAlgorithm::Aes256Gcm96).await;
    fixture.vault.rotate_key(&fixture.caller, fixture.mount, &name).await.unwrap();
    let config = KeyConfig { deletion_allowed: Some(true), ..KeyConfig::default() };
    fixture.vault.configure_key(&fixture.caller, fixture.mount, &name, config).await.unwrap();
    fixture.vault.delete_key(&fixture.caller, fixture.mount, &name).await.unwrap();
    let left = "UPDATE encryption_keys SET key_state = key_state WHERE key_state = 'destroyed' \
                AND coalesce(encrypted_key_material, hmac_key_material) IS NULL";
    assert_eq!(fixture.sql(left).await, 2);
    fixture.create("k", KeyAlgorithm::Hmac(32)).await;
    assert_eq!(fixture.key("k").await.algorithm, KeyAlgorithm::Hmac(32));
}
