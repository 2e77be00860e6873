//! What login methods believe, each with one client of its own: an issuer, a cluster, an authority.

use serde_json::json;
use tests::{Authority, Issuer, Site, StandIn};

pub(super) struct Outside {
    pub(super) provider: Issuer,
    jwt: String,
    cluster: StandIn,
    /// PEM with `\\n` for its line ends.
    authority: String,
}

impl Outside {
    /// Servers of the site are asked by TLS from now on, with a certificate of the authority.
    pub(super) async fn of(site: &Site) -> Self {
        let authority = Authority::create("outside").unwrap();
        site.protect(&authority, "").unwrap();
        site.present(&authority.issue("client").unwrap()).unwrap();
        let provider = Issuer::start(Vec::new()).await.unwrap();
        let account = json!({"username": "system:serviceaccount:prod:app", "uid": "1"});
        let review = json!({"kind": "TokenReview", "status": {"authenticated": true, "user": account}}).to_string();
        Self {
            jwt: jwt(&provider),
            provider,
            cluster: StandIn::start(move |_| (201, review.clone())).await.unwrap(),
            authority: authority.pem.replace('\r', "").replace('\n', "\\n"),
        }
    }

    pub(super) fn words(&self) -> Vec<(&'static str, String)> {
        vec![
            ("$PROVIDER", self.provider.url()),
            ("$CLIENT_SECRET", Issuer::CLIENT.1.to_owned()),
            ("$JWT", self.jwt.clone()),
            ("$CLUSTER", self.cluster.url()),
            ("$AUTHORITY", self.authority.clone()),
        ]
    }
}

/// Good until 2100.
fn jwt(provider: &Issuer) -> String {
    let claims = json!({"iss": provider.url(), "sub": "me", "iat": 1_700_000_000, "exp": 4_102_444_800_i64});
    provider.sign(&claims).unwrap()
}
