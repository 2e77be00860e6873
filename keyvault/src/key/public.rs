//! Public halves that callers bring.

use super::KeyAlgorithm;
use crate::{Error, Result};
use curve25519_dalek::{MontgomeryPoint, Scalar};
use der::Decode;
use rsa::RsaPublicKey;
use rsa::traits::PublicKeyParts;
use spki::SubjectPublicKeyInfoRef;

/// SubjectPublicKeyInfo, DER, of a PEM; it must be a key of that algorithm.
pub(super) fn checked(algorithm: KeyAlgorithm, pem: &str) -> Result<Vec<u8>> {
    if algorithm.is_symmetric() {
        return Err(Error::Invalid("provided type does not support public_key import".into()));
    }
    let der = decoded(pem)?;
    fits(algorithm, &der)?;
    Ok(der)
}

fn decoded(pem: &str) -> Result<Vec<u8>> {
    let unreadable = || Error::Invalid("error parsing public_key: PEM of a SubjectPublicKeyInfo is needed".into());
    let (label, der) = der::pem::decode_vec(pem.trim().as_bytes()).map_err(|_| unreadable())?;
    if label == "PUBLIC KEY" { Ok(der) } else { Err(unreadable()) }
}

macro_rules! point_on {
    ($curve:ident, $spki:expr) => {{
        use $curve::elliptic_curve::sec1::ToSec1Point as _;
        use $curve::pkcs8::DecodePublicKey as _;
        // A point of the curve and not that at infinity: full validation (SP 800-56A rev. 3, 5.6.2.3.3), because the cofactor is 1.
        $curve::PublicKey::from_public_key_der($spki).ok().map(|key| key.to_sec1_point(false).as_bytes().to_vec())
    }};
}

/// The point, not compressed (SEC 1, 2.3.3), of a PEM that another side sent to agree on a key with one of that algorithm.
pub(super) fn point(algorithm: KeyAlgorithm, pem: &str) -> Result<Vec<u8>> {
    let der = decoded(pem)?;
    let point = match algorithm {
        KeyAlgorithm::EcdhP256 => point_on!(p256, &der),
        KeyAlgorithm::EcdhP384 => point_on!(p384, &der),
        KeyAlgorithm::EcdhP521 => point_on!(p521, &der),
        KeyAlgorithm::X25519 => x25519(&der),
        _ => None,
    };
    let curve = if algorithm == KeyAlgorithm::X25519 { "Curve25519" } else { algorithm.version_name() };
    point.ok_or_else(|| {
        Error::Invalid(format!("public_key is no key on the curve {curve}, which key agreement needs here"))
    })
}

/// The 32 bytes of an X25519 key (RFC 8410, 4) with which there is a secret to share: with a point of small order it would be 0, whatever the
/// private key (RFC 7748, 6.1).
fn x25519(spki: &[u8]) -> Option<Vec<u8>> {
    let info = SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    let is_x25519 = info.algorithm.oid.to_string() == "1.3.101.110" && info.algorithm.parameters.is_none();
    let point = MontgomeryPoint(info.subject_public_key.as_bytes()?.try_into().ok()?);
    let shares = point * Scalar::from(8u8) != MontgomeryPoint::default();
    (is_x25519 && shares).then(|| point.as_bytes().to_vec())
}

/// Whether a public key is one of that algorithm and can be one: on its curve, or of that many bits.
pub(super) fn fits(algorithm: KeyAlgorithm, spki: &[u8]) -> Result<()> {
    let fits = match algorithm {
        KeyAlgorithm::EcdhP256 | KeyAlgorithm::EcdsaP256 => {
            use p256::pkcs8::DecodePublicKey as _;
            p256::PublicKey::from_public_key_der(spki).is_ok()
        }
        KeyAlgorithm::EcdhP384 | KeyAlgorithm::EcdsaP384 => {
            use p384::pkcs8::DecodePublicKey as _;
            p384::PublicKey::from_public_key_der(spki).is_ok()
        }
        KeyAlgorithm::EcdhP521 | KeyAlgorithm::EcdsaP521 => {
            use p521::pkcs8::DecodePublicKey as _;
            p521::PublicKey::from_public_key_der(spki).is_ok()
        }
        KeyAlgorithm::Ed25519 => {
            use ed25519_dalek::pkcs8::DecodePublicKey as _;
            ed25519_dalek::VerifyingKey::from_public_key_der(spki).is_ok_and(|key| !key.is_weak())
        }
        KeyAlgorithm::X25519 => x25519(spki).is_some(),
        _ if algorithm.post_quantum().is_some() => post_quantum(algorithm, spki),
        _ => {
            use rsa::pkcs8::DecodePublicKey as _;
            // A public exponent of 1 would sign everything; an even one has no inverse.
            RsaPublicKey::from_public_key_der(spki).is_ok_and(|key| {
                let exponent = key.e();
                Some(key.n().bits()) == algorithm.modulus_bytes().map(|bytes| 8 * bytes)
                    && *exponent >= 3u8.into()
                    && exponent.to_bytes_le().first().is_some_and(|byte| byte & 1 == 1)
            })
        }
    };
    if fits {
        Ok(())
    } else {
        Err(Error::Invalid(format!("error importing key: it is no key of type {}", algorithm.name())))
    }
}

/// Any bytes of the right length are an ML-DSA key; those of an ML-KEM key are looked at where they are used (FIPS 203, 7.2).
fn post_quantum(algorithm: KeyAlgorithm, spki: &[u8]) -> bool {
    let (Some((length, arc)), Ok(info)) = (algorithm.post_quantum(), SubjectPublicKeyInfoRef::from_der(spki)) else {
        return false;
    };
    info.algorithm.oid.to_string() == format!("2.16.840.1.101.3.4.{arc}")
        && info.algorithm.parameters.is_none()
        && info.subject_public_key.as_bytes().is_some_and(|key| key.len() == length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_no_x25519_point_of_small_order_is_there_a_secret_to_share() {
        let spki = |point: &[u8]| [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 0x21, 0][..], point].concat();
        // The base point (RFC 7748, 4.1).
        let mut point = [0; 32];
        point[0] = 9;
        assert_eq!(x25519(&spki(&point)).as_deref(), Some(&point[..]));
        assert_eq!(x25519(&spki(&point)[..43]), None);
        let mut ed25519 = spki(&point);
        ed25519[8] = 0x70;
        assert_eq!(x25519(&ed25519), None);
        // Of orders 1, 2, 4 and 8, also where they are not reduced.
        for small in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            let mut point = hex::decode(small).expect("digits");
            assert_eq!(x25519(&spki(&point)), None, "{small}");
            // The highest bit does not count.
            point[31] |= 0x80;
            assert_eq!(x25519(&spki(&point)), None, "{small}");
        }
    }
}
