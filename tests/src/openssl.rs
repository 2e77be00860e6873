//! Signatures judged by software that we did not write.

use crate::Site;
use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::process::{Command, Stdio};

/// Whether `openssl dgst -sha256 -verify` takes a signature as `transit/sign` gives it; `options` are its `-sigopt`s.
pub fn verifies(site: &Site, public_key: &str, options: &[&str], message: &[u8], signature: &str) -> Result<bool> {
    let encoded = signature.rsplit_once(':').context("a signature begins with vault:v<version>:")?.1;
    std::fs::write(site.path("key.pem"), public_key)?;
    std::fs::write(site.path("message"), message)?;
    std::fs::write(site.path("signature"), BASE64_STANDARD.decode(encoded)?)?;
    let mut command = Command::new("openssl");
    command
        .args(["dgst", "-sha256", "-verify"])
        .arg(site.path("key.pem"))
        .arg("-signature")
        .arg(site.path("signature"));
    for option in options {
        command.args(["-sigopt", option]);
    }
    Ok(command.arg(site.path("message")).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
}
