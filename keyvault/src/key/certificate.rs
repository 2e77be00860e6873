//! Certificates of keys: requests for them (PKCS#10), and what authorities gave.

use super::change::{ATTEMPTS, KeyWrite};
use super::create::{change_event, rows};
use super::sign::{mechanism, prepare};
use super::state::Use;
use super::{Hash, Key, KeyAlgorithm, KeyName, KeyVersion, Marshaling, Padding, SaltLength, SignRequest};
use crate::hierarchy::ecdsa_der;
use crate::row_mac::MacDomain;
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Value};
use der::asn1::{BitString, Null, ObjectIdentifier};
use der::pem::LineEnding;
use der::{Any, Decode, Encode, EncodePem};
use hsm_bridge::HashAlgorithm;
use sha2::{Digest, Sha256};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use std::sync::Arc;
use uuid::Uuid;
use x509_cert::Certificate;
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::request::{CertReq, CertReqInfo, Version};

/// Bytes of a chain, PEM, which every answer that shows the key carries.
const CHAIN_BYTES: usize = 64 * 1024;

impl Vault {
    /// A certification request (PKCS#10, RFC 2986), PEM, for a version's key; `version` 0: the newest. Subject and attributes are those of
    /// `template`, another request in PEM, whose own key and signature do not count.
    pub async fn request_certificate(
        &self,
        caller: &Caller,
        key: &Key,
        version: i64,
        template: Option<&str>,
    ) -> Result<String> {
        signs(key)?;
        let failing = |reason: String| Error::Invalid(format!("could not create the csr: {reason}"));
        let version = numbered(key, version).map_err(failing)?;
        let private = version.private("signing").map_err(failing)?;
        let (subject, attributes) = match template.map(parsed).transpose()? {
            Some(template) => (template.info.subject, template.info.attributes),
            None => Default::default(),
        };
        let unencodable = |error: der::Error| Error::Invalid(format!("could not create the csr: {error}"));
        let public_key = SubjectPublicKeyInfoOwned::from_der(&version.public_key).map_err(unencodable)?;
        let info = CertReqInfo { version: Version::V1, subject, public_key, attributes };
        let (hash, algorithm) = signature_algorithm(key.algorithm);
        let request = SignRequest {
            version: version.version.into(),
            hash: Some(hash),
            prehashed: false,
            padding: Padding::Pkcs1v15,
            salt_length: SaltLength::Auto,
            marshaling: Marshaling::Asn1,
            inputs: Vec::new(),
        };
        let mut event = self.begin(caller, key, "key.request_certificate", 1, Use::Protect).await?;
        key.open(version, Use::Protect, event.timestamp).map_err(failing)?;
        event.data.insert("version".into(), Value::Integer(version.version.into()));
        let prepared = prepare(key.algorithm, &request, info.to_der().map_err(unencodable)?).map_err(failing)?;
        let mechanism = mechanism(key.algorithm, &request).map_err(failing)?;
        let spent = self.spend(key, version, 1, prepared.len()).await;
        self.or_failed(&event, spent).await?;
        let signature = match self.inner.bridge.sign(private, mechanism, vec![prepared]).await {
            Ok(signatures) => signatures.into_iter().next().unwrap_or_default(),
            Err(error) => {
                let error = Error::from(error);
                self.inner.audit.append(record::failed(event, &error.to_string())).await?;
                return Err(error);
            }
        };
        let signature = if key.algorithm.order_bytes().is_some() { ecdsa_der(&signature)? } else { signature };
        let signature = BitString::from_bytes(&signature).map_err(unencodable)?;
        let request = CertReq { info, algorithm, signature };
        let pem = request.to_pem(LineEnding::LF).map_err(unencodable)?;
        event.result_sha256 = Some(Sha256::digest(&pem).into());
        self.inner.audit.append(event).await?;
        Ok(pem)
    }

    /// Keeps a chain of certificates, PEM, with a version (0: the newest): first the one of its key, then those of the issuers.
    pub async fn set_certificate(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        version: i64,
        chain: &str,
    ) -> Result<Arc<Key>> {
        let (certificates, pem) = certificates(chain)?;
        for _ in 0..ATTEMPTS {
            let (mut key, versions) = self
                .read_key(caller.organization_id, mount_id, name)
                .await?
                .ok_or_else(|| Error::Invalid(format!("key with provided name '{name}' not found")))?;
            signs(&key)?;
            let number = numbered(&key, version).map_err(Error::Invalid)?.version;
            let row = versions.into_iter().find(|row| u32::try_from(row.version) == Ok(number));
            let mut row = row.ok_or_else(|| Error::Invalid("no such key version".into()))?;
            if !certifies(&certificates, &row.public_key)? {
                let text = "leaf certificate public key does not match the selected key version";
                return Err(Error::Invalid(format!("failed to persist certificate chain: {text}")));
            }
            row.certificate_chain = Some(pem.clone());
            row.revision += 1;
            row.row_mac = self.mac(MacDomain::SecureRow, &row.row_bytes()).await?.to_vec();
            key.revision += 1;
            let key_mac = self.mac(MacDomain::SecureRow, &key.row_bytes(false)).await?.to_vec();
            let mut event = change_event(caller, self.inner.clock.now(), "key.set_certificate", &key, number);
            event.data.insert("chain_sha256".into(), Value::Text(hex::encode(Sha256::digest(&pem)).into()));
            event.data.insert("rows".into(), rows(&key, &key_mac, &[&row]));
            let write = KeyWrite { changed: vec![row], ..KeyWrite::of(key, key_mac, event) };
            match self.write(write).await {
                Err(Error::Conflict) => continue,
                other => other?,
            }
            return self.present(caller, mount_id, name).await;
        }
        Err(Error::Conflict)
    }
}

fn signs(key: &Key) -> Result<()> {
    if key.algorithm.supports_signing() {
        return Ok(());
    }
    Err(Error::Invalid(format!("key type '{}' does not support signing", key.algorithm.name())))
}

fn numbered(key: &Key, wanted: i64) -> Result<&KeyVersion, String> {
    let number = if wanted == 0 { Ok(key.settings.latest_version) } else { u32::try_from(wanted) };
    number.ok().and_then(|number| key.versions.get(&number)).ok_or_else(|| "no such key version".into())
}

fn parsed(pem: &str) -> Result<CertReq> {
    let unreadable = || Error::Invalid("could not decode PEM CSR".into());
    let (label, der) = der::pem::decode_vec(pem.trim().as_bytes()).map_err(|_| unreadable())?;
    if !["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"].contains(&label) {
        return Err(unreadable());
    }
    CertReq::from_der(&der).map_err(|error| Error::Invalid(format!("could not parse CSR template: {error}")))
}

/// What requests are signed with: the hash of the key's strength (SP 800-57 part 1, table 3), and its name.
fn signature_algorithm(algorithm: KeyAlgorithm) -> (Hash, AlgorithmIdentifierOwned) {
    let (hash, oid) = match algorithm {
        KeyAlgorithm::EcdsaP256 => (HashAlgorithm::Sha2_256, "1.2.840.10045.4.3.2"),
        KeyAlgorithm::EcdsaP384 => (HashAlgorithm::Sha2_384, "1.2.840.10045.4.3.3"),
        KeyAlgorithm::EcdsaP521 => (HashAlgorithm::Sha2_512, "1.2.840.10045.4.3.4"),
        // It hashes by itself.
        KeyAlgorithm::Ed25519 => (HashAlgorithm::Sha2_512, "1.3.101.112"),
        // So does ML-DSA (RFC 9881, 2).
        KeyAlgorithm::MlDsa44 => (HashAlgorithm::Sha2_512, "2.16.840.1.101.3.4.3.17"),
        KeyAlgorithm::MlDsa65 => (HashAlgorithm::Sha2_512, "2.16.840.1.101.3.4.3.18"),
        KeyAlgorithm::MlDsa87 => (HashAlgorithm::Sha2_512, "2.16.840.1.101.3.4.3.19"),
        _ => (HashAlgorithm::Sha2_256, "1.2.840.113549.1.1.11"),
    };
    // RSA alone has parameters, which are NULL (RFC 4055, 5); the others must have none (RFC 5758, 3.2; RFC 8410, 3).
    let parameters = algorithm.is_rsa().then(|| Any::from(Null));
    (Hash(hash), AlgorithmIdentifierOwned { oid: ObjectIdentifier::new_unwrap(oid), parameters })
}

/// A chain, leaf first, and its PEM without whatever stood between.
fn certificates(chain: &str) -> Result<(Vec<Certificate>, String)> {
    if chain.len() > CHAIN_BYTES {
        return Err(Error::Invalid(format!("a certificate chain has at most {CHAIN_BYTES} bytes")));
    }
    let certificates = Certificate::load_pem_chain(chain.trim().as_bytes()).unwrap_or_default();
    let Some((leaf, issuers)) = certificates.split_first() else {
        return Err(Error::Invalid("could not decode a PEM block in the certificate chain".into()));
    };
    if is_authority(leaf) {
        let text = "the first certificate in the chain is an authority's: the one of this key comes first";
        return Err(Error::Invalid(text.into()));
    }
    if !issuers.iter().all(is_authority) {
        return Err(Error::Invalid("only the first certificate in the chain may be other than an authority's".into()));
    }
    let encoded: Result<Vec<String>, _> =
        certificates.iter().map(|certificate| certificate.to_pem(LineEnding::LF)).collect();
    let pem = encoded.map_err(|error| Error::Invalid(format!("a certificate cannot be kept: {error}")))?.concat();
    Ok((certificates, pem))
}

fn is_authority(certificate: &Certificate) -> bool {
    let constraints = certificate.tbs_certificate().get_extension::<BasicConstraints>();
    matches!(constraints, Ok(Some((_, BasicConstraints { ca: true, .. }))))
}

/// Whether the first is for that public key.
fn certifies(certificates: &[Certificate], spki: &[u8]) -> Result<bool> {
    let own = SubjectPublicKeyInfoOwned::from_der(spki)
        .map_err(|error| Error::Operator(format!("a public key of a row is not read: {error}")))?;
    Ok(certificates.first().is_some_and(|leaf| {
        let certified = leaf.tbs_certificate().subject_public_key_info();
        certified.algorithm.oid == own.algorithm.oid && certified.subject_public_key == own.subject_public_key
    }))
}
