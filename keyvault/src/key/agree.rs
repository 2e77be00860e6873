//! ECDH (SP 800-56A rev. 3): a key that this side and the holder of another pair both come to, made in the token, which never leaves it but wrapped. The
//! secret that it is made of leaves it in no way.

use super::shared_secret::{SharedSecret, refused};
use super::sign::choose;
use super::state::Use;
use super::{Key, public};
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Value};
use hsm_bridge::{AgreementKdf, HashAlgorithm, KeyRef};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Before the information that an AES key encrypts, so that it is no other's.
const LABEL: &[u8] = b"clm-agree-v1 ";

/// How the key is made of the shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyDerivation(AgreementKdf);

impl KeyDerivation {
    const ALL: [(&'static str, AgreementKdf); 4] = [
        ("aes-ecb-encrypt-data", AgreementKdf::AesEcbEncryptData),
        ("x963-sha2-256", AgreementKdf::X963(HashAlgorithm::Sha2_256)),
        ("x963-sha2-384", AgreementKdf::X963(HashAlgorithm::Sha2_384)),
        ("x963-sha2-512", AgreementKdf::X963(HashAlgorithm::Sha2_512)),
    ];

    /// By the API's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kdf)| Self(*kdf))
    }

    /// The API's name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kdf)| *kdf == self.0).map_or("", |(name, _)| name)
    }

    /// Whether NIST approves it (SP 800-56C rev. 2; ANSI X9.63 by SP 800-135 rev. 1, 5.1).
    pub fn is_approved(self) -> bool {
        self.0 != AgreementKdf::AesEcbEncryptData
    }

    /// All names, as people are told of them.
    pub fn names() -> String {
        Self::ALL.map(|(name, _)| name).join(", ")
    }
}

/// With whom, and how.
#[derive(Clone, Debug)]
pub struct AgreementRequest {
    /// PEM of the other side's SubjectPublicKeyInfo.
    pub public_key: String,
    /// What the key is made by.
    pub derivation: KeyDerivation,
    /// What both sides know and have the key depend on: SharedInfo of ANSI X9.63.
    pub info: Vec<u8>,
    /// 0: the newest.
    pub version: i64,
}

impl Vault {
    /// The key that `key` and the other side agree on. Nothing of it is answered.
    pub async fn agree(
        &self,
        caller: &Caller,
        key: &Key,
        request: AgreementRequest,
        secret: SharedSecret,
    ) -> Result<Arc<Key>> {
        if !key.algorithm.is_ecdh() {
            let name = key.algorithm.name();
            return Err(Error::Invalid(format!("key type {name} does not support key agreement")));
        }
        // Who comes to an old key once more and who to a new one cannot be told apart.
        self.check_open(caller, key, "key.agree", Use::Protect).await?;
        let version = choose(key, request.version, "agreement", self.inner.clock.now()).map_err(Error::Invalid)?;
        let private = version.private("key agreement").map_err(Error::Invalid)?;
        let peer = public::point(key.algorithm, &request.public_key)?;
        self.check_free(key, &secret.name).await?;
        self.spend(key, version, 1, 0).await?;
        let peer_hash = Sha256::digest(&peer).into();
        let kdf = request.derivation.0;
        let info = match kdf {
            AgreementKdf::AesEcbEncryptData => Sha256::digest([LABEL, &request.info].concat()).to_vec(),
            AgreementKdf::X963(_) => request.info,
        };
        let wrapped_by = KeyRef::Wrapped(self.organization_key(caller.organization_id).await?);
        let blob = self.inner.bridge.agree(private, peer, kdf, info, &wrapped_by).await.map_err(refused)?;
        let shared = self.shared(caller, key, secret)?;
        let mut event = self.shared_event(caller, &shared, "key.agree", key, version);
        event.data.insert("kdf".into(), Value::Text(request.derivation.name().into()));
        event.result_sha256 = Some(peer_hash);
        self.keep(shared, blob, event).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_has_a_name_and_is_found_by_it() {
        for (name, kdf) in KeyDerivation::ALL {
            assert_eq!(KeyDerivation::parse(name), Some(KeyDerivation(kdf)));
            assert_eq!(KeyDerivation(kdf).name(), name);
        }
        assert_eq!(KeyDerivation::ALL.map(|(_, kdf)| kdf), AgreementKdf::ALL);
        assert_eq!(KeyDerivation::parse("hkdf"), None);
    }
}
