//! `clm key`: the main job from a shell, through a service.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use reqwest::{Certificate, Client, Method};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key in the HSM.
    Create {
        #[command(flatten)]
        key: KeyArguments,
        /// ecdsa-p256, ecdsa-p384, ecdsa-p521, ed25519, rsa-2048, rsa-3072 or rsa-4096.
        #[arg(long = "type", default_value = "ecdsa-p256")]
        kind: String,
    },
    /// Print the signature of a file.
    Sign {
        #[command(flatten)]
        key: KeyArguments,
        #[command(flatten)]
        how: How,
        /// What is signed; `-` is standard input.
        file: PathBuf,
    },
    /// Verify a file's signature; the exit code is 1 if it is not valid.
    Verify {
        #[command(flatten)]
        key: KeyArguments,
        #[command(flatten)]
        how: How,
        /// The signature as `sign` printed it.
        #[arg(long)]
        signature: String,
        /// What was signed; `-` is standard input.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct KeyArguments {
    /// Where the engine is mounted.
    #[arg(long, default_value = "transit")]
    mount: String,
    /// The key.
    #[arg(long)]
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct How {
    /// sha2-256, sha2-384, sha2-512, …
    #[arg(long, default_value = "sha2-256")]
    hash: String,
    /// pss or pkcs1v15, for RSA keys.
    #[arg(long)]
    signature_algorithm: Option<String>,
    /// asn1 or jws.
    #[arg(long)]
    marshaling_algorithm: Option<String>,
}

pub(super) async fn run(command: &Command) -> Result<ExitCode> {
    let service = Service::from_environment()?;
    match command {
        Command::Create { key, kind } => {
            let data = service.write(key, "keys", &json!({ "type": kind })).await?;
            print(&serde_json::to_string_pretty(&data)?)?;
        }
        Command::Sign { key, how, file } => {
            let data = service.write(key, "sign", &how.body(file, None)?).await?;
            let signature = data["signature"].as_str().context("the service gave no signature")?;
            print(signature)?;
        }
        Command::Verify { key, how, signature, file } => {
            let data = service.write(key, "verify", &how.body(file, Some(signature))?).await?;
            let valid = data["valid"].as_bool().context("the service gave no verdict")?;
            print(if valid { "valid" } else { "not valid" })?;
            return Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl How {
    fn body(&self, file: &Path, signature: Option<&str>) -> Result<Value> {
        let mut content = Vec::new();
        if file == Path::new("-") {
            std::io::stdin().read_to_end(&mut content).context("standard input")?;
        } else {
            content = std::fs::read(file).with_context(|| file.display().to_string())?;
        }
        Ok(json!({
            "input": BASE64_STANDARD.encode(content),
            "signature": signature,
            // Not in the path: a policy for `sign/NAME` is then enough.
            "hash_algorithm": self.hash,
            "signature_algorithm": self.signature_algorithm,
            "marshaling_algorithm": self.marshaling_algorithm,
        }))
    }
}

struct Service {
    client: Client,
    address: String,
    token: SecretString,
}

impl Service {
    fn from_environment() -> Result<Self> {
        let address = std::env::var("VAULT_ADDR").unwrap_or_else(|_| "http://127.0.0.1:8200".to_owned());
        let mut builder = Client::builder();
        if let Some(path) = std::env::var_os("VAULT_CACERT").filter(|path| !path.is_empty()) {
            let pem = std::fs::read(&path).with_context(|| format!("VAULT_CACERT: {}", path.display()))?;
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem).context("VAULT_CACERT")?);
        }
        Ok(Self { client: builder.build()?, address: address.trim_end_matches('/').to_owned(), token: token()? })
    }

    async fn write(&self, key: &KeyArguments, verb: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/v1/{}/{verb}/{}", self.address, key.mount.trim_matches('/'), key.name);
        let response = self
            .client
            .request(Method::PUT, &url)
            .header("X-Vault-Token", self.token.expose_secret())
            .header("X-Vault-Request", "true")
            .json(body)
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

fn print(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output")
}
