//! An OpenID provider in the place of somebody else's: it holds clients to what OpenID Connect Core 1.0 and PKCE (RFC 7636) demand. Its keys and
//! signatures come from aws-lc.

use crate::{Asked, StandIn};
use anyhow::{Context, Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{digest, rsa};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;
use uuid::Uuid;

/// A key of an issuer.
pub enum Signer {
    /// P-256.
    Ec(EcdsaKeyPair),
    /// Of 2048 bits.
    Rsa(RsaKeyPair),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// A new key for ES256.
    pub fn ec() -> Result<Self> {
        Ok(Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?))
    }

    /// A new key for RS256.
    pub fn rsa() -> Result<Self> {
        Ok(Self::Rsa(RsaKeyPair::generate(rsa::KeySize::Rsa2048)?))
    }

    /// Its public half as JWK (RFC 7517).
    pub fn jwk(&self, id: &str) -> Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": id, "x": text(&point[1..33]), "y": text(&point[33..])})
            }
            Self::Rsa(key) => {
                let public = key.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({"kty": "RSA", "use": "sig", "kid": id, "alg": "RS256",
                    "n": text(n.big_endian_without_leading_zero()), "e": text(e.big_endian_without_leading_zero())})
            }
        }
    }

    /// A token (RFC 7519).
    pub fn sign(&self, id: &str, claims: &Value) -> Result<String> {
        let algorithm = if matches!(self, Self::Ec(_)) { "ES256" } else { "RS256" };
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&json!({"alg": algorithm, "typ": "JWT", "kid": id})), part(claims));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Ec(key) => key.sign(&random, text.as_bytes())?.as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)?;
                signature
            }
        };
        Ok(format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// An issuer whose keys can be changed. As a provider, it has one client, [`Issuer::CLIENT`], and one person, `alice`, who always agrees.
#[derive(Debug)]
pub struct Issuer {
    server: StandIn,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    url: String,
    keys: Vec<Value>,
    /// Signs ID tokens, under the id `provider`.
    signer: Option<Signer>,
    /// Laid over the claims of ID tokens.
    twist: Value,
    /// By code.
    grants: BTreeMap<String, Grant>,
    /// Access tokens that were given.
    access: Vec<String>,
}

#[derive(Debug)]
struct Grant {
    redirect_uri: String,
    challenge: String,
    nonce: String,
}

impl Issuer {
    /// Name and secret of its client; they hold what a form must encode.
    pub const CLIENT: (&str, &str) = ("clm", "s&cret+of ours:é");

    /// Publishes these keys, and one of its own, by which it signs ID tokens.
    pub async fn start(keys: Vec<Value>) -> Result<Self> {
        let signer = Signer::ec()?;
        let mut state = State { keys, twist: json!({}), ..State::default() };
        state.keys.push(signer.jwk("provider"));
        state.signer = Some(signer);
        let state = Arc::new(Mutex::new(state));
        let served = Arc::clone(&state);
        let server = StandIn::start(move |asked| answer(&mut locked(&served), asked)).await?;
        locked(&state).url = server.url();
        Ok(Self { server, state })
    }

    /// `http://127.0.0.1:port`, which is also its name.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// All that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.server.asked()
    }

    /// One more key.
    pub fn publish(&self, jwk: Value) {
        locked(&self.state).keys.push(jwk);
    }

    /// Lays these over the claims of ID tokens from now on.
    pub fn twist(&self, claims: Value) {
        locked(&self.state).twist = claims;
    }

    /// Signs ID tokens by a key that it does not publish from now on.
    pub fn forge(&self) -> Result<()> {
        locked(&self.state).signer = Some(Signer::ec()?);
        Ok(())
    }

    /// A token signed as its ID tokens are.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        locked(&self.state).sign(claims)
    }

    /// What a browser does that is sent to `auth_url`: `state` and `code`, with which it comes back.
    pub async fn browse(&self, auth_url: &str) -> Result<(String, String)> {
        let answer = reqwest::get(auth_url).await?;
        let (status, said) = (answer.status(), answer.text().await?);
        ensure!(status == 200, "the provider refuses: {said}");
        let said: Value = serde_json::from_str(&said)?;
        let text = |name: &str| said[name].as_str().map(str::to_owned).context("where to come back with");
        Ok((text("state")?, text("code")?))
    }
}

impl State {
    fn sign(&self, claims: &Value) -> Result<String> {
        self.signer.as_ref().context("a key")?.sign("provider", claims)
    }

    fn authorize(&mut self, fields: &BTreeMap<String, String>) -> Result<Value> {
        let field = |name: &str| fields.get(name).filter(|text| !text.is_empty()).with_context(|| format!("no {name}"));
        ensure!(field("client_id")? == Issuer::CLIENT.0, "another client");
        ensure!(field("response_type")? == "code" && field("code_challenge_method")? == "S256", "no code with PKCE");
        ensure!(field("scope")?.split(' ').any(|scope| scope == "openid"), "no OpenID");
        let (state, code) = (field("state")?, Uuid::new_v4().to_string());
        let grant = Grant {
            redirect_uri: field("redirect_uri")?.clone(),
            challenge: field("code_challenge")?.clone(),
            nonce: field("nonce")?.clone(),
        };
        let back = json!({"state": state, "code": code, "redirect_uri": grant.redirect_uri});
        self.grants.insert(code, grant);
        Ok(back)
    }

    fn exchange(&mut self, authorization: &str, fields: &BTreeMap<String, String>) -> Result<Value> {
        let field = |name: &str| fields.get(name).map(String::as_str).with_context(|| format!("no {name}"));
        let basic = BASE64_STANDARD.decode(authorization.strip_prefix("Basic ").context("no client")?)?;
        let basic = String::from_utf8(basic)?;
        let (id, secret) = basic.split_once(':').context("no secret")?;
        let client = form(&format!("id={id}&secret={secret}"))?;
        ensure!(client["id"] == Issuer::CLIENT.0 && client["secret"] == Issuer::CLIENT.1, "another client");
        ensure!(field("grant_type")? == "authorization_code", "no code");
        let grant = self.grants.remove(field("code")?).context("no such code")?;
        ensure!(field("redirect_uri")? == grant.redirect_uri, "another redirect_uri");
        let hash = digest::digest(&digest::SHA256, field("code_verifier")?.as_bytes());
        ensure!(BASE64_URL_SAFE_NO_PAD.encode(hash) == grant.challenge, "another code_verifier");
        let now = UNIX_EPOCH.elapsed()?.as_secs();
        let mut claims = json!({"iss": self.url, "sub": "alice", "aud": Issuer::CLIENT.0, "nonce": grant.nonce, "iat": now, "exp": now + 600,
            "auth_time": now, "groups": ["devs"], "mail": "a@example.org"});
        for (name, value) in self.twist.as_object().context("claims")? {
            claims[name] = value.clone();
        }
        let access = Uuid::new_v4().to_string();
        self.access.push(access.clone());
        Ok(json!({"id_token": self.sign(&claims)?, "access_token": access, "token_type": "Bearer"}))
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A query or a form.
fn form(text: &str) -> Result<BTreeMap<String, String>> {
    let url = reqwest::Url::parse(&format!("http://form/?{text}"))?;
    Ok(url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
}

fn answer(state: &mut State, asked: &Asked) -> (u16, String) {
    let header = |name: &str| asked.headers.get(name).map_or("", String::as_str);
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let said = |said: Result<Value>| match said {
        Ok(said) => (200, said.to_string()),
        Err(error) => (400, json!({"error": "invalid_grant", "error_description": error.to_string()}).to_string()),
    };
    match (asked.method.as_str(), path) {
        (_, "/keys") => (200, json!({"keys": state.keys}).to_string()),
        (_, "/.well-known/openid-configuration") => {
            let url = &state.url;
            let document = json!({"issuer": url, "jwks_uri": format!("{url}/keys"), "authorization_endpoint": format!("{url}/authorize?kept=1"),
                "token_endpoint": format!("{url}/token"), "userinfo_endpoint": format!("{url}/userinfo")});
            (200, document.to_string())
        }
        ("GET", "/authorize") => said(form(query).and_then(|fields| state.authorize(&fields))),
        ("POST", "/token") => {
            let fields = form(&String::from_utf8_lossy(&asked.body));
            said(fields.and_then(|fields| state.exchange(header("authorization"), &fields)))
        }
        ("GET", "/userinfo") => {
            let token = header("authorization").strip_prefix("Bearer ").unwrap_or_default();
            if !state.access.iter().any(|given| given == token) {
                return (401, "{}".into());
            }
            (200, json!({"sub": "alice", "team": "blue", "mail": "other@example.org"}).to_string())
        }
        (_, "/big") => (200, "x".repeat(2 << 20)),
        _ => (404, "{}".into()),
    }
}
