//! The service under measurement: the real server on a token and databases of its own, and a token that may use keys and nothing else.

use crate::cpu::{Spent, spent};
use crate::postgres;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use sqlx::PgConnection;
use tests::{Authority, Server, Site};

/// Keys by their types.
const KEYS: [&str; 5] = ["aes256-gcm96", "ecdsa-p256", "ed25519", "hmac", "rsa-2048"];

/// File of a site that has a certificate.
const AUTHORITY: &str = "ca.pem";

/// Gone, with all that runs on it, at the end.
pub(crate) struct Service {
    pub(crate) server: Server,
    pub(crate) site: Site,
    pub(crate) superuser: PgConnection,
    /// Text of the token that may sign.
    pub(crate) token: String,
    /// Encrypted by the key `aes256-gcm96`.
    pub(crate) ciphertext: String,
    postmaster: u32,
    settings: String,
    tls: bool,
}

impl Service {
    /// Starts it. `settings`: more of them, TOML.
    pub(crate) async fn start(settings: &str) -> Result<Self> {
        let (site, server) = Site::started(settings).await?;
        for kind in KEYS {
            let size = if kind == "hmac" { 32 } else { 0 };
            let made = server.put(&format!("transit/keys/{kind}"), json!({ "type": kind, "key_size": size })).await?;
            ensure!(made.status == 200, "{made:?}");
        }
        let encrypted = server.put("transit/encrypt/aes256-gcm96", json!({ "plaintext": "MDAwMDAwMDAwMDAw" })).await?;
        let ciphertext = encrypted.text("ciphertext").to_owned();
        ensure!(ciphertext.starts_with("vault:v1:"), "{encrypted:?}");
        let policy = ["sign", "hmac", "encrypt", "decrypt", "datakey/plaintext", "datakeypair/plaintext", "keys"]
            .map(|verb| format!("path \"transit/{verb}/*\" {{ capabilities = [\"update\"] }}\n"));
        let written = server.put("sys/policies/acl/signs", json!({ "policy": policy.concat() })).await?;
        ensure!(written.status == 204, "{written:?}");
        let made = server.put("auth/token/create", json!({ "policies": ["signs"] })).await?;
        let token = made.body["auth"]["client_token"].as_str().with_context(|| format!("{made:?}"))?.to_owned();
        let mut superuser = site.secure.superuser().await?;
        let postmaster = postgres::postmaster(&mut superuser).await?;
        let settings = std::fs::read_to_string(site.path("clm.toml"))?;
        Ok(Self { server, site, superuser, token, ciphertext, postmaster, settings, tls: false })
    }

    /// Serves HTTPS or HTTP from now on.
    pub(crate) async fn speak_tls(&mut self, tls: bool) -> Result<()> {
        if tls == self.tls {
            return Ok(());
        }
        if tls {
            self.site.protect(&Authority::create("bench")?, "")?;
        } else {
            std::fs::remove_file(self.site.path(AUTHORITY))?;
            std::fs::write(self.site.path("clm.toml"), &self.settings)?;
        }
        self.restart().await?;
        self.tls = tls;
        Ok(())
    }

    /// Another server with workers of its own takes the place of this one.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        ensure!(tests::process::signal(self.server.pid(), "TERM"), "the server had ended");
        self.server.wait()?;
        self.server = self.site.serve_for(&self.server.token).await?;
        Ok(())
    }

    /// Whose certificates to believe, PEM; none over HTTP.
    pub(crate) fn authority(&self) -> Result<Option<Vec<u8>>> {
        self.tls.then(|| std::fs::read(self.site.path(AUTHORITY))).transpose().map_err(Into::into)
    }

    /// URL of the role that reads all of the audit log.
    pub(crate) fn auditor(&self) -> String {
        self.site.secure.url("clm_auditor")
    }

    /// Processor time so far.
    pub(crate) fn spent(&self) -> Result<Spent> {
        spent(self.server.pid(), self.postmaster)
    }

    /// `clm audit verify`; whether everything holds, and what it said.
    pub(crate) fn verify_audit(&self) -> Result<(bool, String)> {
        let output = self.site.command(&["audit", "verify"])?.output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> Result<String> {
        let address = self.server.address();
        let (_, rest) = address.split_once("://").context("an address has a scheme")?;
        Ok(rest.replacen("localhost", "127.0.0.1", 1))
    }
}
