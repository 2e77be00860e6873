//! What a provider gives for a code (OpenID Connect Core 1.0, 3.1.3; RFC 6749, 4.1.3), and what else it says of a person (5.3).

use super::claims::Claims;
use super::config::Client;
use super::keys::Provider;
use crate::error::{Error, Result};
use crate::fetch::{Fetch, Trust, checked_url};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

/// What the code is exchanged with.
pub(super) struct Grant {
    pub(super) code: String,
    pub(super) redirect_uri: String,
    /// RFC 7636, 4.5.
    pub(super) verifier: String,
}

/// What it is exchanged for.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) id_token: SecretString,
    access_token: Option<SecretString>,
}

/// Why a provider gives nothing (RFC 6749, 5.2).
#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Exchanges a code.
pub(super) async fn tokens(provider: &Provider, client: &Client, trust: &Trust, grant: &Grant) -> Result<Tokens> {
    let failed = |why: String| Error::invalid(format!("Vault login failed. Error exchanging oidc code: {why}"));
    let endpoint = provider.token_endpoint.as_deref().unwrap_or_default();
    let url = checked_url(endpoint).map_err(|error| failed(format!("the provider's token_endpoint: {error}")))?;
    let methods = provider.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
    let in_body = is_wanted("client_secret_post", methods) && !is_wanted("client_secret_basic", methods);
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", grant.code.as_str()),
        ("redirect_uri", grant.redirect_uri.as_str()),
        ("code_verifier", grant.verifier.as_str()),
    ];
    if in_body {
        fields.extend([("client_id", client.id.as_str()), ("client_secret", client.secret.expose_secret())]);
    }
    let body = form(&fields);
    let asked = Fetch.send(trust, |http| {
        let request = http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.header(ACCEPT, "application/json").body(body.as_bytes().to_vec());
        if in_body {
            return request;
        }
        // RFC 6749, 2.3.1: both are encoded like a form before that.
        request.basic_auth(&*encoded(&client.id), Some(&*encoded(client.secret.expose_secret())))
    });
    match asked.await {
        Ok((200, answer)) => {
            // The error would say what stands there.
            serde_json::from_slice(&answer).map_err(|_| failed("the provider's answer has no id_token".into()))
        }
        Ok((status, answer)) if status < 500 => {
            let said = serde_json::from_slice::<Refused>(&answer).map_or(String::new(), |refused| refused.error);
            Err(failed(format!("the provider answers {status} {said:?}")))
        }
        Ok((status, _)) => Err(away(&format!("it answers {status}"))),
        Err(error) => Err(away(&error.to_string())),
    }
}

/// Adds what the provider says of a person beside the ID token, which goes before it. A login does without where nothing comes.
pub(super) async fn add_user_info(provider: &Provider, tokens: &Tokens, trust: &Trust, claims: &mut Claims) {
    let (Some(endpoint), Some(access_token)) = (&provider.userinfo_endpoint, &tokens.access_token) else { return };
    let Ok(url) = checked_url(endpoint) else { return };
    let asked = Fetch.send(trust, |http| http.get(url).bearer_auth(access_token.expose_secret()));
    let said = match asked.await {
        Ok((200, answer)) => serde_json::from_slice::<Claims>(&answer).ok(),
        Ok((status, _)) => {
            tracing::warn!(status, "an OpenID provider says nothing more of a person");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "an OpenID provider says nothing more of a person");
            None
        }
    };
    // OpenID Connect Core 1.0, 5.3.2: of whom it is must be compared, or it could be of somebody else.
    let said = said.filter(|said| said.contains_key("sub") && said.get("sub") == claims.get("sub"));
    for (name, value) in said.into_iter().flatten() {
        claims.entry(name).or_insert(value);
    }
}

fn away(why: &str) -> Error {
    tracing::warn!(why, "an OpenID provider gives nothing for a code");
    Error::Unavailable("the OpenID provider cannot be asked now; log in again".into())
}

fn is_wanted(method: &str, methods: &[String]) -> bool {
    methods.iter().any(|wanted| wanted == method)
}

/// `application/x-www-form-urlencoded`.
fn form(fields: &[(&str, &str)]) -> Zeroizing<String> {
    let mut form = Zeroizing::new(String::new());
    for (name, value) in fields {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        form.push_str(&encoded(value));
    }
    form
}

/// One text of that: letters, digits and `*-._` as they are.
fn encoded(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(text.len() * 3));
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_form_is_written_as_it_is_read() {
        assert_eq!(&*form(&[("a", "x y"), ("b", "ä&=+%")]), "a=x+y&b=%C3%A4%26%3D%2B%25");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_as_it_was(text in any::<String>()) {
            let url = reqwest::Url::parse(&format!("http://x/?{}", &*form(&[("a", &text)]))).expect("a URL");
            let read: Vec<_> = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            prop_assert_eq!(read, vec![("a".to_owned(), text)]);
        }
    }
}
