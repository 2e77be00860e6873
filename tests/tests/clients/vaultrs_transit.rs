//! The crate vaultrs, all of its Transit calls beside keys and signatures.

use super::vaultrs::{client, status_of};
use ::vaultrs::api::transit::requests::{
    ConfigureCacheRequest, CreateKeyRequest, DataKeyType, DecryptDataRequest, EncryptDataRequest, ExportKeyType,
    ExportVersion, GenerateDataKeyRequest, GenerateHmacRequest, GenerateRandomBytesRequest, HashDataRequest,
    ImportKeyRequest, ImportKeyVersionRequest, RandomBytesSource, RestoreKeyRequest, RewrapDataRequest,
    UpdateKeyConfigurationRequest, VerifySignedDataRequest,
};
use ::vaultrs::api::transit::responses::ReadKeyData;
use ::vaultrs::api::transit::{HashAlgorithm, HashFunction, KeyType, OutputFormat};
use ::vaultrs::client::VaultClient;
use ::vaultrs::transit::{cache, data, generate, key, wrapping_key};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tests::{Site, wrapped};

const MESSAGE: &[u8] = b"pay 100 to Alice";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

async fn exported(operator: &VaultClient, name: &str, kind: ExportKeyType, version: u64) -> Vec<u8> {
    let shown = key::export(operator, "transit", name, kind, ExportVersion::Version(version)).await.unwrap();
    BASE64_STANDARD.decode(&shown.keys[&version.to_string()]).unwrap()
}

#[tokio::test]
async fn vaultrs_encrypts_makes_data_keys_hmacs_backups_and_imports() {
    let (site, server) = Site::started("").await.unwrap();
    let operator = client(&site, &server, &server.token);
    ciphertexts(&operator).await;
    derived(&operator).await;
    generated(&operator).await;
    kept(&operator).await;
    imported(&operator).await;
}

async fn ciphertexts(operator: &VaultClient) {
    let mut wanted = CreateKeyRequest::builder();
    wanted.key_type(KeyType::Aes256Gcm96).exportable(true);
    key::create(operator, "transit", "files", Some(&mut wanted)).await.unwrap();
    let mut bound = EncryptDataRequest::builder();
    bound.associated_data(b64("order 7"));
    let plain = data::encrypt(operator, "transit", "files", &b64(MESSAGE), None).await.unwrap().ciphertext;
    let sealed = data::encrypt(operator, "transit", "files", &b64(MESSAGE), Some(&mut bound)).await.unwrap().ciphertext;
    let mut with = DecryptDataRequest::builder();
    with.associated_data(b64("order 7"));
    let opened = data::decrypt(operator, "transit", "files", &sealed, Some(&mut with)).await.unwrap();
    assert_eq!(opened.plaintext, b64(MESSAGE));
    assert_eq!(status_of(data::decrypt(operator, "transit", "files", &sealed, None).await), 400);

    key::rotate(operator, "transit", "files").await.unwrap();
    let anew = data::rewrap(operator, "transit", "files", &plain, None).await.unwrap().ciphertext;
    assert!(anew.starts_with("vault:v2:"));
    let mut first = RewrapDataRequest::builder();
    first.key_version(1u64);
    let back = data::rewrap(operator, "transit", "files", &anew, Some(&mut first)).await.unwrap().ciphertext;
    assert!(back.starts_with("vault:v1:") && back != plain);
    for ciphertext in [&plain, &anew, &back] {
        let opened = data::decrypt(operator, "transit", "files", ciphertext, None).await.unwrap();
        assert_eq!(opened.plaintext, b64(MESSAGE));
    }
    let mut settings = UpdateKeyConfigurationRequest::builder();
    settings.min_decryption_version(2u64).min_encryption_version(2u64);
    key::update(operator, "transit", "files", Some(&mut settings)).await.unwrap();
    key::trim(operator, "transit", "files", 2).await.unwrap();
    assert_eq!(status_of(data::decrypt(operator, "transit", "files", &plain, None).await), 400);
    let shown = key::read(operator, "transit", "files").await.unwrap();
    let ReadKeyData::Symmetric(versions) = shown.keys else { panic!("{shown:?}") };
    assert_eq!(versions.keys().collect::<Vec<_>>(), ["2"]);
}

async fn derived(operator: &VaultClient) {
    let mut wanted = CreateKeyRequest::builder();
    wanted.key_type(KeyType::Aes256Gcm96).derived(true).convergent_encryption(true);
    key::create(operator, "transit", "people", Some(&mut wanted)).await.unwrap();
    let mut made = Vec::new();
    for context in ["alice", "alice", "bob"] {
        let mut how = EncryptDataRequest::builder();
        how.context(b64(context));
        let text = data::encrypt(operator, "transit", "people", &b64(MESSAGE), Some(&mut how)).await.unwrap();
        made.push(text.ciphertext);
    }
    assert!(made[0] == made[1] && made[0] != made[2]);
    let mut how = DecryptDataRequest::builder();
    how.context(b64("alice"));
    let opened = data::decrypt(operator, "transit", "people", &made[0], Some(&mut how)).await.unwrap();
    assert_eq!(opened.plaintext, b64(MESSAGE));
    assert_eq!(status_of(data::decrypt(operator, "transit", "people", &made[2], Some(&mut how)).await), 400);
}

async fn generated(operator: &VaultClient) {
    for bits in [128u16, 256, 512] {
        let mut how = GenerateDataKeyRequest::builder();
        how.bits(bits);
        let made =
            generate::data_key(operator, "transit", "files", DataKeyType::Plaintext, Some(&mut how)).await.unwrap();
        let plaintext = made.plaintext.unwrap();
        assert_eq!(BASE64_STANDARD.decode(&plaintext).unwrap().len(), usize::from(bits) / 8);
        let opened = data::decrypt(operator, "transit", "files", &made.ciphertext, None).await.unwrap();
        assert_eq!(opened.plaintext, plaintext);
    }
    let wrapped = generate::data_key(operator, "transit", "files", DataKeyType::Wrapped, None).await.unwrap();
    assert!(wrapped.plaintext.is_none());

    let secret = exported(operator, "files", ExportKeyType::HmacKey, 2).await;
    let mut how = GenerateHmacRequest::builder();
    how.algorithm(HashAlgorithm::Sha2_512);
    let made = generate::hmac(operator, "transit", "files", &b64(MESSAGE), Some(&mut how)).await.unwrap().hmac;
    let ours = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, &secret), MESSAGE);
    assert_eq!(made, format!("vault:v2:{}", b64(ours)));
    let mut check = VerifySignedDataRequest::builder();
    check.hmac(made).hash_algorithm(HashAlgorithm::Sha2_512);
    for (message, valid) in [(MESSAGE, true), (b"pay 900 to Mallory", false)] {
        let judged = data::verify(operator, "transit", "files", &b64(message), Some(&mut check)).await.unwrap();
        assert_eq!(judged.valid, valid);
    }

    let mut how = GenerateRandomBytesRequest::builder();
    how.bytes(48u32);
    let drawn =
        generate::random_bytes(operator, "transit", OutputFormat::Hex, RandomBytesSource::All, Some(&mut how)).await;
    assert_eq!(drawn.unwrap().random_bytes.len(), 96);
    let mut how = HashDataRequest::builder();
    how.algorithm(HashAlgorithm::Sha2_256).format(OutputFormat::Base64);
    let sum = generate::hash(operator, "transit", &b64("hello"), Some(&mut how)).await.unwrap().sum;
    assert_eq!(sum, "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");

    let mut size = ConfigureCacheRequest::builder();
    cache::configure(operator, "transit", Some(size.size(456u64))).await.unwrap();
    assert_eq!(cache::read(operator, "transit").await.unwrap().size, 456);
}

async fn kept(operator: &VaultClient) {
    let mut wanted = CreateKeyRequest::builder();
    wanted.key_type(KeyType::EcdsaP256).exportable(true).allow_plaintext_backup(true);
    key::create(operator, "transit", "kept", Some(&mut wanted)).await.unwrap();
    let signature = data::sign(operator, "transit", "kept", &b64(MESSAGE), None).await.unwrap().signature;
    let backup = key::backup(operator, "transit", "kept").await.unwrap().backup;
    assert_eq!(status_of(key::backup(operator, "transit", "files").await), 500);
    assert_eq!(status_of(key::restore(operator, "transit", &backup, None).await), 500);
    let mut force = RestoreKeyRequest::builder();
    key::restore(operator, "transit", &backup, Some(force.force(true))).await.unwrap();
    let mut settings = UpdateKeyConfigurationRequest::builder();
    key::update(operator, "transit", "kept", Some(settings.deletion_allowed(true))).await.unwrap();
    key::delete(operator, "transit", "kept").await.unwrap();
    key::restore(operator, "transit", &backup, None).await.unwrap();
    let mut check = VerifySignedDataRequest::builder();
    let judged = data::verify(operator, "transit", "kept", &b64(MESSAGE), Some(check.signature(signature))).await;
    assert!(judged.unwrap().valid);
}

async fn imported(operator: &VaultClient) {
    let shown = wrapping_key::get(operator, "transit").await.unwrap();
    let materials: [[u8; 32]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| rand::random()));
    let wrap = |material: &[u8]| wrapped(&shown.public_key, &OAEP_SHA256_MGF1SHA256, material).unwrap();
    let mut wanted = ImportKeyRequest::builder();
    wanted
        .ciphertext(Some(wrap(&materials[0])))
        .hash_function(Some(HashFunction::Sha256))
        .key_type(KeyType::Aes256Gcm96)
        .exportable(Some(true))
        .allow_rotation(Some(true));
    key::import(operator, "transit", "mine", Some(&mut wanted)).await.unwrap();
    let mut version = ImportKeyVersionRequest::builder();
    version.ciphertext(Some(wrap(&materials[1]))).hash_function(Some(HashFunction::Sha256));
    key::import_version(operator, "transit", "mine", Some(&mut version)).await.unwrap();
    for (number, material) in (1..).zip(materials) {
        assert_eq!(exported(operator, "mine", ExportKeyType::EncryptionKey, number).await, material);
    }
    let again = key::import(operator, "transit", "mine", Some(&mut wanted)).await;
    assert!([400, 500].contains(&status_of(again)));
}
