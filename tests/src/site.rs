//! A deployment of a test's own, as an operator would set it up: settings file, PIN files, token directory, two databases, and the real
//! `clm` on them.

use crate::server::Server;
use crate::{Authority, Cluster, Issued, TestDatabase, built};
use anyhow::{Context, Result, ensure};
use hsm_bridge::{PinSource, Settings as HsmSettings};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// PINs of every site; no output may ever show them.
const SECRETS: [&str; 2] = ["officer-77", "user-4242"];

/// In the target directory.
const KRYOPTIC: &str = "kryoptic/libkryoptic.so";

/// Gone, with all that runs on it, when the test ends.
#[derive(Debug)]
pub struct Site {
    directory: TempDir,
    /// The PKCS#11 module, and what it finds its tokens by: a variable, and the file that it names.
    module: PathBuf,
    tokens: (&'static str, &'static str),
    /// `clm_secure_db`.
    pub secure: TestDatabase,
    /// `clm_core_db`.
    pub core: TestDatabase,
    /// Environment of every `clm` from now on.
    pub variables: Vec<(&'static str, String)>,
}

impl Site {
    /// Settings, PIN files and two empty databases; no token yet, no schema.
    pub async fn new() -> Result<Self> {
        Self::with(TestDatabase::create().await?, TestDatabase::create().await?)
    }

    fn with(secure: TestDatabase, core: TestDatabase) -> Result<Self> {
        let (directory, module) = (TempDir::new()?, softhsm::module()?);
        softhsm::TokenDirectory::at(directory.path())?;
        Self::on(directory, module, ("SOFTHSM2_CONF", "softhsm2.conf"), secure, core)
    }

    /// The same as [`Self::ready`] on kryoptic, which has ML-DSA and ML-KEM; `scripts/setup-kryoptic.sh` builds it.
    pub async fn ready_on_kryoptic(more: &str) -> Result<Self> {
        let module = built("clm")?.ancestors().nth(2).context("programs are in the target directory")?.join(KRYOPTIC);
        ensure!(module.is_file(), "{} is not built: run `make kryoptic`", module.display());
        let directory = TempDir::new()?;
        let tokens = directory.path().join("kryoptic.sql");
        let slot = format!("[[slots]]\nslot = 1\ndbtype = 'sqlite'\ndbargs = '{}'\n", tokens.display());
        std::fs::write(directory.path().join("kryoptic.conf"), slot)?;
        let [secure, core] = [TestDatabase::create().await?, TestDatabase::create().await?];
        Self::on(directory, module, ("KRYOPTIC_CONF", "kryoptic.conf"), secure, core)?.prepared(more)
    }

    fn on(
        directory: TempDir,
        module: PathBuf,
        tokens: (&'static str, &'static str),
        secure: TestDatabase,
        core: TestDatabase,
    ) -> Result<Self> {
        let site = Self { directory, module, tokens, secure, core, variables: Vec::new() };
        site.keep_secret("so-pin", &format!("{}\n", SECRETS[0]))?;
        site.keep_secret("pin", &format!("{}\n", SECRETS[1]))?;
        std::fs::write(site.path("clm.toml"), site.settings("")?)?;
        Ok(site)
    }

    /// The same after `hsm init`, `ceremony root` and `migrate`; `more` goes in front of the settings (top-level keys and sections).
    pub async fn ready(more: &str) -> Result<Self> {
        Self::new().await?.prepared(more)
    }

    /// The same, served and initialised: the server speaks with the root token.
    pub async fn started(more: &str) -> Result<(Self, Server)> {
        let site = Self::ready(more).await?;
        let mut server = site.serve().await?;
        server.initialize().await?;
        Ok((site, server))
    }

    /// As [`Self::ready`], on a cluster of the test's own.
    pub async fn ready_in(cluster: &Cluster) -> Result<Self> {
        let [secure, core] =
            [TestDatabase::create_in(cluster.url()).await?, TestDatabase::create_in(cluster.url()).await?];
        Self::with(secure, core)?.prepared("")
    }

    fn prepared(self, more: &str) -> Result<Self> {
        let site = self;
        std::fs::write(site.path("clm.toml"), site.settings(more)?)?;
        let so_pin = site.path("so-pin");
        site.succeeds(&["hsm", "init", "--so-pin-file", so_pin.to_str().context("UTF-8")?])?;
        site.succeeds(&["ceremony", "root"])?;
        site.succeeds(&["migrate"])?;
        Ok(site)
    }

    /// Writes the settings anew, for databases that took the place of others.
    pub fn reconfigure(&self, more: &str) -> Result<()> {
        Ok(std::fs::write(self.path("clm.toml"), self.settings(more)?)?)
    }

    /// The same as [`Self::serve`], where everything is made: it works, and whoever asks next has that token.
    pub async fn serve_for(&self, token: &str) -> Result<Server> {
        let mut server = self.serve().await?;
        token.clone_into(&mut server.token);
        server.until_health(200).await?;
        Ok(server)
    }

    /// The server is ended, and another takes its place, asked with the same token.
    pub async fn restarted(&self, server: Server) -> Result<Server> {
        let token = server.token.clone();
        drop(server);
        self.serve_for(&token).await
    }

    /// Starts `clm server` on a port of its own and waits until it answers.
    pub async fn serve(&self) -> Result<Server> {
        Server::start(self).await
    }

    /// Serves by TLS from its next start on, with a certificate of `authority` for `localhost`; `more` goes into `[server.tls]`.
    pub fn protect(&self, authority: &Authority, more: &str) -> Result<()> {
        std::fs::write(self.path("ca.pem"), &authority.pem)?;
        self.certify(&authority.issue("localhost")?)?;
        let (certificate, key) = (self.path("tls.pem"), self.path("tls.key"));
        let mut settings = std::fs::read_to_string(self.path("clm.toml"))?;
        let tls =
            format!("\n[server.tls]\ncertificate = '{}'\nkey = '{}'\n{more}\n", certificate.display(), key.display());
        settings.push_str(&tls);
        Ok(std::fs::write(self.path("clm.toml"), settings)?)
    }

    /// Servers that start from now on are asked over connections that show this certificate.
    pub fn present(&self, issued: &Issued) -> Result<()> {
        self.keep_secret("client.pem", &format!("{}\n{}", issued.certificate, issued.key))
    }

    /// Puts another certificate where the server's is.
    pub fn certify(&self, issued: &Issued) -> Result<()> {
        std::fs::write(self.path("tls.pem"), &issued.certificate)?;
        self.keep_secret("tls.key", &issued.key)
    }

    /// Writes a file that only its owner may read.
    pub fn keep_secret(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.path(name), text)?;
        Ok(std::fs::set_permissions(self.path(name), Permissions::from_mode(0o600))?)
    }

    /// From its next start on the service has one worker, and its PKCS#11 calls pass through a module that tells of each; gives the log.
    pub fn spy(&self) -> Result<PathBuf> {
        let (file, log) = (self.path("clm.toml"), self.path("pkcs11.log"));
        let (real, spy) = (&self.module, built("libsofthsm_fault.so")?);
        let settings = std::fs::read_to_string(&file)?
            .replace(
                &format!("module = '{}'", real.display()),
                &format!("module = '{}'\nworkers = 1\ndeadline_ms = 30000", spy.display()),
            )
            .replace(
                "environment = { ",
                &format!(
                    "environment = {{ CLM_FAULT_MODULE = '{}', CLM_FAULT_LOG = '{}', ",
                    real.display(),
                    log.display()
                ),
            );
        std::fs::write(file, settings)?;
        Ok(log)
    }

    fn settings(&self, more: &str) -> Result<String> {
        Ok(format!(
            "{more}\n[hsm]\nmodule = '{}'\ntoken = 'site'\npin = {{ file = '{}' }}\nenvironment = {{ {} = '{}' }}\n\n\
             [secure_database]\nurl = '{}'\n[core_database]\nurl = '{}'\n\
             [migration]\nsecure_url = '{}'\ncore_url = '{}'\n\n[auditor]\nsecure_url = '{}'\ncore_url = '{}'\n",
            self.module.display(),
            self.path("pin").display(),
            self.tokens.0,
            self.path(self.tokens.1).display(),
            self.secure.url("clm_secure_app"),
            self.core.url("clm_core_app"),
            self.secure.url("clm_migrate"),
            self.core.url("clm_migrate"),
            self.secure.url("clm_auditor"),
            self.core.url("clm_auditor"),
        ))
    }

    /// A file of the site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `clm` with the site's settings, to be run.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(built("clm")?);
        command.arg("--config").arg(self.path("clm.toml")).args(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Runs `clm`, which must succeed; gives what it printed.
    pub fn succeeds(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        ensure!(output.status.success(), "clm {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs `clm`, which must fail; gives all it said.
    pub fn fails(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        ensure!(!output.status.success(), "clm {arguments:?} succeeded");
        Ok(String::from_utf8([output.stdout, output.stderr].concat())?)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let output = self.command(arguments)?.output()?;
        let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
        ensure!(!SECRETS.iter().any(|secret| said.contains(secret)), "clm {arguments:?} printed a PIN");
        Ok(output)
    }

    /// The site's token, for a bridge of the test's own.
    pub fn hsm(&self) -> Result<HsmSettings> {
        Ok(HsmSettings {
            module: self.module.clone(),
            token: "site".into(),
            pin: PinSource::File(self.path("pin")),
            environment: [(self.tokens.0.to_owned(), self.path(self.tokens.1).display().to_string())].into(),
            executable: Some(built("clm")?),
            ..HsmSettings::default()
        })
    }
}
