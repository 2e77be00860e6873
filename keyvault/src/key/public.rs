//! Public halves that callers bring.

use super::KeyAlgorithm;
use crate::{Error, Result};
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
        _ => None,
    };
    let curve = algorithm.version_name();
    point.ok_or_else(|| {
        Error::Invalid(format!("public_key is no key on the curve {curve}, which key agreement needs here"))
    })
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
