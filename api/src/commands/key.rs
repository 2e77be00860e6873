//! `clm key`: the main job from a shell, through a service.

use super::service::{Service, print};
use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::Read;
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
            let data = service.write(&key.path("keys"), &json!({ "type": kind })).await?;
            print(&serde_json::to_string_pretty(&data)?)?;
        }
        Command::Sign { key, how, file } => {
            let data = service.write(&key.path("sign"), &how.body(file, None)?).await?;
            let signature = data["signature"].as_str().context("the service gave no signature")?;
            print(signature)?;
        }
        Command::Verify { key, how, signature, file } => {
            let data = service.write(&key.path("verify"), &how.body(file, Some(signature))?).await?;
            let valid = data["valid"].as_bool().context("the service gave no verdict")?;
            print(if valid { "valid" } else { "not valid" })?;
            return Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl KeyArguments {
    fn path(&self, verb: &str) -> String {
        format!("{}/{verb}/{}", self.mount.trim_matches('/'), self.name)
    }
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
