//! ML-KEM (FIPS 203) through C_EncapsulateKey and C_DecapsulateKey (PKCS#11 v3.2, 5.18.8): the shared secret is made and wrapped inside the token.

use super::failure::{Attempt, at};
use super::operations::Operations;
use super::spki;
use super::template::{self, Residence};
use crate::{Encapsulated, Error, KeyType, PublicKey};
use cryptoki::context::Function;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

impl Operations {
    /// A new secret for the holder of a key pair.
    pub(super) fn encapsulate(
        &self,
        session: &Session,
        key_type: KeyType,
        public: &PublicKey,
        wrapping: ObjectHandle,
    ) -> Attempt<Encapsulated> {
        self.offered(Function::EncapsulateKey)?;
        let template = template::encapsulation_key(key_type, &spki::bytes(key_type, public)?)?;
        let public = session.create_object(&template).map_err(at("C_CreateObject"))?;
        let made = session
            .encapsulate_key(&Mechanism::MlKem, public, &template::shared_secret(Residence::Wrapping))
            .map_err(at("C_EncapsulateKey"));
        session.destroy_object(public).map_err(at("C_DestroyObject"))?;
        let (ciphertext, secret) = made?;
        Ok(Encapsulated { ciphertext, blob: self.wrapped_once(session, secret, wrapping)? })
    }

    /// The secret that somebody encapsulated. A ciphertext of the right length that is nobody's gives a secret that nobody else has (FIPS 203, 6.3).
    pub(super) fn decapsulate(
        &self,
        session: &Session,
        key: ObjectHandle,
        ciphertext: &[u8],
        wrapping: ObjectHandle,
    ) -> Attempt<Vec<u8>> {
        self.offered(Function::DecapsulateKey)?;
        let secret = session
            .decapsulate_key(&Mechanism::MlKem, key, &template::shared_secret(Residence::Wrapping), ciphertext)
            .map_err(at("C_DecapsulateKey"))?;
        self.wrapped_once(session, secret, wrapping)
    }

    /// The blob of a key that was made to be wrapped, which is destroyed.
    pub(super) fn wrapped_once(
        &self,
        session: &Session,
        secret: ObjectHandle,
        wrapping: ObjectHandle,
    ) -> Attempt<Vec<u8>> {
        let blob = self.wrap(session, wrapping, secret);
        session.destroy_object(secret).map_err(at("C_DestroyObject"))?;
        blob
    }

    /// Functions of PKCS#11 v3.2 are not in the list of an older module.
    fn offered(&self, function: Function) -> Attempt<()> {
        if self.token.pkcs11.is_fn_supported(function) {
            return Ok(());
        }
        Err(Error::Unsupported("CKM_ML_KEM".into()).into())
    }
}
