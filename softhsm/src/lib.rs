//! Tokens of one's own on SoftHSM2, for tests and `clm dev`: a directory, its `softhsm2.conf`, and where the module is.
//!
//! The token itself is initialised like any other, by `hsm_bridge::setup::initialize_token`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where Debian, Fedora, Arch and Homebrew put the module.
const USUAL_PLACES: [&str; 6] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

/// What can be missing.
#[derive(Debug, Error)]
pub enum Error {
    /// SoftHSM2 is not installed.
    #[error(
        "SoftHSM2's PKCS#11 module is in none of its usual places; install it (Debian: apt-get install softhsm2) or set CLM_SOFTHSM_MODULE"
    )]
    NotInstalled,
    /// The directory cannot be made.
    #[error("{path}: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// SoftHSM2's module: `CLM_SOFTHSM_MODULE`, else the usual places.
pub fn module() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os("CLM_SOFTHSM_MODULE") {
        return Ok(path.into());
    }
    USUAL_PLACES.iter().map(PathBuf::from).find(|path| path.is_file()).ok_or(Error::NotInstalled)
}

/// A directory that holds tokens nobody else sees.
#[derive(Clone, Debug)]
pub struct TokenDirectory {
    configuration: PathBuf,
}

impl TokenDirectory {
    /// Makes `path` and its configuration, or takes what is there.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let tokens = path.join("tokens");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Directory { path, source }
        };
        std::fs::create_dir_all(&tokens).map_err(failed(&tokens))?;
        let configuration = path.join("softhsm2.conf");
        if !configuration.exists() {
            let text = format!(
                "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
                tokens.display()
            );
            std::fs::write(&configuration, text).map_err(failed(&configuration))?;
        }
        Ok(Self { configuration })
    }

    /// What SoftHSM2 must find in its environment to see these tokens.
    pub fn environment(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("SOFTHSM2_CONF".to_owned(), self.configuration.display().to_string())])
    }
}
