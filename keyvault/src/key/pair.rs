//! Key pairs for callers: made and wrapped in the token, and taken out of it under an AES key drawn for the call, as an export is.

use super::{KeyAlgorithm, material};
use crate::{Error, Result, Vault};
use hsm_bridge::{KeyRef, WrappedKey};
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A pair that leaves the token.
pub(crate) struct NewPair {
    /// PKCS#8, DER (RFC 5958).
    pub(crate) private: Zeroizing<Vec<u8>>,
    /// SubjectPublicKeyInfo, DER.
    pub(crate) public: Vec<u8>,
}

impl Vault {
    /// A new pair, of which nothing stays in the token or in a row. The private half is in this process in the clear from here on
    /// (docs/KEY-HIERARCHY.md, exceptions).
    pub(crate) async fn leaving_pair(&self, organization_id: Uuid, algorithm: KeyAlgorithm) -> Result<NewPair> {
        let (key_type, purpose) = (algorithm.key_type(), algorithm.purpose());
        if !self.inner.bridge.capabilities().await?.wraps(key_type) {
            let name = algorithm.name();
            return Err(Error::Invalid(format!(
                "this token cannot wrap keys of type {name}, so that none leaves it: make one that stays there (transit/keys)"
            )));
        }
        let wrapped_by = KeyRef::Wrapped(self.organization_key(organization_id).await?);
        let generated = self.inner.bridge.generate_wrapped_key(key_type, purpose, &wrapped_by).await?;
        let public = generated.public.ok_or_else(|| Error::Operator("the token gave no public key".into()))?.spki_der;
        let key = WrappedKey { id: Uuid::now_v7(), key_type, purpose, blob: generated.blob, wrapped_by };
        let private = self.clear(&KeyRef::Wrapped(Arc::new(key))).await?;
        Ok(NewPair { private: material::pkcs8(algorithm, &public, &private)?, public })
    }
}
