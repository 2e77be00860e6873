//! The SoftHSM2 token of `clm dev`.

use super::state::{StateDirectory, random_text};
use crate::settings::Settings;
use anyhow::{Context, Result};
use der::pem::LineEnding;
use keyvault::{Bridge, HsmSettings, PinSource, ceremony, hsm_setup};
use std::os::unix::fs::PermissionsExt;

const LABEL: &str = "clm-dev";

/// What `[hsm]` says in the settings of this state.
pub(super) fn settings(state: &StateDirectory) -> Result<HsmSettings> {
    let directory = softhsm::TokenDirectory::at(&state.path("token"))?;
    Ok(HsmSettings {
        module: softhsm::module()?,
        token: LABEL.into(),
        pin: PinSource::File(state.path("pin")),
        environment: directory.environment(),
        ..HsmSettings::default()
    })
}

/// C_InitToken, with PINs of its own.
pub(super) fn initialise(state: &StateDirectory) -> Result<()> {
    let (so_pin, pin) = (random_text()?.into(), random_text()?.into());
    state.write("so-pin", &so_pin)?;
    state.write("pin", &pin)?;
    let settings = settings(state)?;
    std::fs::set_permissions(state.path("token"), PermissionsExt::from_mode(0o700))?;
    hsm_setup::initialize_token(&settings, LABEL, &so_pin, &pin)?;
    Ok(())
}

/// Root, MAC and audit keys; the public half of the last goes into audit.pem.
pub(super) async fn hold_ceremony(state: &StateDirectory, settings: &Settings) -> Result<()> {
    let bridge = Bridge::open(settings.hsm.clone().context("[hsm]")?).await?;
    let made = ceremony::create(&bridge).await?;
    let pem = der::pem::encode_string("PUBLIC KEY", LineEnding::LF, &made.audit_public_key.spki_der)
        .map_err(|error| anyhow::anyhow!("PEM: {error}"))?;
    std::fs::write(state.path("audit.pem"), pem).context("audit.pem")
}

/// What a start that did not come to its end left.
pub(super) fn remove(state: &StateDirectory) -> Result<()> {
    super::cluster::remove_if_there(&state.path("token"))
}
