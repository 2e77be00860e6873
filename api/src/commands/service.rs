//! A running service, for commands that speak to it.

use anyhow::{Context, Result, bail};
use reqwest::{Certificate, Client, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::io::Write;
use std::path::Path;

/// Where it is and with which token, as Vault's own command finds them.
pub(super) struct Service {
    client: Client,
    address: String,
    token: SecretString,
    /// Empty: the root's.
    namespace: String,
}

impl Service {
    /// `VAULT_ADDR`, `VAULT_CACERT`, `VAULT_NAMESPACE`, `VAULT_TOKEN` or `~/.vault-token`.
    pub(super) fn from_environment() -> Result<Self> {
        let address = std::env::var("VAULT_ADDR").unwrap_or_else(|_| "http://127.0.0.1:8200".to_owned());
        let mut builder = Client::builder();
        if let Some(path) = std::env::var_os("VAULT_CACERT").filter(|path| !path.is_empty()) {
            let pem = std::fs::read(&path).with_context(|| format!("VAULT_CACERT: {}", path.display()))?;
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem).context("VAULT_CACERT")?);
        }
        let namespace = std::env::var("VAULT_NAMESPACE").unwrap_or_default();
        let address = address.trim_end_matches('/').to_owned();
        Ok(Self { client: builder.build()?, address, token: token()?, namespace })
    }

    /// `data` of what a path gives.
    pub(super) async fn read(&self, path: &str) -> Result<Value> {
        self.ask(self.client.get(self.url(path))).await
    }

    /// `data` of what a path gives to `body`.
    pub(super) async fn write(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask(self.client.put(self.url(path)).json(body)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.address)
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Value> {
        let response = request
            .header("X-Vault-Token", self.token.expose_secret())
            .header("X-Vault-Request", "true")
            // Empty, it is the root namespace's.
            .header("X-Vault-Namespace", &self.namespace)
            .send()
            .await
            .with_context(|| {
                format!("{} does not answer: is VAULT_ADDR right, and does the service run?", self.address)
            })?;
        let status = response.status();
        let mut answer: Value = response.json().await.unwrap_or_default();
        if !status.is_success() {
            let errors: Vec<&str> =
                answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            bail!("{status}: {}", errors.join("; ").trim());
        }
        Ok(answer["data"].take())
    }
}

fn token() -> Result<SecretString> {
    if let Ok(token) = std::env::var("VAULT_TOKEN")
        && !token.is_empty()
    {
        return Ok(token.into());
    }
    let home = std::env::var_os("HOME").context("set VAULT_TOKEN")?;
    let file = Path::new(&home).join(".vault-token");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("set VAULT_TOKEN, or put the token into {}", file.display()))?;
    Ok(text.trim().to_owned().into())
}

/// A line on standard output.
pub(super) fn print(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output")
}
