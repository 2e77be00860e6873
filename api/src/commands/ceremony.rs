//! `clm ceremony`: root, MAC and audit keys, made in the token by its user, with a transcript.

use crate::settings::Settings;
use anyhow::{Context, Result};
use der::pem::LineEnding;
use keyvault::{Bridge, ceremony};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check the keys of an earlier ceremony: attributes, types, purposes; prints the public half of the audit key again.
    Check,
    /// Make them; refused when one of them is there.
    Root,
}

#[expect(clippy::print_stdout, reason = "the transcript is what was asked for")]
pub(super) async fn run(command: &Command, settings: Settings) -> Result<ExitCode> {
    let hsm = settings.hsm.context("set [hsm] module, token and pin")?;
    let bridge = Bridge::open(hsm).await?;
    bridge.ready().await?;
    let token = bridge.capabilities().await?;
    println!(
        "Token    {} (serial {}), {} {} {}",
        token.label, token.serial, token.manufacturer, token.model, token.firmware
    );
    match command {
        Command::Check => {
            let (root, mac, audit) = ceremony::check(&bridge).await?;
            println!("Root     {root}  {}  sensitive, never extractable, wraps and unwraps only", ceremony::ROOT_LABEL);
            println!("MAC      {mac}  {}  sensitive, never extractable", ceremony::MAC_LABEL);
            println!("Audit    {audit}  {}  sensitive, never extractable", ceremony::AUDIT_LABEL);
            tell(&ceremony::audit_public_key(&bridge, audit).await?.spki_der)?;
        }
        Command::Root => {
            let made = ceremony::create(&bridge).await?;
            println!(
                "Root     {}  {}  AES-256, made in the token, never extractable",
                made.root_key_id,
                ceremony::ROOT_LABEL
            );
            println!(
                "MAC      {}  {}  HMAC-SHA-256, made in the token, never extractable",
                made.mac_key_id,
                ceremony::MAC_LABEL
            );
            println!(
                "Audit    {}  {}  P-256, made in the token, never extractable",
                made.audit_key_id,
                ceremony::AUDIT_LABEL
            );
            println!(
                "Back the token up now with its vendor's tool: without the root key nothing wrapped can be used again."
            );
            tell(&made.audit_public_key.spki_der)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// At the end of what is printed: whoever reads PEM passes over what stands before it.
#[expect(clippy::print_stdout, reason = "the transcript is what was asked for")]
fn tell(audit_key: &[u8]) -> Result<()> {
    let pem = der::pem::encode_string("PUBLIC KEY", LineEnding::LF, audit_key)
        .map_err(|error| anyhow::anyhow!("PEM: {error}"))?;
    println!(
        "Public half of the audit key; keep it apart from the databases. `clm audit verify --public-key` takes this text as it is:"
    );
    print!("{pem}");
    Ok(())
}
