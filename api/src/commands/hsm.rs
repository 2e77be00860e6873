//! `clm hsm`: the security officer's part, apart from the server, which never needs the SO PIN.

use crate::settings::Settings;
use anyhow::{Context, Result};
use keyvault::{PinSource, hsm_setup};
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Initialise a token named as hsm.token, and its user PIN as hsm.pin says.
    Init {
        /// File whose first line is the security officer's PIN.
        #[arg(long, value_name = "FILE")]
        so_pin_file: PathBuf,
    },
    /// List the tokens that the module shows, without logging in.
    List,
}

#[expect(clippy::print_stdout, reason = "the list is what was asked for")]
pub(super) fn run(command: &Command, settings: Settings) -> Result<ExitCode> {
    let hsm = settings.hsm.context("set [hsm] module, token and pin")?;
    match command {
        Command::Init { so_pin_file } => {
            let pin = match &hsm.pin {
                PinSource::File(path) => first_line(path)?,
                PinSource::Environment(name) => SecretString::from(
                    std::env::var(name).with_context(|| format!("hsm.pin: environment variable {name}"))?,
                ),
                other => anyhow::bail!(
                    "hsm.pin: initialisation takes the user PIN from a file or an environment variable, not {other:?}"
                ),
            };
            hsm_setup::initialize_token(&hsm, &hsm.token, &first_line(so_pin_file)?, &pin)?;
            tracing::info!(token = hsm.token, "initialised; hold the ceremony next: clm ceremony root");
        }
        Command::List => {
            for token in hsm_setup::list_tokens(&hsm)? {
                let ready = if token.user_pin_initialized { "user PIN set" } else { "no user PIN" };
                println!("{}\tserial {}\t{} {}\t{ready}", token.label, token.serial, token.manufacturer, token.model);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn first_line(path: &Path) -> Result<SecretString> {
    let text = SecretString::from(std::fs::read_to_string(path).with_context(|| path.display().to_string())?);
    let line = secrecy::ExposeSecret::expose_secret(&text).lines().next().unwrap_or_default().to_owned();
    anyhow::ensure!(!line.is_empty(), "{}: the first line must be a PIN", path.display());
    Ok(SecretString::from(line))
}
