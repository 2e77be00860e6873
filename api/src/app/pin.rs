//! The PIN of before, read once when a Shamir seal is made.

use super::{Error, Result};
use keyvault::PinSource;
use secrecy::SecretString;
use std::path::Path;
use zeroize::Zeroizing;

/// Reads the PIN that the token has until the seal draws its own.
pub(super) fn read(source: &PinSource) -> Result<SecretString> {
    match source {
        PinSource::Credential(name) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                Error::Operator("hsm.pin names a credential, but CREDENTIALS_DIRECTORY is not set".into())
            })?;
            first_line(&Path::new(&directory).join(name))
        }
        PinSource::Environment(name) => std::env::var(name)
            .map(SecretString::from)
            .map_err(|_| Error::Operator(format!("hsm.pin names the variable {name}, which is not set"))),
        PinSource::File(path) => first_line(path),
        PinSource::Unlock => Err(Error::Operator(
            "set hsm.pin to where the token's present PIN is: initialisation needs it once, then draws another".into(),
        )),
    }
}

fn first_line(path: &Path) -> Result<SecretString> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| Error::Operator(format!("hsm.pin: {}: {error}", path.display())))?;
    Ok(SecretString::from(text.lines().next().unwrap_or_default().trim_end().to_owned()))
}
