//! `TokenReview` (authentication.k8s.io/v1): what is asked of the API server, and what it says.

use serde::Deserialize;
use serde_json::{Value, json};

/// A service account that the API server vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceAccount {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

pub(super) fn question(jwt: &str, audience: &str) -> Value {
    let mut spec = json!({ "token": jwt });
    if !audience.is_empty() {
        spec["audiences"] = json!([audience]);
    }
    json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec })
}

#[derive(Deserialize)]
struct Review {
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    audiences: Vec<String>,
    error: String,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    uid: String,
}

/// Whom it is, or why nobody.
pub(super) fn verdict(body: &[u8], audience: &str) -> Result<ServiceAccount, String> {
    let review: Review = serde_json::from_slice(body).map_err(|error| format!("no TokenReview: {error}"))?;
    let Status { authenticated, audiences, error, user } = review.status;
    if !error.is_empty() {
        return Err(error);
    }
    if !authenticated {
        return Err("the token is not authenticated".into());
    }
    // A server that knows nothing of audiences names none, and has not looked at them.
    if !audience.is_empty() && !audiences.iter().any(|one| one == audience) {
        return Err("the token is not for the role's audience".into());
    }
    let parts: Vec<&str> = user.username.split(':').collect();
    match parts.as_slice() {
        ["system", "serviceaccount", namespace, name]
            if !namespace.is_empty() && !name.is_empty() && !user.uid.is_empty() =>
        {
            Ok(ServiceAccount { namespace: (*namespace).to_owned(), name: (*name).to_owned(), uid: user.uid })
        }
        _ => Err(format!("{:?} is no service account", user.username)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: Value, audience: &str) -> Result<ServiceAccount, String> {
        verdict(json!({ "kind": "TokenReview", "status": status }).to_string().as_bytes(), audience)
    }

    #[test]
    fn only_a_service_account_that_is_vouched_for_is_somebody() {
        let user = json!({"username": "system:serviceaccount:prod:app", "uid": "u-1"});
        let good = judged(json!({"authenticated": true, "user": user}), "").expect("somebody");
        assert_eq!((good.namespace.as_str(), good.name.as_str(), good.uid.as_str()), ("prod", "app", "u-1"));
        judged(json!({"authenticated": true, "user": user, "audiences": ["us"]}), "us").expect("somebody");
        for (status, audience) in [
            (json!({"user": user}), ""),
            (json!({"authenticated": false, "user": user}), ""),
            (json!({"authenticated": true, "user": user, "error": "no"}), ""),
            (json!({"authenticated": true, "user": user}), "us"),
            (json!({"authenticated": true, "user": user, "audiences": ["them"]}), "us"),
            (json!({"authenticated": true, "user": {"username": "admin", "uid": "u"}}), ""),
            (json!({"authenticated": true, "user": {"username": "system:serviceaccount:prod:app"}}), ""),
            (json!({"authenticated": true, "user": {"username": "system:serviceaccount:a:b:c", "uid": "u"}}), ""),
        ] {
            assert!(judged(status.clone(), audience).is_err(), "{status}");
        }
        assert!(verdict(b"<html>", "").is_err());
    }
}
