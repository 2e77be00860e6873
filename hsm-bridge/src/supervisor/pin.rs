//! Where the PIN is read from. Never argv.

use crate::protocol::Pin;
use crate::{Error, PinSource, Result};
use std::path::Path;
use zeroize::Zeroizing;

/// Reads it, or says which file or variable to mend.
pub(super) fn read(source: &PinSource) -> Result<Pin> {
    match source {
        PinSource::Credential(name) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                Error::Configuration(format!("hsm.pin: credential `{name}` is wanted but CREDENTIALS_DIRECTORY is not set (LoadCredential= in the unit)"))
            })?;
            read_file(&Path::new(&directory).join(name))
        }
        PinSource::Environment(variable) => match std::env::var(variable) {
            Ok(pin) if !pin.is_empty() => Ok(Pin(Zeroizing::new(pin))),
            _ => Err(Error::Configuration(format!("hsm.pin: environment variable {variable} is not set"))),
        },
        PinSource::File(path) => read_file(path),
        PinSource::Unlock => Err(Error::Locked),
    }
}

fn read_file(path: &Path) -> Result<Pin> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| Error::Configuration(format!("hsm.pin: {}: {error}", path.display())))?;
    match text.lines().next() {
        Some(pin) if !pin.is_empty() => Ok(Pin(Zeroizing::new(pin.to_owned()))),
        _ => Err(Error::Configuration(format!(
            "hsm.pin: {} is empty; its first line must be the user PIN",
            path.display()
        ))),
    }
}
