//! Asking other services over HTTP: what a login method was told to believe may have to be fetched. Small answers, soon, from where was asked.

use crate::error::{Error, Result};
use reqwest::{Certificate, Client, RequestBuilder, Response, Url, redirect};
use std::time::Duration;

/// Keys and verdicts are smaller.
const LARGEST: usize = 1 << 20;
/// Somebody waits for his login meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose certificates are believed.
#[derive(Clone, Debug)]
pub(crate) struct Trust(Vec<Certificate>);

impl Trust {
    /// Those of this PEM alone; empty: those that the machine believes.
    pub(crate) fn in_pem(pem: &str) -> Result<Self> {
        if pem.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        let certificates = Certificate::from_pem_bundle(pem.as_bytes()).ok().filter(|found| !found.is_empty());
        certificates.map(Self).ok_or_else(|| Error::invalid("could not parse CA PEM value successfully"))
    }
}

/// The way out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fetch;

/// Why nothing came back; for the operator, and for whoever configures.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FetchError(String);

impl Fetch {
    /// The body of a 200.
    pub(crate) async fn get(&self, url: &str, trust: &Trust) -> Result<Vec<u8>, FetchError> {
        let (status, body) = self.send(trust, |client| client.get(url)).await?;
        if status != 200 {
            return Err(FetchError(format!("{url} answers {status}")));
        }
        Ok(body)
    }

    /// Status and body of whatever is asked.
    pub(crate) async fn send(
        &self,
        trust: &Trust,
        ask: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<(u16, Vec<u8>), FetchError> {
        let mut builder = Client::builder().timeout(PATIENCE).redirect(redirect::Policy::none()).no_proxy();
        if !trust.0.is_empty() {
            builder = builder.tls_certs_only(trust.0.clone());
        }
        let client = builder.build().map_err(|error| failed(&error))?;
        let response = ask(&client).send().await.map_err(|error| failed(&error))?;
        let status = response.status().as_u16();
        Ok((status, read(response).await?))
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            return Err(FetchError(format!("the answer is longer than {LARGEST} bytes")));
        }
    }
    Ok(body)
}

/// With its causes: the first alone says `error sending request`.
fn failed(error: &reqwest::Error) -> FetchError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    FetchError(text)
}

/// An `http` or `https` address with a host, and without a name and password.
pub(crate) fn checked_url(text: &str) -> Result<Url> {
    let url = Url::parse(text).map_err(|error| Error::invalid(format!("{text:?} is no URL: {error}")))?;
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty();
    if fits && url.password().is_none() {
        return Ok(url);
    }
    Err(Error::invalid(format!("{text:?} should begin with https:// and name a host, without a user")))
}
