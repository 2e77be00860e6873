//! A new root token by shares.

use crate::app::root_token::{self, LENGTH, Progress};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::OpenCall;
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub(super) async fn status(call: OpenCall) -> Result<Answer> {
    expect_enabled(&call)?;
    Ok(Answer::data(shown(&root_token::progress(&call.state.seal), LENGTH)))
}

pub(super) async fn start(call: OpenCall) -> Result<Answer> {
    expect_enabled(&call)?;
    if call.parameters.text("pgp_key")?.is_some_and(|key| !key.is_empty()) {
        return Err(Error::invalid("pgp_key is not supported by this server; give an otp, or let one be made"));
    }
    let pad = call.parameters.text("otp")?.filter(|pad| !pad.is_empty()).map(Zeroizing::new);
    Ok(Answer::data(shown(&root_token::start(&call.services, &call.state.seal, pad).await?, LENGTH)))
}

pub(super) async fn cancel(call: OpenCall) -> Result<Answer> {
    expect_enabled(&call)?;
    root_token::cancel(&call.state.seal);
    Ok(Answer::nothing())
}

pub(super) async fn update(call: OpenCall) -> Result<Answer> {
    expect_enabled(&call)?;
    let given = |name: &str| Ok::<_, Error>(call.parameters.text(name)?.unwrap_or_default());
    let (key, nonce) = (Zeroizing::new(given("key")?), given("nonce")?);
    if key.is_empty() {
        return Err(Error::invalid("'key' must be specified in request body as JSON"));
    }
    let caller = call.visitor().caller();
    let progress = root_token::update(&call.services, &call.state.seal, &caller, &key, &nonce).await?;
    Ok(Answer::data(shown(&progress, 0)))
}

/// Whoever reaches the listener could begin and cancel attempts: it is there while the operator wants it.
fn expect_enabled(call: &OpenCall) -> Result<()> {
    if call.state.settings.seal.generate_root {
        return Ok(());
    }
    Err(Error::Unsupported(
        "unsupported operation: set seal.generate_root = true (CLM_SEAL__GENERATE_ROOT) and restart, for as long as it takes"
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
