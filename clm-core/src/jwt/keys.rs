//! Keys of issuers: written into the settings, or fetched (RFC 7517; OpenID Connect Discovery 1.0, 4) and kept for a while.

use crate::error::{Error, Result};
use crate::fetch::{Fetch, Trust};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Fetched keys are asked for again after this.
const FRESH: TimeDelta = TimeDelta::minutes(5);
/// While the issuer does not answer, those it gave before are good for this long.
const STALE: TimeDelta = TimeDelta::hours(1);
/// A token that names a key nobody knows has keys fetched again, but not more often than this.
const PAUSE: TimeDelta = TimeDelta::seconds(10);
/// Issuers whose keys are kept.
const SOURCES: usize = 1_000;

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// An OpenID provider, which says where its keys are.
    Discovery { url: String, ca_pem: String },
    /// A set of keys.
    Jwks { url: String, ca_pem: String },
    /// The settings themselves.
    Pem(Vec<String>),
}

/// Keys of one issuer.
#[derive(Clone)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// What the OpenID provider says of itself, where it is one.
    pub(super) provider: Option<Provider>,
}

#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    /// For which algorithm it is meant, if it says so.
    pub(super) algorithm: Option<String>,
    pub(super) key: DecodingKey,
}

impl KeySet {
    /// Those that may have signed a token that names `id`, or none.
    pub(super) fn candidates(&self, id: Option<&str>) -> Vec<&Key> {
        let fits = |key: &&Key| match (id, &key.id) {
            (Some(id), Some(own)) => id == own,
            _ => true,
        };
        self.keys.iter().filter(fits).collect()
    }
}

/// Keys in memory; one fetching of a source at a time.
pub(crate) struct KeySets {
    fetch: Fetch,
    known: Mutex<HashMap<Source, Arc<tokio::sync::Mutex<Option<Fetched>>>>>,
}

#[derive(Clone)]
struct Fetched {
    set: Arc<KeySet>,
    at: DateTime<Utc>,
    /// When they were asked for again, for a key that was not among them or because of their age.
    asked_again: Option<DateTime<Utc>>,
}

/// What a provider says of itself (OpenID Connect Discovery 1.0, 3).
#[derive(Clone, Deserialize)]
pub(super) struct Provider {
    pub(super) issuer: String,
    jwks_uri: String,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) userinfo_endpoint: Option<String>,
    /// Not said: `client_secret_basic`.
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl KeySets {
    pub(crate) fn new(fetch: Fetch) -> Self {
        Self { fetch, known: Mutex::default() }
    }

    /// The keys of a source; fetched anew where none of those in memory has the id that is asked for.
    pub(super) async fn of(&self, source: &Source, id: Option<&str>, now: DateTime<Utc>) -> Result<Arc<KeySet>> {
        if let Source::Pem(keys) = source {
            return Ok(Arc::new(from_pem(keys)?));
        }
        let entry = self.entry(source);
        let mut held = entry.lock().await;
        if let Some(fetched) = &mut *held {
            let is_known = !fetched.set.candidates(id).is_empty();
            let may_ask = fetched.asked_again.is_none_or(|last| now - last >= PAUSE);
            let age = now - fetched.at;
            if (is_known && age < FRESH) || (!may_ask && age < STALE) {
                return Ok(Arc::clone(&fetched.set));
            }
            fetched.asked_again = Some(now);
        }
        match self.fetched(source).await {
            Ok(set) => {
                let set = Arc::new(set);
                let asked_again = held.as_ref().and_then(|fetched| fetched.asked_again);
                *held = Some(Fetched { set: Arc::clone(&set), at: now, asked_again });
                Ok(set)
            }
            Err(error) => match &*held {
                Some(fetched) if now - fetched.at < STALE => {
                    tracing::warn!(%error, "keys of an issuer could not be fetched; those known before are used");
                    Ok(Arc::clone(&fetched.set))
                }
                _ => Err(error),
            },
        }
    }

    /// Fetches once, whatever is in memory.
    pub(super) async fn look(&self, source: &Source, now: DateTime<Utc>) -> Result<()> {
        if matches!(source, Source::Pem(_)) {
            return Ok(());
        }
        let set = Arc::new(self.fetched(source).await?);
        *self.entry(source).lock().await = Some(Fetched { set, at: now, asked_again: None });
        Ok(())
    }

    fn entry(&self, source: &Source) -> Arc<tokio::sync::Mutex<Option<Fetched>>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SOURCES && !known.contains_key(source) {
            known.clear();
        }
        Arc::clone(known.entry(source.clone()).or_default())
    }

    async fn fetched(&self, source: &Source) -> Result<KeySet> {
        match source {
            Source::Pem(keys) => from_pem(keys),
            Source::Jwks { url, ca_pem } => {
                let set = self.fetch.get(url, &Trust::in_pem(ca_pem)?).await;
                let set = set.map_err(|error| Error::invalid(format!("error checking jwks URL: {error}")))?;
                read_set(&set, None)
            }
            Source::Discovery { url, ca_pem } => {
                let failed = |why: String| Error::invalid(format!("error checking oidc discovery URL: {why}"));
                let trust = Trust::in_pem(ca_pem)?;
                let at = format!("{}/.well-known/openid-configuration", url.trim_end_matches('/'));
                let document = self.fetch.get(&at, &trust).await.map_err(|error| failed(error.to_string()))?;
                let found: Provider =
                    serde_json::from_slice(&document).map_err(|error| failed(format!("the document: {error}")))?;
                // OpenID Connect Discovery 1.0, 4.3: it must name itself as it was asked.
                if found.issuer.trim_end_matches('/') != url.trim_end_matches('/') {
                    return Err(failed(format!("the provider calls itself {:?}, not {url:?}", found.issuer)));
                }
                crate::fetch::checked_url(&found.jwks_uri)?;
                let set = self.fetch.get(&found.jwks_uri, &trust).await.map_err(|error| failed(error.to_string()))?;
                read_set(&set, Some(found))
            }
        }
    }
}

/// Keys that can verify signatures; others in the set are left out, and so are those of a kind that is not known here.
fn read_set(bytes: &[u8], provider: Option<Provider>) -> Result<KeySet> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("error checking jwks URL: no set of keys: {error}")))?;
    let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let set = JwkSet { keys: jwks.collect() };
    let keys = set.keys.iter().filter_map(usable).collect();
    Ok(KeySet { keys, provider })
}

fn usable(jwk: &Jwk) -> Option<Key> {
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|wanted| *wanted == PublicKeyUse::Signature);
    let algorithm = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string());
    let implied = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => None,
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => Some("ES256".to_owned()),
            EllipticCurve::P384 => Some("ES384".to_owned()),
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(_) => Some("EdDSA".to_owned()),
        // A secret that verifies also signs.
        _ => return None,
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    for_signatures.then(|| Key { id: jwk.common.key_id.clone(), algorithm: algorithm.or(implied), key })
}

/// Public keys in PEM (RFC 7468), of RSA, P-256, P-384 or Ed25519.
pub(super) fn from_pem(texts: &[String]) -> Result<KeySet> {
    let mut keys = Vec::new();
    for text in texts {
        let bytes = text.as_bytes();
        let read = DecodingKey::from_rsa_pem(bytes)
            .or_else(|_| DecodingKey::from_ec_pem(bytes))
            .or_else(|_| DecodingKey::from_ed_pem(bytes));
        let key = read.map_err(|_| Error::invalid("error parsing public key: RSA, P-256, P-384 or Ed25519 in PEM"))?;
        keys.push(Key { id: None, algorithm: None, key });
    }
    Ok(KeySet { keys, provider: None })
}
