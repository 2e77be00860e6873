//! Export for somebody else: wrapped inside the token, for the holder of an RSA key, in the form in which `import` takes keys in.

use super::export::chosen;
use super::state::Use;
use super::{ExportVersion, Hash, Key};
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Severity, Value};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepPublicEncryptingKey, PublicEncryptingKey,
};
use chrono::{DateTime, Utc};
use hsm_bridge::HashAlgorithm;
use rsa::pkcs8::DecodePublicKey;
use rsa::{Oaep, RsaPublicKey};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// For whom, and which versions.
#[derive(Clone, Copy, Debug)]
pub struct ByokRequest<'a> {
    /// An RSA key, of which the public half is enough.
    pub destination: &'a Key,
    /// Hash of RSA-OAEP and its MGF1.
    pub hash: Hash,
    /// Versions of the key that leaves.
    pub version: ExportVersion,
    /// Secret material stays in the token, whatever the key allows.
    pub fips: bool,
}

impl Vault {
    /// By version, RSA-OAEP(destination, AES key) ‖ AES-KWP(AES key, material). The AES key is the token's random bytes and in this process for
    /// this call; the key that leaves is in no process in the clear.
    pub async fn export_for(
        &self,
        caller: &Caller,
        key: &Key,
        request: ByokRequest<'_>,
    ) -> Result<BTreeMap<u32, Vec<u8>>> {
        if !key.settings.exportable {
            return Err(Error::Invalid("key is not exportable".into()));
        }
        if request.fips {
            return Err(Error::Invalid("fips: an AES key that wraps another stays in the token".into()));
        }
        self.check_open(caller, key, "key.export", Use::Process).await?;
        self.check_open(caller, request.destination, "key.export", Use::Protect).await?;
        let recipient = recipient(request.destination, self.inner.clock.now())?;
        let mut exported = BTreeMap::new();
        for version in chosen(key, request.version)? {
            key.open(version, Use::Process, self.inner.clock.now()).map_err(Error::Invalid)?;
            let kek = Zeroizing::new(self.inner.bridge.random(32).await?);
            let mut wrapped = encrypted(recipient, request.hash, &kek)?;
            let private = version.private("export").map_err(Error::Invalid)?;
            wrapped.extend(self.wrapped_under(private, &kek).await?);
            exported.insert(version.version, wrapped);
        }
        let mut event = record::event(caller, self.inner.clock.now(), "export", "key.export");
        event.severity = Severity::Warning;
        event.resource_id = Some(key.id.to_string());
        event.data.insert("key".into(), Value::Text(key.name.to_string().into()));
        event.data.insert("exported".into(), Value::Text("secret material, wrapped for another key".into()));
        event.data.insert("destination".into(), Value::Text(request.destination.name.to_string().into()));
        let versions = exported.keys().map(|version| Value::Integer((*version).into())).collect();
        event.data.insert("versions".into(), Value::List(versions));
        self.inner.audit.append(event).await?;
        Ok(exported)
    }
}

/// SubjectPublicKeyInfo of the newest version.
fn recipient(destination: &Key, now: DateTime<Utc>) -> Result<&[u8]> {
    if !destination.algorithm.is_rsa() {
        return Err(Error::Invalid("unsupported key type in use; must be a rsa key".into()));
    }
    let newest = destination.versions.get(&destination.settings.latest_version);
    let newest = newest.ok_or_else(|| Error::Invalid("the destination key has no usable version".into()))?;
    destination.open(newest, Use::Protect, now).map_err(Error::Invalid)?;
    Ok(&newest.public_key)
}

/// RSA-OAEP (RFC 8017, 7.1.1) with an empty label.
fn encrypted(spki: &[u8], hash: Hash, kek: &[u8]) -> Result<Vec<u8>> {
    let unreadable = || Error::Operator("the destination's public key is not read".into());
    let too_small = || Error::Invalid("the destination key is too small for that hash".into());
    let oaep = match hash.0 {
        HashAlgorithm::Sha1 => &OAEP_SHA1_MGF1SHA1,
        // aws-lc has none over it.
        HashAlgorithm::Sha2_224 => {
            let key = RsaPublicKey::from_public_key_der(spki).map_err(|_| unreadable())?;
            let padding = Oaep::new::<rsa::sha2::Sha224>();
            return key.encrypt(&mut rsa::rand_core::OsRng, padding, kek).map_err(|_| too_small());
        }
        HashAlgorithm::Sha2_256 => &OAEP_SHA256_MGF1SHA256,
        HashAlgorithm::Sha2_384 => &OAEP_SHA384_MGF1SHA384,
        HashAlgorithm::Sha2_512 => &OAEP_SHA512_MGF1SHA512,
        _ => return Err(Error::Invalid("unsupported hash function: SHA1, SHA224, SHA256, SHA384 or SHA512".into())),
    };
    let key = PublicEncryptingKey::from_der(spki).map_err(|_| unreadable())?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| unreadable())?;
    let mut encrypted = vec![0; key.ciphertext_size()];
    let length = key.encrypt(oaep, kek, &mut encrypted, None).map_err(|_| too_small())?.len();
    encrypted.truncate(length);
    Ok(encrypted)
}
