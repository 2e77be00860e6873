//! Export for somebody else: wrapped inside the token, for the holder of an RSA key, in the form in which `import` takes keys in.

use super::export::chosen;
use super::state::Use;
use super::{ExportVersion, Hash, Key};
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Severity, Value};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPublicEncryptingKey, PublicEncryptingKey,
};
use chrono::{DateTime, Utc};
use hsm_bridge::HashAlgorithm;
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
        let oaep = oaep(request.hash)?;
        let mut exported = BTreeMap::new();
        for version in chosen(key, request.version)? {
            key.open(version, Use::Process, self.inner.clock.now()).map_err(Error::Invalid)?;
            let kek = Zeroizing::new(self.inner.bridge.random(32).await?);
            let mut wrapped = vec![0; recipient.ciphertext_size()];
            let failed = |_| Error::Invalid("the destination key is too small for that hash".into());
            let length = recipient.encrypt(oaep, &kek, &mut wrapped, None).map_err(failed)?.len();
            wrapped.truncate(length);
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

fn recipient(destination: &Key, now: DateTime<Utc>) -> Result<OaepPublicEncryptingKey> {
    if !destination.algorithm.is_rsa() {
        return Err(Error::Invalid("unsupported key type in use; must be a rsa key".into()));
    }
    let newest = destination.versions.get(&destination.settings.latest_version);
    let newest = newest.ok_or_else(|| Error::Invalid("the destination key has no usable version".into()))?;
    destination.open(newest, Use::Protect, now).map_err(Error::Invalid)?;
    let unreadable = |_| Error::Operator("the destination's public key is not read".into());
    let key = PublicEncryptingKey::from_der(&newest.public_key).map_err(unreadable)?;
    OaepPublicEncryptingKey::new(key).map_err(|_| Error::Operator("the destination's public key is not read".into()))
}

fn oaep(hash: Hash) -> Result<&'static OaepAlgorithm> {
    match hash.0 {
        HashAlgorithm::Sha1 => Ok(&OAEP_SHA1_MGF1SHA1),
        HashAlgorithm::Sha2_256 => Ok(&OAEP_SHA256_MGF1SHA256),
        HashAlgorithm::Sha2_384 => Ok(&OAEP_SHA384_MGF1SHA384),
        HashAlgorithm::Sha2_512 => Ok(&OAEP_SHA512_MGF1SHA512),
        _ => Err(Error::Invalid("unsupported hash function: SHA1, SHA256, SHA384 or SHA512".into())),
    }
}
