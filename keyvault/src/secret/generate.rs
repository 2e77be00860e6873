//! New values of secrets: passwords drawn by the token's generator, key pairs made in the token and taken out as values.

use super::generator::{Generated, Generator, compose, enough, pair};
use crate::key::{ExportFormat, KeyAlgorithm, material};
use crate::{Error, Result, Vault};
use ed25519_dalek::SigningKey;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Draws until one has every class: of the shortest with all classes more than half have.
const DRAWS: usize = 256;

/// What stands before the seed in PKCS#8 of an Ed25519 key (RFC 8410, 7).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// What stands before the public key in its SubjectPublicKeyInfo (RFC 8410, 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// Why a key pair is not made as a value where only approved ways are to be gone.
pub(super) const NO_PAIRS: &str = "fips: key pairs are not made as values of secrets, whose private half leaves the token; \
     make a key in transit, whose private half stays there";

impl Vault {
    /// What a generator makes. `fips`: no key pairs.
    pub(super) async fn generate_value(
        &self,
        organization_id: Uuid,
        generator: &Generator,
        fips: bool,
    ) -> Result<Generated> {
        match generator {
            Generator::Password { length, classes, field } => {
                let wanted = u32::try_from(enough(*length)).unwrap_or(u32::MAX);
                for _ in 0..DRAWS {
                    let random = Zeroizing::new(self.inner.bridge.random(wanted).await?);
                    if let Some(text) = compose(*length, classes, &random) {
                        return Ok(Generated { fields: vec![(field.clone(), text)], public_key: None });
                    }
                }
                Err(Error::Hsm(hsm_bridge::Error::Internal("the token's generator gives no password".into())))
            }
            Generator::KeyPair { .. } if fips => Err(Error::Invalid(NO_PAIRS.into())),
            Generator::KeyPair { algorithm, field } => {
                let algorithm = pair(algorithm).ok_or_else(|| Error::Invalid("generator: no such algorithm".into()))?;
                let (private, public) = self.key_pair(organization_id, algorithm).await?;
                let fields = vec![(field.clone(), private), ("public_key".to_owned(), Zeroizing::new(public.clone()))];
                Ok(Generated { fields, public_key: Some(public) })
            }
        }
    }

    /// PKCS#8 and SubjectPublicKeyInfo, PEM. Made in the token, wrapped there, and taken out under an AES key drawn for this call, as an export
    /// is; Ed25519, which not every token wraps, from a seed that the token draws (docs/KEY-HIERARCHY.md, exceptions).
    async fn key_pair(&self, organization_id: Uuid, algorithm: KeyAlgorithm) -> Result<(Zeroizing<String>, String)> {
        if algorithm == KeyAlgorithm::Ed25519 && !self.inner.bridge.capabilities().await?.wraps_ed25519 {
            return self.ed25519_pair().await;
        }
        let pair = self.leaving_pair(organization_id, algorithm).await?;
        let private = material::private(algorithm, &pair.public, &pair.private, ExportFormat::Pem)?;
        Ok((private, material::public(algorithm, &pair.public, ExportFormat::Pem)?))
    }

    async fn ed25519_pair(&self) -> Result<(Zeroizing<String>, String)> {
        let seed = Zeroizing::new(self.inner.bridge.random(32).await?);
        let short = || Error::Hsm(hsm_bridge::Error::Internal("the token drew too few bytes".into()));
        let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| short())?;
        let public = [SPKI.as_slice(), SigningKey::from_bytes(seed).verifying_key().as_bytes()].concat();
        let private = Zeroizing::new([PKCS8.as_slice(), seed].concat());
        let algorithm = KeyAlgorithm::Ed25519;
        let private = material::private(algorithm, &public, &private, ExportFormat::Pem)?;
        Ok((private, material::public(algorithm, &public, ExportFormat::Pem)?))
    }
}
