//! A person's second factor.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Verb};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

const ENROLL: &[Parameter] =
    &[Parameter::new("issuer", Kind::Text, "What authenticator programs show beside the name; `clm` by default")];
const CONFIRM: &[Parameter] = &[Parameter::new("passcode", Kind::Text, "A code that the program shows").required()];

/// Of `users/{name}/totp`.
pub(super) const FACTOR: &[Endpoint] = &[
    Endpoint::new(Verb::Read, "userpass-read-totp", "How far a person's second factor is", |call| Box::pin(read(call))),
    Endpoint::new(
        Verb::Write,
        "userpass-enroll-totp",
        "A secret for an authenticator program, shown this once; nothing is asked of logins before it is confirmed",
        |call| Box::pin(enroll(call)),
    )
    .with(ENROLL),
    Endpoint::new(Verb::Delete, "userpass-delete-totp", "Ask no second factor of a person any more", |call| {
        Box::pin(delete(call))
    }),
];

/// Of `users/{name}/totp/confirm`.
pub(super) const CONFIRMATION: &[Endpoint] = &[Endpoint::new(
    Verb::Write,
    "userpass-confirm-totp",
    "Ask for a code at each login from now on; gives the backup codes, this once",
    |call| Box::pin(confirm(call)),
)
.with(CONFIRM)];

/// Of `users/{name}/totp/backup-codes`.
pub(super) const BACKUP_CODES: &[Endpoint] = &[Endpoint::new(
    Verb::Write,
    "userpass-renew-backup-codes",
    "Other backup codes in place of those that there are, shown this once",
    |call| Box::pin(renew(call)),
)];

async fn read(call: Call) -> Result<Answer> {
    let state = call.context.services.core.totp_state(&call.mount, call.capture("name")).await?;
    Ok(state.map_or_else(Answer::nothing, |state| {
        Answer::data(json!({
            "backup_codes_left": state.backup_codes,
            "enabled": state.enabled,
            "pending": state.pending,
        }))
    }))
}

async fn enroll(call: Call) -> Result<Answer> {
    let issuer = call.parameters.text("issuer")?.unwrap_or_else(|| "clm".to_owned());
    let core = &call.context.services.core;
    let made = core.enroll_totp(&call.context.caller, &call.mount, call.capture("name"), &issuer).await?;
    Ok(Answer::data(json!({
        "algorithm": "SHA1",
        "digits": 6,
        "period": 30,
        "secret": made.secret.expose_secret(),
        "url": made.url.expose_secret(),
    })))
}

async fn confirm(call: Call) -> Result<Answer> {
    let passcode = call.parameters.text("passcode")?.map(SecretString::from);
    let passcode = passcode.ok_or_else(|| Error::invalid("missing passcode"))?;
    let core = &call.context.services.core;
    let codes = core.confirm_totp(&call.context.caller, &call.mount, call.capture("name"), &passcode).await?;
    Ok(shown(&codes))
}

async fn renew(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    let codes = core.renew_backup_codes(&call.context.caller, &call.mount, call.capture("name")).await?;
    Ok(shown(&codes))
}

async fn delete(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    core.remove_totp(&call.context.caller, &call.mount, call.capture("name")).await?;
    Ok(Answer::nothing())
}

fn shown(codes: &[SecretString]) -> Answer {
    let codes: Vec<&str> = codes.iter().map(ExposeSecret::expose_secret).collect();
    Answer::data(json!({ "backup_codes": codes }))
}
