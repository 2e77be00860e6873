//! The token's PIN as it is kept with the seal shamir: encrypted under the secret that the shares give (AES-256-GCM under a key by HKDF-SHA-256,
//! RFC 5869), bound to the deployment. New shares are a new secret around the same PIN: the token has no part in it.

use super::shamir::Secret;
use super::{Error, Result};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

const PURPOSE: &[u8] = b"clm-seal-pin-v1";

/// Nonce and ciphertext, hex.
pub(super) fn wrap(secret: &Secret, cluster_id: Option<Uuid>, pin: &SecretString) -> Result<String> {
    let mut nonce = [0; NONCE_LEN];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| Error::Internal("no random bytes".into()))?;
    let mut bytes = Zeroizing::new(pin.expose_secret().as_bytes().to_vec());
    key(secret)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound(cluster_id)), &mut *bytes)
        .map_err(|_| Error::Internal("the PIN could not be encrypted".into()))?;
    Ok(hex::encode([nonce.as_slice(), &bytes].concat()))
}

/// The PIN; refused when it was encrypted under another secret or for another deployment, or was changed.
pub(super) fn unwrap(secret: &Secret, cluster_id: Option<Uuid>, wrapped: &str) -> Result<SecretString> {
    let damaged = || {
        Error::Operator(
            "the wrapped PIN in clm_core_db (system_entries, kind seal) does not open with these shares: it was changed; restore the row from backup"
                .into(),
        )
    };
    let bytes = hex::decode(wrapped).map_err(|_| damaged())?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let opened = key(secret)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound(cluster_id)), &mut sealed)
        .map_err(|_| damaged())?;
    let text = std::str::from_utf8(opened).map_err(|_| damaged())?;
    Ok(SecretString::from(text))
}

fn key(secret: &Secret) -> Result<LessSafeKey> {
    let extracted = Salt::new(HKDF_SHA256, PURPOSE).extract(secret.bytes());
    let expanded = extracted.expand(&[PURPOSE], &AES_256_GCM);
    let key: UnboundKey = expanded.map_err(|_| Error::Internal("HKDF".into()))?.into();
    Ok(LessSafeKey::new(key))
}

fn bound(cluster_id: Option<Uuid>) -> Vec<u8> {
    [PURPOSE, cluster_id.unwrap_or_default().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_opens_it_and_only_for_its_deployment() {
        let (secret, other) = (Secret::random().expect("random"), Secret::random().expect("random"));
        let cluster_id = Some(Uuid::from_u128(1));
        let wrapped = wrap(&secret, cluster_id, &"1234".into()).expect("wrapped");
        assert_eq!(unwrap(&secret, cluster_id, &wrapped).expect("opened").expose_secret(), "1234");
        assert!(unwrap(&other, cluster_id, &wrapped).is_err());
        assert!(unwrap(&secret, Some(Uuid::from_u128(2)), &wrapped).is_err());
        let mut bytes = hex::decode(&wrapped).expect("hex");
        bytes[14] ^= 1;
        assert!(unwrap(&secret, cluster_id, &hex::encode(bytes)).is_err());
        assert!(unwrap(&secret, cluster_id, "00").is_err());
    }
}
