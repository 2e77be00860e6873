//! New shares of the seal (`sys/rekey`), or of the recovery key (`sys/rekey-recovery-key`).

use crate::app::rekey::{self, Progress, Step, Verification};
use crate::app::shamir::Split;
use crate::app::{Error, Result};
use crate::http::answer::{Answer, Refusal};
use crate::http::call::OpenCall;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use crate::settings::SealKind;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use serde_json::{Value, json};
use zeroize::Zeroizing;

const START: &[Parameter] = &[
    Parameter::new("backup", Kind::Boolean, "Not supported"),
    Parameter::new("pgp_keys", Kind::List, "Not supported"),
    Parameter::new("require_verification", Kind::Boolean, "The new shares count once enough of them were shown"),
    Parameter::new("secret_shares", Kind::Integer, "How many new shares").required(),
    Parameter::new("secret_threshold", Kind::Integer, "How many of them are needed").required(),
];
const SHARE: &[Parameter] = &[
    Parameter::new("key", Kind::Text, "A share, hex or base64").required(),
    Parameter::new("nonce", Kind::Text, "Of the operation").required(),
];

/// The three paths of either kind of shares, and where backups would be.
macro_rules! routes {
    ($($path:literal, $id:literal, $backup:literal;)*) => {
        &[$(
            Route {
                pattern: concat!($path, "/init"),
                endpoints: &[
                    Endpoint::open(Verb::Read, concat!($id, "-status"), "How far new shares are", |call| Box::pin(status(call))),
                    Endpoint::open(Verb::Write, concat!($id, "-start"), "Start making new shares", |call| Box::pin(start(call)))
                        .with(START),
                    Endpoint::open(Verb::Delete, concat!($id, "-cancel"), "Forget the attempt", |call| Box::pin(cancel(call))),
                ],
            },
            Route {
                pattern: concat!($path, "/update"),
                endpoints: &[Endpoint::open(Verb::Write, concat!($id, "-update"), "Give an old share", |call| {
                    Box::pin(update(call))
                })
                .with(SHARE)
                .audited(true)],
            },
            Route {
                pattern: concat!($path, "/verify"),
                endpoints: &[
                    Endpoint::open(Verb::Read, concat!($id, "-verification"), "How many new shares were shown", |call| {
                        Box::pin(verification(call))
                    }),
                    Endpoint::open(Verb::Write, concat!($id, "-verify"), "Show a new share", |call| Box::pin(verify(call)))
                        .with(SHARE)
                        .audited(true),
                    Endpoint::open(Verb::Delete, concat!($id, "-restart-verification"), "Show them from the first again", |call| {
                        Box::pin(restart_verification(call))
                    }),
                ],
            },
            Route {
                pattern: $backup,
                endpoints: &[
                    Endpoint::open(Verb::Read, concat!($id, "-backup"), "There is none: shares are kept by people", |call| {
                        Box::pin(backup(call))
                    }),
                    Endpoint::open(Verb::Delete, concat!($id, "-delete-backup"), "There is none", |call| {
                        Box::pin(delete_backup(call))
                    }),
                ],
            },
        )*]
    };
}

pub(in crate::http) const ROUTES: &[Route] = routes! {
    "rekey", "rekey", "rekey/backup";
    "rekey-recovery-key", "rekey-recovery-key", "rekey/recovery-key-backup";
};

pub(super) async fn status(call: OpenCall) -> Result<Answer> {
    expect_offered(&call)?;
    Ok(Answer::data(shown(&rekey::progress(&call.state.seal))))
}

pub(super) async fn start(call: OpenCall) -> Result<Answer> {
    expect_offered(&call)?;
    let number = |name| Ok::<_, Error>(call.parameters.integer(name)?.unwrap_or(0));
    let split = match Split::checked(number("secret_shares")?, number("secret_threshold")?) {
        Ok(split) => split,
        // Clients know this one as 500.
        Err(error) => {
            let text = format!(
                "invalid rekey seal configuration: {}",
                error.to_string().replace("invalid seal configuration: ", "")
            );
            return Ok(Answer::refused(Refusal::Text(StatusCode::INTERNAL_SERVER_ERROR, text)));
        }
    };
    if call.parameters.list("pgp_keys")?.is_some_and(|keys| !keys.is_empty()) {
        return Err(Error::invalid("pgp_keys is not supported by this server; nothing was started"));
    }
    if call.parameters.flag("backup")?.unwrap_or(false) {
        return Err(Error::invalid(
            "cannot request a backup of the new keys without providing PGP keys for encryption",
        ));
    }
    let verified = call.parameters.flag("require_verification")?.unwrap_or(false);
    Ok(Answer::data(shown(&rekey::start(&call.services, &call.state.seal, split, verified).await?)))
}

pub(super) async fn cancel(call: OpenCall) -> Result<Answer> {
    expect_offered(&call)?;
    rekey::cancel(&call.state.seal);
    Ok(Answer::nothing())
}

pub(super) async fn update(call: OpenCall) -> Result<Answer> {
    expect_offered(&call)?;
    let (key, nonce) = given(&call)?;
    let caller = call.visitor().caller();
    Ok(Answer::data(match rekey::update(&call.services, &call.state.seal, &caller, &key, &nonce).await? {
        Step::More(progress) => shown(&progress),
        Step::Done { progress, keys } => {
            let mut body = json!({
                "nonce": progress.nonce,
                "complete": true,
                "keys": keys.iter().map(|key| hex::encode(key.as_slice())).collect::<Vec<_>>(),
                "keys_base64": keys.iter().map(|key| BASE64_STANDARD.encode(key.as_slice())).collect::<Vec<_>>(),
                "pgp_fingerprints": null,
                "backup": false,
                "verification_required": progress.verification_required,
            });
            name_verification(&mut body, &progress);
            body
        }
    }))
}

pub(super) async fn verification(call: OpenCall) -> Result<Answer> {
    expect_offered(&call)?;
    Ok(Answer::data(verification_shown(&rekey::verification(&call.state.seal)?)))
}

pub(super) async fn restart_verification(call: OpenCall) -> Result<Answer> {
    expect_offered(&call)?;
    Ok(Answer::data(verification_shown(&rekey::restart_verification(&call.state.seal)?)))
}

pub(super) async fn verify(call: OpenCall) -> Result<Answer> {
    expect_offered(&call)?;
    let (key, nonce) = given(&call)?;
    let caller = call.visitor().caller();
    let verification = rekey::verify(&call.services, &call.state.seal, &caller, &key, &nonce).await?;
    Ok(Answer::data(if verification.complete {
        json!({ "nonce": verification.nonce, "complete": true })
    } else {
        verification_shown(&verification)
    }))
}

pub(super) async fn backup(call: OpenCall) -> Result<Answer> {
    expect_offered(&call)?;
    Err(Error::invalid("no backed-up keys found"))
}

pub(super) async fn delete_backup(call: OpenCall) -> Result<Answer> {
    expect_offered(&call)?;
    Ok(Answer::nothing())
}

fn given(call: &OpenCall) -> Result<(Zeroizing<String>, String)> {
    let text = |name: &str| Ok::<_, Error>(call.parameters.text(name)?.unwrap_or_default());
    let (key, nonce) = (Zeroizing::new(text("key")?), text("nonce")?);
    if key.is_empty() {
        return Err(Error::invalid("'key' must be specified in request body as JSON"));
    }
    Ok((key, nonce))
}

/// Whoever reaches the listener could begin and cancel it: it is there while the operator wants it, and for the seal that has such shares.
fn expect_offered(call: &OpenCall) -> Result<()> {
    if !call.state.settings.seal.rekey {
        return Err(Error::Unsupported(
            "unsupported operation: set seal.rekey = true (CLM_SEAL__REKEY) and restart, for as long as it takes"
                .into(),
        ));
    }
    let recovery = call.path.contains("recovery-key");
    match (call.state.seal.kind(), recovery) {
        (SealKind::Shamir, true) => Err(Error::invalid("recovery rekeying not supported")),
        (SealKind::Pkcs11, false) => Err(Error::invalid(
            "the seal pkcs11 has no shares of its own: sys/rekey-recovery-key makes new shares of the recovery key",
        )),
        _ => {
            call.note_attempt();
            Ok(())
        }
    }
}

fn shown(progress: &Progress) -> Value {
    let mut body = json!({
        "nonce": progress.nonce,
        "started": !progress.nonce.is_empty(),
        "t": progress.threshold,
        "n": progress.shares,
        "progress": progress.given,
        "required": progress.required,
        "pgp_fingerprints": null,
        "backup": false,
        "verification_required": progress.verification_required,
    });
    name_verification(&mut body, progress);
    body
}

fn name_verification(body: &mut Value, progress: &Progress) {
    if !progress.verification_nonce.is_empty() {
        body["verification_nonce"] = progress.verification_nonce.clone().into();
    }
}

fn verification_shown(verification: &Verification) -> Value {
    json!({
        "nonce": verification.nonce,
        "started": !verification.nonce.is_empty(),
        "t": verification.threshold,
        "n": verification.shares,
        "progress": verification.given,
    })
}
