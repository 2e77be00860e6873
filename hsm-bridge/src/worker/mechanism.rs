//! From what we ask to what cryptoki calls it.

use super::ffi;
use crate::{Error, HashAlgorithm, Result};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};

/// DigestInfo prefixes of RFC 8017, 9.2, note 1 (and RFC 8702's sibling OIDs for SHA-3): DER up to the digest.
pub(super) fn digest_info(hash: HashAlgorithm, digest: &[u8]) -> Result<Vec<u8>> {
    let (oid, length): (&[u8], u8) = match hash {
        HashAlgorithm::Sha1 => (&[0x2b, 0x0e, 0x03, 0x02, 0x1a], 20),
        HashAlgorithm::Sha2_224 => (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x04], 28),
        HashAlgorithm::Sha2_256 => (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01], 32),
        HashAlgorithm::Sha2_384 => (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02], 48),
        HashAlgorithm::Sha2_512 => (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03], 64),
        HashAlgorithm::Sha3_224 => (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x07], 28),
        HashAlgorithm::Sha3_256 => (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x08], 32),
        HashAlgorithm::Sha3_384 => (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x09], 48),
        HashAlgorithm::Sha3_512 => (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x0a], 64),
    };
    if digest.len() != usize::from(length) {
        return Err(Error::Refused {
            function: "DigestInfo".into(),
            reason: format!("a digest of {} bytes where {hash:?} has {length}", digest.len()),
        });
    }
    let oid_length = u8::try_from(oid.len()).expect("under 128");
    let mut der = vec![0x30, 8 + oid_length + length, 0x30, 4 + oid_length, 0x06, oid_length];
    der.extend_from_slice(oid);
    der.extend_from_slice(&[0x05, 0x00, 0x04, length]);
    der.extend_from_slice(digest);
    Ok(der)
}

/// CKM_RSA_PKCS_PSS over a digest.
pub(super) fn pss(hash: HashAlgorithm, salt_length: u16) -> Result<Mechanism<'static>> {
    let (hash_alg, mgf) = match hash {
        HashAlgorithm::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        HashAlgorithm::Sha2_224 => (MechanismType::SHA224, PkcsMgfType::MGF1_SHA224),
        HashAlgorithm::Sha2_256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        HashAlgorithm::Sha2_384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        HashAlgorithm::Sha2_512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        other => return Err(Error::Unsupported(format!("CKM_RSA_PKCS_PSS with {other:?}"))),
    };
    Ok(Mechanism::RsaPkcsPss(PkcsPssParams { hash_alg, mgf, s_len: u64::from(salt_length).into() }))
}

/// CKM_…_HMAC; of SHA-3, for which cryptoki has no names, if the token `offers` it.
pub(super) fn hmac(hash: HashAlgorithm, offers: impl Fn(MechanismType) -> bool) -> Result<Mechanism<'static>> {
    let (kind, name) = match hash {
        HashAlgorithm::Sha1 => return Ok(Mechanism::Sha1Hmac),
        HashAlgorithm::Sha2_224 => return Ok(Mechanism::Sha224Hmac),
        HashAlgorithm::Sha2_256 => return Ok(Mechanism::Sha256Hmac),
        HashAlgorithm::Sha2_384 => return Ok(Mechanism::Sha384Hmac),
        HashAlgorithm::Sha2_512 => return Ok(Mechanism::Sha512Hmac),
        HashAlgorithm::Sha3_224 => (cryptoki_sys::CKM_SHA3_224_HMAC, "CKM_SHA3_224_HMAC"),
        HashAlgorithm::Sha3_256 => (cryptoki_sys::CKM_SHA3_256_HMAC, "CKM_SHA3_256_HMAC"),
        HashAlgorithm::Sha3_384 => (cryptoki_sys::CKM_SHA3_384_HMAC, "CKM_SHA3_384_HMAC"),
        HashAlgorithm::Sha3_512 => (cryptoki_sys::CKM_SHA3_512_HMAC, "CKM_SHA3_512_HMAC"),
    };
    let kind = ffi::numbered(kind);
    if offers(kind) { Ok(ffi::without_parameter(kind)) } else { Err(Error::Unsupported(name.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_info_of_sha_256_is_that_of_rfc_8017() {
        let der = digest_info(HashAlgorithm::Sha2_256, &[7; 32]).expect("right length");
        let prefix = [
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
            0x20,
        ];
        assert_eq!(der[..19], prefix);
        assert_eq!(der[19..], [7; 32]);
        assert!(digest_info(HashAlgorithm::Sha2_256, &[7; 31]).is_err());
    }
}
