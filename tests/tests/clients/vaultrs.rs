//! The crate vaultrs.

use ::vaultrs::api::sys::requests::EnableEngineRequest;
use ::vaultrs::api::token::requests::CreateTokenRequest;
use ::vaultrs::api::transit::requests::{
    CreateKeyRequest, SignDataRequest, UpdateKeyConfigurationRequest, VerifySignedDataRequest,
};
use ::vaultrs::api::transit::responses::ReadKeyData;
use ::vaultrs::api::transit::{HashAlgorithm, KeyType, MarshalingAlgorithm, SignatureAlgorithm};
use ::vaultrs::client::{Client, VaultClient, VaultClientSettingsBuilder};
use ::vaultrs::error::ClientError;
use ::vaultrs::sys::{self, ServerStatus, mount, policy};
use ::vaultrs::token;
use ::vaultrs::transit::{data, key};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::time::Duration;
use tests::{Authority, Server, Site, openssl};

/// A key, how it signs, and how openssl verifies that, where it can.
type Row = (&'static str, Option<SignatureAlgorithm>, MarshalingAlgorithm, Option<&'static [&'static str]>);

const MESSAGE: &[u8] = b"pay 100 to Alice";

pub(super) fn client(site: &Site, server: &Server, token: &str) -> VaultClient {
    let authority = site.path("ca.pem");
    let authorities = if authority.exists() { vec![authority.to_str().unwrap().to_owned()] } else { Vec::new() };
    let settings = VaultClientSettingsBuilder::default()
        .address(server.address())
        .ca_certs(authorities)
        .identity(None)
        .timeout(Some(Duration::from_secs(60)))
        .token(token)
        .verify(true)
        .build()
        .unwrap();
    VaultClient::new(settings).unwrap()
}

fn b64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(super) fn status_of<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> u16 {
    match answer.unwrap_err() {
        ClientError::APIError { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn vaultrs_initialises_unseals_signs_and_verifies_over_http() {
    let site = Site::ready("[seal]\ntype = 'shamir'\n").await.unwrap();
    let server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    let mut operator = client(&site, &server, "");
    assert!(matches!(operator.status().await.unwrap(), ServerStatus::UNINITIALIZED));
    let made = sys::start_initialization(&operator, 3, 2, None).await.unwrap();
    assert!(matches!(operator.status().await.unwrap(), ServerStatus::SEALED));
    assert!(sys::unseal(&operator, Some(made.keys[2].clone()), None, None).await.unwrap().sealed);
    assert!(!sys::unseal(&operator, Some(made.keys[0].clone()), None, None).await.unwrap().sealed);
    operator.set_token(&made.root_token);
    main_job(&site, &server, operator).await;
}

#[tokio::test]
async fn vaultrs_signs_and_verifies_over_tls() {
    let site = Site::ready("").await.unwrap();
    site.protect(&Authority::create("tests").unwrap(), "").unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let operator = client(&site, &server, &server.token);
    mount::disable(&operator, "transit").await.unwrap();
    main_job(&site, &server, operator).await;
}

async fn main_job(site: &Site, server: &Server, operator: VaultClient) {
    assert!(matches!(operator.status().await.unwrap(), ServerStatus::OK));
    let health = sys::health(&operator).await.unwrap();
    assert!(health.initialized && !health.sealed && !health.standby);
    let mut described = EnableEngineRequest::builder();
    mount::enable(&operator, "signing", "transit", Some(described.description("keys"))).await.unwrap();
    let mounts = mount::list(&operator).await.unwrap();
    assert_eq!((mounts["signing/"].mount_type.as_str(), mounts["signing/"].description.as_str()), ("transit", "keys"));
    assert_eq!(
        mount::get_configuration_of_a_secret_engine(&operator, "signing").await.unwrap().uuid,
        mounts["signing/"].uuid
    );
    sys::auth::list(&operator).await.unwrap();
    keys(&operator).await;
    signatures(site, &operator).await;
    tokens(site, server, operator).await;
}

async fn keys(operator: &VaultClient) {
    assert_eq!(status_of(key::list(operator, "signing").await), 404);
    for (name, key_type) in
        [("ec", KeyType::EcdsaP256), ("ed", KeyType::Ed25519), ("rsa", KeyType::Rsa2048), ("old", KeyType::EcdsaP384)]
    {
        key::create(operator, "signing", name, Some(CreateKeyRequest::builder().key_type(key_type))).await.unwrap();
    }
    assert_eq!(key::list(operator, "signing").await.unwrap().keys, ["ec", "ed", "old", "rsa"]);
    key::rotate(operator, "signing", "old").await.unwrap();
    let mut settings = UpdateKeyConfigurationRequest::builder();
    settings.min_decryption_version(2u64).deletion_allowed(true);
    key::update(operator, "signing", "old", Some(&mut settings)).await.unwrap();
    let shown = key::read(operator, "signing", "old").await.unwrap();
    assert_eq!((shown.min_decryption_version, shown.deletion_allowed, shown.exportable), (2, true, false));
    assert_eq!(status_of(key::delete(operator, "signing", "ec").await), 400);
    key::delete(operator, "signing", "old").await.unwrap();
    assert_eq!(status_of(key::read(operator, "signing", "old").await), 404);
}

async fn public_key(operator: &VaultClient, name: &str) -> String {
    let shown = key::read(operator, "signing", name).await.unwrap();
    assert!(shown.supports_signing);
    match shown.keys {
        ReadKeyData::Asymmetric(versions) => versions["1"].public_key.clone(),
        ReadKeyData::Symmetric(_) => panic!("{name} has no public half"),
    }
}

async fn signatures(site: &Site, operator: &VaultClient) {
    use SignatureAlgorithm::{Pkcs1v15, Pss};
    let rows: [Row; 5] = [
        ("ec", None, MarshalingAlgorithm::Asn1, Some(&[])),
        ("ec", None, MarshalingAlgorithm::Jws, None),
        ("rsa", Some(Pkcs1v15), MarshalingAlgorithm::Asn1, Some(&[])),
        ("rsa", Some(Pss), MarshalingAlgorithm::Asn1, Some(&["rsa_padding_mode:pss"])),
        ("ed", None, MarshalingAlgorithm::Asn1, None),
    ];
    for (name, algorithm, marshaling, by_openssl) in rows {
        let mut how = SignDataRequest::builder();
        how.marshaling_algorithm(marshaling).hash_algorithm(HashAlgorithm::Sha2_256);
        let mut check = VerifySignedDataRequest::builder();
        check.marshaling_algorithm(marshaling).hash_algorithm(HashAlgorithm::Sha2_256);
        if let Some(algorithm) = algorithm {
            how.signature_algorithm(algorithm);
            check.signature_algorithm(algorithm);
        }
        let signed = data::sign(operator, "signing", name, &b64(MESSAGE), Some(&mut how)).await.unwrap().signature;
        check.signature(signed.clone());
        for (message, valid) in [(MESSAGE, true), (b"pay 900 to Mallory", false)] {
            let judged = data::verify(operator, "signing", name, &b64(message), Some(&mut check)).await.unwrap();
            assert_eq!(judged.valid, valid, "{name} {algorithm:?} {marshaling:?}");
            if let Some(options) = by_openssl {
                let public_key = public_key(operator, name).await;
                assert_eq!(openssl::verifies(site, &public_key, options, message, &signed).unwrap(), valid, "{name}");
            }
        }
    }
    assert_eq!(status_of(data::sign(operator, "signing", "nokey", "YQ==", None).await), 400);
}

async fn tokens(site: &Site, server: &Server, operator: VaultClient) {
    let rules = "path \"signing/sign/ec\" { capabilities = [\"update\"] }";
    policy::set(&operator, "signer", rules).await.unwrap();
    assert_eq!(policy::read(&operator, "signer").await.unwrap().rules, rules);
    assert!(policy::list(&operator).await.unwrap().policies.contains(&"signer".to_owned()));
    let mut wanted = CreateTokenRequest::builder();
    wanted.policies(vec!["signer".to_owned()]).ttl("1h");
    let made = token::new(&operator, Some(&mut wanted)).await.unwrap();
    assert_eq!(
        (made.policies.as_slice(), made.lease_duration),
        (&["default".to_owned(), "signer".to_owned()][..], 3600)
    );
    let teller = client(site, server, &made.client_token);
    let seen = teller.lookup().await.unwrap();
    assert!(seen.policies.contains(&"signer".to_owned()) && seen.ttl <= 3600);
    let signed = data::sign(&teller, "signing", "ec", &b64(MESSAGE), None).await.unwrap().signature;
    assert!(signed.starts_with("vault:v1:"));
    assert_eq!(status_of(data::sign(&teller, "signing", "rsa", &b64(MESSAGE), None).await), 403);
    assert_eq!(status_of(key::read(&teller, "signing", "ec").await), 403);
    assert_eq!(token::renew(&operator, &made.client_token, Some("30m")).await.unwrap().lease_duration, 1800);
    token::revoke(&operator, &made.client_token).await.unwrap();
    assert_eq!(status_of(data::sign(&teller, "signing", "ec", &b64(MESSAGE), None).await), 403);
    policy::delete(&operator, "signer").await.unwrap();
    assert_eq!(status_of(policy::read(&operator, "signer").await), 404);
    mount::disable(&operator, "signing").await.unwrap();
    assert_eq!(status_of(key::read(&operator, "signing", "ec").await), 404);
}
