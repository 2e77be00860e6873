//! Keys as callers read and write them: PEM, DER, base64.

use super::KeyAlgorithm;
use crate::{Error, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef};
use der::pem::LineEnding;
use der::{Decode, Encode, Reader, Sequence, SliceReader};
use p256::pkcs8::PrivateKeyInfoRef;
use spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// Base64 of PKCS#8 or SubjectPublicKeyInfo.
    Der,
    /// PEM of PKCS#8 or SubjectPublicKeyInfo.
    Pem,
    /// Base64 of the bytes alone, for types that have such.
    Raw,
    /// Each type's own: PEM (PKCS#1, SEC 1, SubjectPublicKeyInfo) or base64.
    Usual,
}

/// ECPrivateKey (RFC 5915, 3).
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    parameters: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    public_key: Option<BitStringRef<'a>>,
}

fn unreadable(error: der::Error) -> Error {
    Error::Hsm(hsm_bridge::Error::Internal(format!("a key that the token gave is not understood: {error}")))
}

/// The public half from its SubjectPublicKeyInfo.
pub(crate) fn public(algorithm: KeyAlgorithm, spki: &[u8], format: ExportFormat) -> Result<String> {
    let is_ed25519 = algorithm == KeyAlgorithm::Ed25519;
    Ok(match format {
        // The 32 bytes end it (RFC 8410, 4).
        ExportFormat::Usual | ExportFormat::Raw if is_ed25519 => {
            BASE64_STANDARD.encode(&spki[spki.len().saturating_sub(32)..])
        }
        ExportFormat::Usual | ExportFormat::Pem => {
            let pem = pem("PUBLIC KEY", spki)?;
            if algorithm.modulus_bytes().is_some() { pem.to_string() } else { pem.trim_end().to_owned() }
        }
        ExportFormat::Der => BASE64_STANDARD.encode(spki),
        // Of FIPS 203 and 204 a key is its bytes.
        ExportFormat::Raw if algorithm.post_quantum().is_some() => {
            let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(unreadable)?;
            BASE64_STANDARD.encode(info.subject_public_key.as_bytes().unwrap_or_default())
        }
        ExportFormat::Raw => return Err(no_raw(algorithm)),
    })
}

/// A token may fill PKCS#8 up with zeros to the eight bytes that AES key wrapping counts in (SoftHSM2 does): the document alone.
pub(super) fn document(filled_up: &[u8]) -> Result<&[u8]> {
    let length = SliceReader::new(filled_up).and_then(|mut reader| {
        AnyRef::decode(&mut reader)?;
        usize::try_from(reader.position())
    });
    length.map(|length| &filled_up[..length]).map_err(unreadable)
}

/// A secret key: its bytes, which have no other form.
pub(super) fn secret(key: &[u8], format: ExportFormat) -> Result<Zeroizing<String>> {
    match format {
        ExportFormat::Usual | ExportFormat::Raw => Ok(base64(key)),
        ExportFormat::Der | ExportFormat::Pem => {
            Err(Error::Invalid("unknown format for HMAC key; supported values are `` or `raw`".into()))
        }
    }
}

/// The private half from the token's PKCS#8.
pub(crate) fn private(
    algorithm: KeyAlgorithm,
    spki: &[u8],
    pkcs8: &[u8],
    format: ExportFormat,
) -> Result<Zeroizing<String>> {
    let pkcs8 = document(pkcs8)?;
    if algorithm == KeyAlgorithm::Ed25519 {
        return ed25519(spki, pkcs8, format);
    }
    let is_rsa = algorithm.modulus_bytes().is_some();
    match format {
        ExportFormat::Der => Ok(base64(&whole(algorithm, spki, pkcs8)?)),
        ExportFormat::Usual if algorithm.post_quantum().is_some() => pem("PRIVATE KEY", pkcs8),
        ExportFormat::Pem => {
            let text = pem("PRIVATE KEY", &whole(algorithm, spki, pkcs8)?)?;
            Ok(if is_rsa { text } else { Zeroizing::new(text.trim_end().to_owned()) })
        }
        ExportFormat::Usual if is_rsa => {
            // PKCS#8 holds RSAPrivateKey (RFC 8017, A.1.2) as it is.
            let info = PrivateKeyInfoRef::from_der(pkcs8).map_err(unreadable)?;
            pem("RSA PRIVATE KEY", info.private_key.as_bytes())
        }
        ExportFormat::Usual => {
            let text = pem("EC PRIVATE KEY", &sec1(spki, pkcs8, true)?)?;
            Ok(Zeroizing::new(text.trim_end().to_owned()))
        }
        ExportFormat::Raw => Err(no_raw(algorithm)),
    }
}

/// PKCS#8, DER, of the private half that a token gave.
pub(super) fn pkcs8(algorithm: KeyAlgorithm, spki: &[u8], filled_up: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    whole(algorithm, spki, document(filled_up)?)
}

/// PKCS#8, of EC keys with the public key inside, which tokens may leave out.
fn whole(algorithm: KeyAlgorithm, spki: &[u8], pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    if algorithm.as_ecdsa().order_bytes().is_none() {
        return Ok(Zeroizing::new(pkcs8.to_vec()));
    }
    let key = sec1(spki, pkcs8, false)?;
    let mut info = PrivateKeyInfoRef::from_der(pkcs8).map_err(unreadable)?;
    info.private_key = OctetStringRef::new(&key).map_err(unreadable)?;
    info.to_der().map(Zeroizing::new).map_err(unreadable)
}

fn sec1(spki: &[u8], pkcs8: &[u8], with_parameters: bool) -> Result<Zeroizing<Vec<u8>>> {
    let encode = || {
        let info = PrivateKeyInfoRef::from_der(pkcs8)?;
        let public = SubjectPublicKeyInfoRef::from_der(spki)?;
        let inner = EcPrivateKey::from_der(info.private_key.as_bytes())?;
        let parameters = info.algorithm.parameters_oid().ok().filter(|_| with_parameters);
        let key = EcPrivateKey { parameters, public_key: Some(public.subject_public_key), ..inner };
        key.to_der()
    };
    encode().map(Zeroizing::new).map_err(unreadable)
}

fn ed25519(spki: &[u8], pkcs8: &[u8], format: ExportFormat) -> Result<Zeroizing<String>> {
    match format {
        ExportFormat::Der => Ok(base64(pkcs8)),
        ExportFormat::Pem => Ok(Zeroizing::new(pem("PRIVATE KEY", pkcs8)?.trim_end().to_owned())),
        ExportFormat::Usual | ExportFormat::Raw => {
            let info = PrivateKeyInfoRef::from_der(pkcs8).map_err(unreadable)?;
            let seed = <&OctetStringRef>::from_der(info.private_key.as_bytes()).map_err(unreadable)?;
            let public = &spki[spki.len().saturating_sub(32)..];
            Ok(base64(&Zeroizing::new([seed.as_bytes(), public].concat())))
        }
    }
}

fn no_raw(algorithm: KeyAlgorithm) -> Error {
    let family = if algorithm.modulus_bytes().is_some() { "rsa" } else { "ec" };
    Error::Invalid(format!("unknown key format for {family} key; supported values are ``, `der`, or `pem`"))
}

fn base64(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE64_STANDARD.encode(bytes))
}

fn pem(label: &'static str, der: &[u8]) -> Result<Zeroizing<String>> {
    let encoded = der::pem::encode_string(label, LineEnding::LF, der);
    encoded.map(Zeroizing::new).map_err(|error| Error::Hsm(hsm_bridge::Error::Internal(error.to_string())))
}
