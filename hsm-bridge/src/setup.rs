//! What is done to a token before the service uses it: each call loads the vendor's library in a process of its own.

use crate::launch::{end, launch};
use crate::protocol::{Pin, Start, Started};
use crate::{Error, Result, Settings, TokenDescription, process};
use secrecy::{ExposeSecret, SecretString};
use std::process::Stdio;
use zeroize::Zeroizing;

/// C_InitToken and C_InitPIN: the security officer's part. Refuses a label that is taken.
pub fn initialize_token(settings: &Settings, label: &str, so_pin: &SecretString, pin: &SecretString) -> Result<()> {
    let start = Start::InitializeToken {
        settings: settings.clone(),
        label: label.to_owned(),
        so_pin: packed(so_pin),
        pin: packed(pin),
    };
    once(settings, &start).map(drop)
}

/// The initialised tokens that the module shows, without login.
pub fn list_tokens(settings: &Settings) -> Result<Vec<TokenDescription>> {
    match once(settings, &Start::Inspect { settings: settings.clone() })? {
        Started::Tokens(tokens) => Ok(tokens),
        _ => Err(Error::Internal("a worker gave a wrong answer".into())),
    }
}

/// Whether a process started like this one can keep the PIN out of swap, as supervisor and workers will try to.
pub fn try_memory_lock() -> std::io::Result<()> {
    process::try_lock_memory()
}

fn once(settings: &Settings, start: &Start) -> Result<Started> {
    let (mut child, _control, answer) = launch(settings, Stdio::null(), start)?;
    end(&mut child);
    answer
}

fn packed(pin: &SecretString) -> Pin {
    Pin(Zeroizing::new(pin.expose_secret().to_owned()))
}
