//! A new root token by shares: without a token where the operator has switched that on (`sys/generate-root`), or with one that may do this
//! (`sys/generate-root-token`). It is one attempt, whichever way.

use super::audit::expect_root;
use crate::app::root_token::{self, LENGTH, Progress};
use crate::app::seal::Seal;
use crate::app::{Error, Result, Services};
use crate::http::answer::Answer;
use crate::http::call::{Call, OpenCall};
use crate::http::parameters::Parameters;
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub(super) async fn status(call: OpenCall) -> Result<Answer> {
    expect_enabled(&call)?;
    Ok(Answer::data(shown(&root_token::progress(&call.state.seal), LENGTH)))
}

pub(super) async fn start(call: OpenCall) -> Result<Answer> {
    expect_enabled(&call)?;
    Ok(Answer::data(shown(&begin(&call.services, &call.state.seal, &call.parameters).await?, LENGTH)))
}

pub(super) async fn cancel(call: OpenCall) -> Result<Answer> {
    expect_enabled(&call)?;
    root_token::cancel(&call.state.seal);
    Ok(Answer::nothing())
}

pub(super) async fn update(call: OpenCall) -> Result<Answer> {
    expect_enabled(&call)?;
    let (key, nonce) = share(&call.parameters)?;
    let caller = call.visitor().caller();
    let progress = root_token::update(&call.services, &call.state.seal, &caller, &key, &nonce).await?;
    Ok(Answer::data(shown(&progress, 0)))
}

pub(super) async fn status_by_token(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    Ok(Answer::data(shown(&root_token::progress(&call.state.seal), LENGTH)))
}

pub(super) async fn start_by_token(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let begun = begin(&call.context.services, &call.state.seal, &call.parameters).await?;
    if let Err(error) = on_record(&call, "start").await {
        root_token::cancel(&call.state.seal);
        return Err(error);
    }
    Ok(Answer::data(shown(&begun, LENGTH)))
}

pub(super) async fn cancel_by_token(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    on_record(&call, "cancel").await?;
    root_token::cancel(&call.state.seal);
    Ok(Answer::nothing())
}

pub(super) async fn update_by_token(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let (services, caller) = (&call.context.services, &call.context.caller);
    let (key, nonce) = share(&call.parameters)?;
    let progress = root_token::update(services, &call.state.seal, caller, &key, &nonce).await?;
    if progress.encoded_token.is_empty() {
        on_record(&call, "share").await?;
    }
    Ok(Answer::data(shown(&progress, 0)))
}

/// The token itself has a record of its own.
async fn on_record(call: &Call, action: &'static str) -> Result<()> {
    let core = &call.context.services.core;
    let event = core.event(&call.context.caller, "root_token.attempt", "system", ("token", None), action);
    Ok(core.audit().append(event).await.map_err(clm_core::Error::Audit)?)
}

async fn begin(services: &Services, seal: &Seal, parameters: &Parameters) -> Result<Progress> {
    if parameters.text("pgp_key")?.is_some_and(|key| !key.is_empty()) {
        return Err(Error::invalid("pgp_key is not supported by this server; give an otp, or let one be made"));
    }
    let pad = parameters.text("otp")?.filter(|pad| !pad.is_empty()).map(Zeroizing::new);
    root_token::start(services, seal, pad).await
}

fn share(parameters: &Parameters) -> Result<(Zeroizing<String>, String)> {
    let given = |name: &str| Ok::<_, Error>(parameters.text(name)?.unwrap_or_default());
    let (key, nonce) = (Zeroizing::new(given("key")?), given("nonce")?);
    if key.is_empty() {
        return Err(Error::invalid("'key' must be specified in request body as JSON"));
    }
    Ok((key, nonce))
}

/// Whoever reaches the listener could begin and cancel attempts: it is there while the operator wants it.
fn expect_enabled(call: &OpenCall) -> Result<()> {
    if call.state.settings.seal.generate_root {
        call.note_attempt();
        return Ok(());
    }
    Err(Error::Unsupported(
        "unsupported operation: set seal.generate_root = true (CLM_SEAL__GENERATE_ROOT) and restart, for as long as it takes; or, with a token that may, ask sys/generate-root-token"
            .into(),
    ))
}

fn shown(progress: &Progress, length: usize) -> Value {
    json!({
        "nonce": progress.nonce,
        "started": !progress.nonce.is_empty(),
        "progress": progress.progress,
        "required": progress.required,
        "complete": !progress.encoded_token.is_empty(),
        "encoded_token": progress.encoded_token,
        "encoded_root_token": progress.encoded_token,
        "pgp_fingerprint": "",
        "otp": &*progress.pad,
        "otp_length": length,
    })
}
