//! Keys that come in and go out: always wrapped, and in the clear only inside the token.

use super::failure::{Attempt, Failure, at};
use super::generation::generate;
use super::operations::Operations;
use super::sign::sign;
use super::template::{self, Residence};
use super::{ffi, oaep, spki};
use crate::protocol::{KeyExport, KeyImport, Reply};
use crate::{Error, HashAlgorithm, ImportedKey, KeyType, PROBES, PublicKey, Purpose, Result, SignMechanism};
use cryptoki::object::{Attribute, AttributeType, KeyType as CkKeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroize;

impl Operations {
    /// The key under a key from outside, which becomes an object of this session for that one call.
    pub(super) fn export(&self, session: &Session, export: &KeyExport) -> Attempt<Reply> {
        let wrapping = self.handle(session, export.wrapped_by)?;
        let kek = kek_object(session, &export.kek.0, &[Attribute::Wrap(true)])?;
        let exported = self
            .unwrap(session, export.key_type, Purpose::Wrapping, Residence::Wrapping, &export.blob, *wrapping)
            .and_then(|key| destroying(session, key, self.wrap(session, kek, key)));
        Ok(Reply::Bytes(destroying(session, kek, exported)?))
    }

    /// Unwraps a caller's key, looks at it, lets it sign, and wraps it under the organization's key.
    pub(super) fn import(&self, session: &Session, import: &KeyImport) -> Attempt<Reply> {
        if !self.capabilities.wraps(import.key_type) {
            let name = import.key_type;
            let reason =
                format!("unwrapping {name:?} keys: make them inside the token, or import the public half alone");
            return Err(Error::Unsupported(reason).into());
        }
        let (transport, wrapping) = (self.handle(session, import.transport)?, self.handle(session, import.wrapped_by)?);
        let (kek, unpadded_in_worker) = self.kek(session, *transport, import)?;
        let taken = self
            .unwrap(session, import.key_type, import.purpose, Residence::Wrapping, &import.blob, kek)
            .and_then(|key| {
                let looked =
                    self.unchanged(session, import, kek, key).and_then(|()| self.look(session, import, kek, key));
                match looked {
                    Ok(looked) => Ok((key, looked)),
                    Err(error) => destroying(session, key, Err(error)),
                }
            });
        let (key, (public, signatures)) = destroying(session, kek, taken)?;
        let imported = (|| -> Attempt<ImportedKey> {
            let blob = self.wrap(session, *wrapping, key)?;
            let key_type = measured(session, key, import.key_type, &blob)?;
            Ok(ImportedKey { blob, key_type, public, signatures, unpadded_in_worker })
        })();
        Ok(Reply::Imported(Box::new(destroying(session, key, imported)?)))
    }

    /// The AES key that a caller wrapped its key with: inside the token, if that knows the hash.
    fn kek(&self, session: &Session, transport: ObjectHandle, import: &KeyImport) -> Attempt<(ObjectHandle, bool)> {
        let may = [Attribute::Unwrap(true), Attribute::Wrap(true)];
        let mut attributes = kek_attributes(&may);
        attributes.push(Attribute::Sensitive(true));
        match session.unwrap_key(&oaep::mechanism(import.hash)?, transport, &import.kek, &attributes) {
            Err(error) if oaep::lacks_hash(&error) => {
                let kek = oaep::unpad(session, transport, import.hash, &import.kek, import.unpadding)?;
                Ok((kek_object(session, &kek, &may)?, true))
            }
            other => Ok((other.map_err(at("C_UnwrapKey"))?, false)),
        }
    }

    /// A secret key must be in the token as it was sent, to the byte: else its HMACs were other ones. AES-KWP draws nothing (RFC 5649, 4.1), so that
    /// it wraps to the same again; not where a token fills unwrapped keys up (SoftHSM2 does).
    fn unchanged(&self, session: &Session, import: &KeyImport, kek: ObjectHandle, key: ObjectHandle) -> Attempt<()> {
        if template::secret_length(import.key_type).is_none() || self.wrap(session, kek, key)? == import.blob {
            return Ok(());
        }
        let reason =
            "this token fills keys up with zeros when it unwraps them: it takes in only lengths that eight divides";
        Err(Error::Refused { function: "import".into(), reason: reason.into() }.into())
    }

    /// Examines a key, or of a pair for agreement, which signs nothing, the same pair unwrapped once more as one that signs, for as long as that takes.
    fn look(&self, session: &Session, import: &KeyImport, kek: ObjectHandle, key: ObjectHandle) -> Attempt<Looked> {
        if import.purpose != Purpose::Agreement {
            return self.examine(session, key, import);
        }
        if import.key_type == KeyType::X25519 {
            let public = self.public_half(session, key, import.key_type)?;
            self.agrees(session, key, &public, kek)?;
            return Ok((Some(public), Vec::new()));
        }
        let signer = self.unwrap(session, import.key_type, Purpose::Signing, Residence::Session, &import.blob, kek)?;
        destroying(session, signer, self.examine(session, signer, import))
    }

    fn examine(&self, session: &Session, key: ObjectHandle, import: &KeyImport) -> Attempt<Looked> {
        let key_type = import.key_type;
        let mechanism = match key_type {
            KeyType::EcP256 | KeyType::EcP384 | KeyType::EcP521 => {
                curve_is(session, key, key_type)?;
                SignMechanism::Ecdsa
            }
            KeyType::Ed25519 => SignMechanism::Ed25519,
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => {
                SignMechanism::RsaPkcs1(Some(HashAlgorithm::Sha2_256))
            }
            _ => return Ok((None, Vec::new())),
        };
        let public = match mechanism {
            SignMechanism::RsaPkcs1(_) => Some(spki::read(session, key, key_type)?),
            SignMechanism::Ed25519 => Some(self.public_half(session, key, key_type)?),
            _ => None,
        };
        let signatures = PROBES.iter().map(|probe| sign(session, key, mechanism, probe)).collect::<Attempt<_>>()?;
        Ok((public, signatures))
    }

    /// The public half of a private one, by CKM_PUB_KEY_FROM_PRIV_KEY (PKCS#11 v3.2): of keys on Curve25519 neither the unwrapped key nor what it
    /// signs tells.
    fn public_half(&self, session: &Session, key: ObjectHandle, key_type: KeyType) -> Attempt<PublicKey> {
        let kind = ffi::numbered(cryptoki_sys::CKM_PUB_KEY_FROM_PRIV_KEY);
        if self.token.pkcs11.get_mechanism_info(self.token.slot, kind).is_err() {
            let reason =
                "CKM_PUB_KEY_FROM_PRIV_KEY, which finds the public half of the key: import the public half alone";
            return Err(Error::Unsupported(reason.into()).into());
        }
        // kryoptic makes them without leave to destroy them, unless that is asked for.
        let attributes = [Attribute::Token(false), Attribute::Private(false), Attribute::Destroyable(true)];
        let public = session.derive_key(&ffi::without_parameter(kind), key, &attributes).map_err(at("C_DeriveKey"))?;
        destroying(session, public, spki::read(session, public, key_type).map_err(Failure::from))
    }

    /// Whether that is a key's own public half: with a pair made for this, either side comes to the same key, which AES-KWP then wraps to the same.
    fn agrees(&self, session: &Session, key: ObjectHandle, public: &PublicKey, kek: ObjectHandle) -> Attempt<()> {
        let kdf = self.capabilities.agreement.first().copied();
        let kdf = kdf.ok_or_else(|| Error::Unsupported("CKM_ECDH1_DERIVE".into()))?;
        let (other, others_public) = generate(session, KeyType::X25519, Purpose::Agreement, Residence::Session)?;
        let missing = || Failure::from(Error::Internal("a pair without a public half".into()));
        let agreed = others_public.ok_or_else(missing).and_then(|handle| {
            let theirs = spki::read(session, handle, KeyType::X25519).map_err(Failure::from);
            let theirs = destroying(session, handle, theirs)?;
            let here = self.agree(session, key, &spki::point(&theirs)?, kdf, &[7; 32], kek)?;
            let there = self.agree(session, other, &spki::point(public)?, kdf, &[7; 32], kek)?;
            Ok(here == there)
        });
        if destroying(session, other, agreed)? {
            return Ok(());
        }
        let reason = "the private key does not agree as its public half does";
        Err(Error::Refused { function: "import".into(), reason: reason.into() }.into())
    }
}

/// The public half, where the token knows it, and signatures of the probes.
type Looked = (Option<PublicKey>, Vec<Vec<u8>>);

/// Destroys an object, whatever became of what it was for.
fn destroying<T>(session: &Session, object: ObjectHandle, outcome: Attempt<T>) -> Attempt<T> {
    let destroyed = session.destroy_object(object).map_err(at("C_DestroyObject"));
    let value = outcome?;
    destroyed.map(|()| value)
}

fn kek_attributes(may: &[Attribute]) -> Vec<Attribute> {
    let mut attributes = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(CkKeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Extractable(false),
    ];
    attributes.extend_from_slice(may);
    attributes
}

fn kek_object(session: &Session, kek: &[u8], may: &[Attribute]) -> Attempt<ObjectHandle> {
    if !matches!(kek.len(), 16 | 24 | 32) {
        let reason = format!("the key that wraps the key has {} bytes, which no AES key has", kek.len());
        return Err(Error::Refused { function: "C_CreateObject".into(), reason }.into());
    }
    let mut attributes = kek_attributes(may);
    attributes.extend([Attribute::Sensitive(true), Attribute::Value(kek.to_vec())]);
    let object = session.create_object(&attributes).map_err(at("C_CreateObject"));
    for attribute in &mut attributes {
        if let Attribute::Value(value) = attribute {
            value.zeroize();
        }
    }
    object
}

fn curve_is(session: &Session, key: ObjectHandle, expected: KeyType) -> Result<()> {
    let read = session.get_attributes(key, &[AttributeType::EcParams]);
    let found = match read.as_deref() {
        Ok([Attribute::EcParams(found)]) => found.as_slice(),
        _ => &[],
    };
    if template::curve_oid(expected) == Some(found) {
        return Ok(());
    }
    let named = [KeyType::EcP256, KeyType::EcP384, KeyType::EcP521]
        .into_iter()
        .find(|candidate| template::curve_oid(*candidate) == Some(found));
    let found = named.map_or("another", curve);
    let reason = format!("invalid curve: expected {}, got {found}", curve(expected));
    Err(Error::Refused { function: "import".into(), reason })
}

fn curve(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::EcP256 => "P-256",
        KeyType::EcP384 => "P-384",
        _ => "P-521",
    }
}

/// What the token made of the material. A secret key's length is CKA_VALUE_LEN or, where a token does not keep that of unwrapped keys, follows
/// from its wrapped form: 8 bytes more than the key, filled up to eights (RFC 5649, 3), which decides between AES keys.
fn measured(session: &Session, key: ObjectHandle, expected: KeyType, blob: &[u8]) -> Result<KeyType> {
    let Some(wanted) = template::secret_length(expected) else { return Ok(expected) };
    let read = session.get_attributes(key, &[AttributeType::ValueLen]);
    let length = match read.as_deref() {
        Ok([Attribute::ValueLen(length)]) if **length > 0 => **length,
        _ => u64::try_from(blob.len()).unwrap_or_default().saturating_sub(8),
    };
    if matches!(expected, KeyType::Hmac(_)) {
        return Ok(KeyType::Hmac(u16::try_from(length).unwrap_or(u16::MAX)));
    }
    if length == wanted {
        return Ok(expected);
    }
    let reason = format!("invalid key size {length} bytes where {wanted} are needed");
    Err(Error::Refused { function: "import".into(), reason })
}
