//! What login methods believe, each with one client of its own: an issuer, a cluster, an authority.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use tests::{Authority, Site, StandIn};

pub(super) struct Outside {
    /// PEM with `\\n` for its line ends.
    public: String,
    jwt: String,
    cluster: StandIn,
    authority: String,
}

impl Outside {
    /// Servers of the site are asked by TLS from now on, with a certificate of the authority.
    pub(super) async fn of(site: &Site) -> Self {
        let authority = Authority::create("outside").unwrap();
        site.protect(&authority, "").unwrap();
        site.present(&authority.issue("client").unwrap()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let account = json!({"username": "system:serviceaccount:prod:app", "uid": "1"});
        let review = json!({"kind": "TokenReview", "status": {"authenticated": true, "user": account}}).to_string();
        Self {
            public: key.public_key_pem().replace('\r', "").replace('\n', "\\n"),
            jwt: jwt(&key),
            cluster: StandIn::start(move |_| (201, review.clone())).await.unwrap(),
            authority: authority.pem.replace('\r', "").replace('\n', "\\n"),
        }
    }

    pub(super) fn words(&self) -> Vec<(&'static str, String)> {
        vec![
            ("$PUBLIC", self.public.clone()),
            ("$JWT", self.jwt.clone()),
            ("$CLUSTER", self.cluster.url()),
            ("$AUTHORITY", self.authority.clone()),
        ]
    }
}

/// Good until 2100.
fn jwt(key: &rcgen::KeyPair) -> String {
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!(
        "{}.{}",
        part(json!({"alg": "ES256"})),
        part(json!({"sub": "me", "iat": 1_700_000_000, "exp": 4_102_444_800_i64}))
    );
    let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der()).unwrap();
    let signature = signer.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
