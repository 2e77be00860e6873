//! A SoftHSM2 token of a test's own.

use anyhow::{Context, Result};
use hsm_bridge::{PinSource, Settings, setup};
use secrecy::SecretString;
use std::path::PathBuf;
use tempfile::TempDir;

/// Gone when the test ends.
#[derive(Debug)]
pub struct TestToken {
    directory: TempDir,
    /// How to reach it.
    pub settings: Settings,
}

impl TestToken {
    /// Initialises a token and its PINs.
    pub fn create() -> Result<Self> {
        let directory = TempDir::new()?;
        let tokens = softhsm::TokenDirectory::at(directory.path())?;
        let pin_file = directory.path().join("pin");
        std::fs::write(&pin_file, "123456\n")?;
        let settings = Settings {
            module: softhsm::module()?,
            token: "test".into(),
            pin: PinSource::File(pin_file),
            environment: tokens.environment(),
            executable: Some(built("hsm-bridge-process")?),
            ..Settings::default()
        };
        setup::initialize_token(&settings, "test", &SecretString::from("so-pin-1"), &SecretString::from("123456"))?;
        Ok(Self { directory, settings })
    }

    /// Where the token's files are.
    pub fn tokens(&self) -> PathBuf {
        self.directory.path().join("tokens")
    }
}

/// A program of the workspace, built beside the tests (which are in `deps/` there).
pub fn built(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let directory = this.parent().context("this runs from the target directory")?;
    let directory = directory.parent().filter(|_| directory.ends_with("deps")).unwrap_or(directory);
    let program = directory.join(name);
    anyhow::ensure!(program.is_file(), "{} is not built: run the tests by `make test`", program.display());
    Ok(program)
}

/// The Python of the clients that `scripts/setup-clients.sh` installs.
pub fn python() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let clients = test.ancestors().nth(3).context("tests run from the target directory")?.join("clients");
    anyhow::ensure!(
        clients.join("installed").is_file(),
        "{} is not installed: run scripts/setup-clients.sh, as `make test` does (PyPI must be reachable once)",
        clients.display()
    );
    Ok(clients.join("bin/python"))
}
