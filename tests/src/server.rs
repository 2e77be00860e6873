//! A running `clm server`, and a client that speaks to it as Vault's clients do.

use crate::Site;
use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Killed when the test ends.
#[derive(Debug)]
pub struct Server {
    child: Child,
    client: Client,
    address: String,
    /// Token of the next requests; empty: none.
    pub token: String,
    /// `X-Vault-Wrap-TTL` of the next requests; empty: none.
    pub wrap_ttl: String,
    /// `X-Vault-Namespace` of the next requests; empty: none.
    pub namespace: String,
    /// `User-Agent` of the next requests, by which tests find their records; empty: none.
    pub user_agent: String,
}

/// Status and body of an answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Body; null when there is none.
    pub body: Value,
}

impl Server {
    pub(crate) async fn start(site: &Site) -> Result<Self> {
        let address_file = site.path("address");
        if address_file.exists() {
            std::fs::remove_file(&address_file)?;
        }
        let log = File::options().create(true).append(true).open(site.path("server.log"))?;
        let child = site
            .command(&["server"])?
            .env("CLM_SERVER__LISTEN", "127.0.0.1:0")
            .env("CLM_SERVER__ADDRESS_FILE", &address_file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut builder = Client::builder();
        let authority = site.path("ca.pem");
        let own = site.path("client.pem");
        if own.exists() {
            builder = builder.identity(reqwest::Identity::from_pem(&std::fs::read(own)?)?);
        }
        let scheme = if authority.exists() {
            builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&std::fs::read(authority)?)?]);
            "https"
        } else {
            "http"
        };
        let (address, token, wrap_ttl, namespace, user_agent) = Default::default();
        let mut server = Self { child, client: builder.build()?, address, token, wrap_ttl, namespace, user_agent };
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let address = std::fs::read_to_string(&address_file).unwrap_or_default();
            if !address.trim().is_empty() {
                let port = address.trim().rsplit_once(':').context("an address has a port")?.1.to_owned();
                server.address = format!("{scheme}://localhost:{port}");
                // 501: waits for sys/init; 200: works; 503: sealed, or something is away.
                if server.get("sys/health").await.is_ok() {
                    return Ok(server);
                }
            }
            if let Some(status) = server.child.try_wait()? {
                bail!("clm server ended with {status}: {}", std::fs::read_to_string(site.path("server.log"))?);
            }
            ensure!(Instant::now() < deadline, "clm server does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts `clm dev` with these arguments on a port of its own, and waits until it says `ready`; what it logs goes to `log`.
    pub async fn dev(mut command: Command, log: &Path) -> Result<Self> {
        let log_file = File::options().create(true).append(true).open(log)?;
        let child = command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(log_file).spawn()?;
        // Owns the child from here on.
        let mut server = Self {
            child,
            client: Client::new(),
            address: String::new(),
            token: String::new(),
            wrap_ttl: String::new(),
            namespace: String::new(),
            user_agent: String::new(),
        };
        let output = server.child.stdout.take().context("piped")?;
        let said = tokio::task::spawn_blocking(move || {
            BufReader::new(output).lines().take(2).collect::<std::io::Result<Vec<_>>>()
        });
        let said = tokio::time::timeout(Duration::from_secs(100), said).await.context("clm dev is not ready")???;
        let [export, ready] = said.as_slice() else {
            bail!("clm dev said {said:?}: {}", std::fs::read_to_string(log)?);
        };
        ensure!(ready == "ready", "{said:?}");
        for part in export.strip_prefix("export ").with_context(|| export.clone())?.split(' ') {
            match part.split_once('=') {
                Some(("VAULT_ADDR", address)) => address.clone_into(&mut server.address),
                Some(("VAULT_TOKEN", token)) => token.clone_into(&mut server.token),
                _ => bail!("{export}"),
            }
        }
        Ok(server)
    }

    /// Waits until `sys/health` gives that status.
    pub async fn until_health(&self, status: u16) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.get("sys/health").await?;
            if answer.status == status {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "health stays {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `sys/init` of the seal pkcs11, `transit/` mounted; the root token is the next requests'.
    pub async fn initialize(&mut self) -> Result<()> {
        self.until_health(501).await?;
        let made = self.put("sys/init", json!({})).await?;
        self.token = made.body["root_token"].as_str().with_context(|| format!("{made:?}"))?.to_owned();
        self.until_health(200).await?;
        ensure!(
            self.put("sys/mounts/transit", json!({"type": "transit"})).await?.status == 204,
            "transit is not mounted"
        );
        Ok(())
    }

    /// The next requests act in that namespace with that token; gives the namespace and the token of before.
    pub fn enter(&mut self, namespace: &str, token: &str) -> (String, String) {
        let before = (std::mem::take(&mut self.namespace), std::mem::take(&mut self.token));
        (self.namespace, self.token) = (namespace.to_owned(), token.to_owned());
        before
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.ask(Method::GET, path, None).await
    }

    /// `PUT`, which is `POST`.
    pub async fn put(&self, path: &str, body: Value) -> Result<Answer> {
        self.ask(Method::PUT, path, Some(body.to_string().into())).await
    }

    /// Any method, any body, without a `Content-Type`, as Go's clients send it; but a patch says that it is one.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Answer> {
        let is_patch = method == Method::PATCH;
        let mut request = self.client.request(method, format!("{}/v1/{path}", self.address));
        if is_patch {
            request = request.header("Content-Type", "application/merge-patch+json");
        }
        if !self.token.is_empty() {
            request = request.header("X-Vault-Token", &self.token);
        }
        if !self.wrap_ttl.is_empty() {
            request = request.header("X-Vault-Wrap-TTL", &self.wrap_ttl);
        }
        if !self.namespace.is_empty() {
            request = request.header("X-Vault-Namespace", &self.namespace);
        }
        if !self.user_agent.is_empty() {
            request = request.header("User-Agent", &self.user_agent);
        }
        let answer = request.body(body.unwrap_or_default()).send().await?;
        let status = answer.status();
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().map(str::to_owned)).transpose()?;
        let bytes = answer.bytes().await?;
        let body = match kind.as_deref() {
            _ if bytes.is_empty() => Value::Null,
            Some("application/json") => serde_json::from_slice(&bytes)?,
            // Metrics; nothing else.
            Some(kind) if kind.starts_with("application/openmetrics-text;") => String::from_utf8(bytes.into())?.into(),
            other => bail!("{path}: Content-Type {other:?}"),
        };
        Ok(Answer { status, body })
    }

    /// Where it listens, `http://localhost:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; gives its exit code.
    pub fn wait(&mut self) -> Result<Option<i32>> {
        Ok(self.child.wait()?.code())
    }
}

impl Answer {
    /// The first of its errors.
    pub fn error(&self) -> &str {
        self.body["errors"][0].as_str().unwrap_or_default()
    }

    /// A text in its data.
    pub fn text(&self, field: &str) -> &str {
        self.body["data"][field].as_str().unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("clm server had ended: {error}");
        }
    }
}
