//! Export: public halves of any key; secret and private ones only of keys that were made exportable, and never with `fips = true`.

use super::hmac::no_hmac_key;
use super::material::{self, ExportFormat};
use super::state::Use;
use super::{Key, KeyVersion};
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Severity, Value};
use hsm_bridge::KeyRef;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are Vault's")]
pub enum ExportKind {
    CertificateChain,
    CmacKey,
    EncryptionKey,
    HmacKey,
    PublicKey,
    SigningKey,
}

/// Which versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum ExportVersion {
    All,
    Latest,
    Number(i64),
}

/// What is to be exported.
#[derive(Clone, Copy, Debug)]
pub struct ExportRequest {
    /// What of a key.
    pub kind: ExportKind,
    /// How it is written.
    pub format: ExportFormat,
    /// Which versions.
    pub version: ExportVersion,
    /// Secret material stays in the token, whatever the key allows.
    pub fips: bool,
}

impl ExportRequest {
    fn is_secret(&self) -> bool {
        ![ExportKind::CertificateChain, ExportKind::PublicKey].contains(&self.kind)
    }
}

impl Vault {
    /// Texts by version. Secret material leaves the token under an AES key drawn for this call, and is in this process in the clear until it is
    /// answered (docs/KEY-HIERARCHY.md, exceptions).
    pub async fn export_key(
        &self,
        caller: &Caller,
        key: &Key,
        request: ExportRequest,
    ) -> Result<BTreeMap<u32, Zeroizing<String>>> {
        check(key, &request)?;
        if request.is_secret() {
            self.check_open(caller, key, "key.export", Use::Process).await?;
        }
        let mut exported = BTreeMap::new();
        for version in chosen(key, request.version)? {
            if request.is_secret() {
                key.open(version, Use::Process, self.inner.clock.now()).map_err(Error::Invalid)?;
            }
            let (algorithm, public, format) = (key.algorithm, &version.public_key, request.format);
            let text = match request.kind {
                ExportKind::CertificateChain => chain(version),
                ExportKind::PublicKey => material::public(algorithm, public, format).map(Zeroizing::new),
                ExportKind::HmacKey => {
                    let missing = || Error::Invalid(no_hmac_key(version.version));
                    material::secret(&self.clear(version.hmac_key.as_ref().ok_or_else(missing)?).await?, format)
                }
                _ if algorithm.is_symmetric() => material::secret(&self.clear(private(version)?).await?, format),
                _ => material::private(algorithm, public, &self.clear(private(version)?).await?, format),
            };
            exported.insert(version.version, text?);
        }
        let mut event = record::event(caller, self.inner.clock.now(), "export", "key.export");
        event.severity = if request.is_secret() { Severity::Warning } else { Severity::Info };
        event.resource_id = Some(key.id.to_string());
        event.data.insert("key".into(), Value::Text(key.name.to_string().into()));
        let what = match request.kind {
            ExportKind::CertificateChain => "certificates",
            ExportKind::PublicKey => "public keys",
            _ => "secret material in the clear",
        };
        event.data.insert("exported".into(), Value::Text(what.into()));
        let versions = exported.keys().map(|version| Value::Integer((*version).into())).collect();
        event.data.insert("versions".into(), Value::List(versions));
        self.inner.audit.append(event).await?;
        Ok(exported)
    }

    /// A key's bytes (PKCS#8 of private keys), for the answer to the one call that may have them.
    pub(crate) async fn clear(&self, key: &KeyRef) -> Result<Zeroizing<Vec<u8>>> {
        use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
        let bridge = &self.inner.bridge;
        let kek = Zeroizing::new(bridge.random(32).await?);
        let blob = self.wrapped_under(key, &kek).await?;
        let failed = |what: &str| Error::Hsm(hsm_bridge::Error::Internal(format!("an exported key cannot be {what}")));
        let kek = AesKek::new(&AES_256, &kek).map_err(|_| failed("unwrapped"))?;
        let mut clear = Zeroizing::new(vec![0; blob.len()]);
        let length = kek.unwrap_with_padding(&blob, &mut clear).map_err(|_| failed("unwrapped"))?.len();
        clear.truncate(length);
        Ok(clear)
    }

    /// AES-KWP of a key under an AES key from outside.
    pub(super) async fn wrapped_under(&self, key: &KeyRef, kek: &Zeroizing<Vec<u8>>) -> Result<Vec<u8>> {
        match key {
            KeyRef::Wrapped(wrapped) => Ok(self.inner.bridge.export(wrapped, kek.clone()).await?),
            KeyRef::Token(_) => Err(Error::Invalid(
                "the key is an object on the token (storage = token), which nobody can export".into(),
            )),
        }
    }
}

fn private(version: &KeyVersion) -> Result<&KeyRef> {
    version.private("export").map_err(Error::Invalid)
}

fn chain(version: &KeyVersion) -> Result<Zeroizing<String>> {
    let missing = || Error::Invalid("no certificate chain was set for this key version".into());
    version.certificate_chain.clone().map(Zeroizing::new).ok_or_else(missing)
}

fn check(key: &Key, request: &ExportRequest) -> Result<()> {
    let refused = |why: String| Err(Error::Invalid(why));
    if request.kind == ExportKind::PublicKey {
        let name = key.algorithm.name();
        return match key.algorithm.is_symmetric() {
            true => refused(format!("unknown key type {name} for export type public-key")),
            false => Ok(()),
        };
    }
    if request.kind == ExportKind::CertificateChain {
        return match key.algorithm.supports_signing() {
            true => Ok(()),
            false => refused(format!("a key of type {} has no certificate chain", key.algorithm.name())),
        };
    }
    if !key.settings.exportable {
        return refused("private key material is not exportable".into());
    }
    if request.kind == ExportKind::EncryptionKey && !key.algorithm.supports_encryption() {
        return refused("encryption not supported for the key".into());
    }
    if request.kind == ExportKind::CmacKey && !key.algorithm.is_cmac() {
        return refused("CMAC not supported for the key".into());
    }
    if request.kind == ExportKind::SigningKey && !key.algorithm.supports_signing() {
        return refused("signing not supported for the key".into());
    }
    if request.fips {
        return refused("fips: secret and private keys are not exported in the clear".into());
    }
    Ok(())
}

pub(super) fn chosen(key: &Key, wanted: ExportVersion) -> Result<Vec<&KeyVersion>> {
    let settings = key.settings;
    let number = match wanted {
        ExportVersion::All => return Ok(key.usable_versions().collect()),
        ExportVersion::Latest => i64::from(settings.latest_version),
        ExportVersion::Number(number) => number,
    };
    if number < i64::from(settings.min_decryption_version) {
        return Err(Error::Invalid("version for export is below minimum decryption version".into()));
    }
    let version = u32::try_from(number).ok().and_then(|number| key.versions.get(&number));
    Ok(vec![version.ok_or_else(|| Error::Invalid("version does not exist or cannot be found".into()))?])
}
