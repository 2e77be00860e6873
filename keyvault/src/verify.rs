//! Verifying signatures in software.

use crate::key::{Hash, KeyAlgorithm, Marshaling, Padding, SaltLength, VerifyRequest};
use der::asn1::UintRef;
use der::{Decode, Sequence};
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use spki::SubjectPublicKeyInfoRef;
use subtle::ConstantTimeEq;

/// Whether `signature` is one over `input`. `Err`: it is not even shaped like one where the reference refuses that.
pub(crate) fn signature(
    algorithm: KeyAlgorithm,
    spki: &[u8],
    request: &VerifyRequest,
    input: &[u8],
    signature: &[u8],
) -> Result<bool, String> {
    if algorithm == KeyAlgorithm::Ed25519 {
        return Ok(ed25519(spki, input, signature));
    }
    if algorithm.is_ml_dsa() {
        return Ok(ml_dsa(algorithm, spki, input, signature));
    }
    let digest = match request.hash {
        Some(hash) if !request.prehashed => hash.digest(input),
        _ => input.to_vec(),
    };
    if let Some(order) = algorithm.order_bytes() {
        let raw = match request.marshaling {
            Marshaling::Asn1 => from_der(signature, order).ok_or("supplied signature is invalid")?,
            Marshaling::Jws => Some(signature.to_vec()).filter(|raw| raw.len() == 2 * order),
        };
        return Ok(raw.is_some_and(|raw| ecdsa(algorithm, spki, &fit(&digest, order), &raw)));
    }
    let Ok(key) = RsaPublicKey::from_public_key_der(spki) else {
        return Err("the stored public key cannot be read".into());
    };
    Ok(match request.padding {
        Padding::Pkcs1v15 => pkcs1v15(&key, request.hash, &digest, signature),
        Padding::Pss => request.hash.is_some_and(|hash| pss(&key, hash, request.salt_length, &digest, signature)),
    })
}

/// Whether a key pair made that signature (r ‖ s of ECDSA, RSASSA-PKCS1-v1_5 with SHA-256) over a digest of 32 bytes, which for Ed25519 is a message.
pub(crate) fn probe(algorithm: KeyAlgorithm, spki: &[u8], digest: &[u8], signature: &[u8]) -> bool {
    if algorithm == KeyAlgorithm::Ed25519 {
        return ed25519(spki, digest, signature);
    }
    match algorithm.order_bytes() {
        Some(order) => ecdsa(algorithm, spki, &fit(digest, order), signature),
        None => RsaPublicKey::from_public_key_der(spki)
            .is_ok_and(|key| pkcs1v15(&key, Some(Hash::SHA2_256), digest, signature)),
    }
}

macro_rules! recovered_on {
    ($curve:ident, $digest:expr, $raw:expr) => {{
        use $curve::ecdsa::{Signature, VerifyingKey};
        use $curve::pkcs8::EncodePublicKey as _;
        let signature = Signature::from_slice($raw).ok();
        let recover = |signature| {
            // One type for all curves; only p256 names it.
            let ids = (0..4).filter_map(p256::ecdsa::RecoveryId::from_byte);
            let keys = ids.filter_map(|id| VerifyingKey::recover_from_prehash($digest, &signature, id).ok());
            keys.filter_map(|key| key.to_public_key_der().ok()).map(|der| der.into_vec()).collect()
        };
        signature.map(recover).unwrap_or_default()
    }};
}

/// The public keys, as SubjectPublicKeyInfo, under which an ECDSA signature of a digest is valid (SEC 1, 4.1.6): one of them is its maker's.
pub(crate) fn recovered(algorithm: KeyAlgorithm, digest: &[u8], raw: &[u8]) -> Vec<Vec<u8>> {
    let digest = fit(digest, algorithm.order_bytes().unwrap_or_default());
    match algorithm {
        KeyAlgorithm::EcdsaP256 => recovered_on!(p256, &digest, raw),
        KeyAlgorithm::EcdsaP384 => recovered_on!(p384, &digest, raw),
        KeyAlgorithm::EcdsaP521 => recovered_on!(p521, &digest, raw),
        _ => Vec::new(),
    }
}

fn ed25519(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    use ed25519_dalek::pkcs8::DecodePublicKey as _;
    let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_der(spki) else { return false };
    ed25519_dalek::Signature::from_slice(signature)
        .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
}

/// FIPS 204, 5.3, with an empty context.
fn ml_dsa(algorithm: KeyAlgorithm, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    use aws_lc_rs::signature::{ML_DSA_44, ML_DSA_65, ML_DSA_87, UnparsedPublicKey};
    let scheme = match algorithm {
        KeyAlgorithm::MlDsa44 => &ML_DSA_44,
        KeyAlgorithm::MlDsa65 => &ML_DSA_65,
        _ => &ML_DSA_87,
    };
    let Ok(info) = SubjectPublicKeyInfoRef::from_der(spki) else { return false };
    let key = info.subject_public_key.as_bytes().unwrap_or_default();
    UnparsedPublicKey::new(scheme, key).verify(message, signature).is_ok()
}

/// FIPS 186-5, 6.4.2: the leftmost bits of a longer digest; a shorter one is the same number with zeros before it.
fn fit(digest: &[u8], order: usize) -> Vec<u8> {
    let mut fitted = vec![0; order.saturating_sub(digest.len())];
    fitted.extend_from_slice(&digest[..digest.len().min(order)]);
    fitted
}

#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// `None`: no ECDSA-Sig-Value. `Some(None)`: one, but of numbers that no signature has.
fn from_der(der: &[u8], order: usize) -> Option<Option<Vec<u8>>> {
    let value = EcdsaSigValue::from_der(der).ok()?;
    let padded =
        |number: &[u8]| (number.len() <= order).then(|| [vec![0; order - number.len()], number.to_vec()].concat());
    Some(padded(value.r.as_bytes()).zip(padded(value.s.as_bytes())).map(|(r, s)| [r, s].concat()))
}

macro_rules! ecdsa_on {
    ($curve:ident, $spki:expr, $digest:expr, $raw:expr) => {{
        use $curve::ecdsa::signature::hazmat::PrehashVerifier;
        use $curve::pkcs8::DecodePublicKey as _;
        let key = $curve::ecdsa::VerifyingKey::from_public_key_der($spki);
        let signature = $curve::ecdsa::Signature::from_slice($raw);
        matches!((key, signature), (Ok(key), Ok(signature)) if key.verify_prehash($digest, &signature).is_ok())
    }};
}

fn ecdsa(algorithm: KeyAlgorithm, spki: &[u8], digest: &[u8], raw: &[u8]) -> bool {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => ecdsa_on!(p256, spki, digest, raw),
        KeyAlgorithm::EcdsaP384 => ecdsa_on!(p384, spki, digest, raw),
        KeyAlgorithm::EcdsaP521 => ecdsa_on!(p521, spki, digest, raw),
        _ => false,
    }
}

fn pkcs1v15(key: &RsaPublicKey, hash: Option<Hash>, digest: &[u8], signature: &[u8]) -> bool {
    let scheme = match hash {
        None => Pkcs1v15Sign::new_unprefixed(),
        Some(hash) if digest.len() == hash.length() => {
            Pkcs1v15Sign { hash_len: Some(hash.length()), prefix: hash.digest_info_prefix().into() }
        }
        Some(_) => return false,
    };
    key.verify(scheme, digest, signature).is_ok()
}

/// RFC 8017, 8.1.2 and 9.1.2. The rsa crate wants to be told the salt's length; clients expect it to be found.
fn pss(key: &RsaPublicKey, hash: Hash, salt_length: SaltLength, digest: &[u8], signature: &[u8]) -> bool {
    let number = BigUint::from_bytes_be(signature);
    if signature.len() != key.size() || &number >= key.n() || digest.len() != hash.length() {
        return false;
    }
    let encoded_bits = key.n().bits() - 1;
    let length = encoded_bits.div_ceil(8);
    let bytes = number.modpow(key.e(), key.n()).to_bytes_be();
    let Some(missing) = length.checked_sub(bytes.len()) else { return false };
    let encoded = [vec![0; missing], bytes].concat();
    let Some(masked_length) = length.checked_sub(hash.length() + 1).filter(|_| encoded.last() == Some(&0xbc)) else {
        return false;
    };
    let (masked, rest) = encoded.split_at(masked_length);
    let stored = &rest[..hash.length()];
    let unused_bits = 8 * length - encoded_bits;
    let unused_mask = !(0xffu8.checked_shr(u32::try_from(unused_bits).unwrap_or(8)).unwrap_or(0));
    let mut block = masked.to_vec();
    if block.first().is_none_or(|first| first & unused_mask != 0) {
        return false;
    }
    for (index, mask) in block.chunks_mut(hash.length()).enumerate() {
        let counter = u32::try_from(index).unwrap_or(u32::MAX).to_be_bytes();
        let pad = hash.digest(&[stored, &counter].concat());
        mask.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
    }
    block[0] &= !unused_mask;
    let Some(start) = block.iter().position(|byte| *byte != 0).filter(|start| block[*start] == 1) else { return false };
    let salt = &block[start + 1..];
    let fits = match salt_length {
        SaltLength::Auto => true,
        SaltLength::Hash => salt.len() == hash.length(),
        SaltLength::Bytes(bytes) => salt.len() == bytes as usize,
    };
    let expected = hash.digest(&[&[0; 8], digest, salt].concat());
    fits && bool::from(expected.ct_eq(stored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_that_is_no_signature_is_told_from_numbers_that_no_signature_has() {
        assert!(from_der(b"abc", 32).is_none());
        assert!(from_der(&[0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01, 0x00], 32).is_none(), "trailing bytes");
        let small = from_der(&[0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x02], 32).expect("DER").expect("fits");
        assert_eq!((small.len(), small[31], small[63]), (64, 1, 2));
        let long = [&[0x30, 0x27, 0x02, 0x22, 0x01][..], &[7; 33], &[0x02, 0x01, 0x01]].concat();
        assert_eq!(from_der(&long, 32), Some(None));
    }

    #[test]
    fn digests_are_cut_and_padded_as_numbers() {
        assert_eq!(fit(&[1, 2, 3], 2), [1, 2]);
        assert_eq!(fit(&[1], 3), [0, 0, 1]);
    }
}
