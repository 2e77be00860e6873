//! The module, the token in it, the login, and what the token can do.

use super::finding::Finding;
use super::{PATIENCE, keys, mechanisms};
use crate::settings::{SealKind, Settings};
use keyvault::{Bridge, Capabilities, HsmError, HsmSettings, TokenDescription, TokenSelector, hsm_setup};
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

/// What is known of the token.
#[derive(Debug, Default)]
pub(super) struct Examined {
    pub(super) findings: Vec<Finding>,
    /// The token, if it is there.
    pub(super) held: Option<Held>,
}

/// A token that is there.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) serial: String,
    /// CKA_ID of its root key, if it was logged into and has one.
    pub(super) root_key_id: Option<Uuid>,
}

pub(super) async fn examine(settings: &Settings) -> Examined {
    let mut examined = Examined::default();
    let Some(hsm) = &settings.hsm else {
        let says = "the settings have no section [hsm]: set module, token and pin";
        examined.findings.push(Finding::failed("hsm.module", says));
        return examined;
    };
    let Some(token) = find(hsm, &mut examined.findings).await else { return examined };
    let held = examined.held.insert(Held { serial: token.serial.clone(), root_key_id: None });
    if !may_log_in(settings, &token, &mut examined.findings) {
        return examined;
    }
    let (capabilities, bridge) = match timeout(PATIENCE * 2, log_in(hsm)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            examined.findings.push(Finding::failed("hsm.login", error.to_string()));
            return examined;
        }
        Err(_) => {
            let says = "the token did not answer a login in time: see to the module, or to the way to its device";
            examined.findings.push(Finding::failed("hsm.login", says));
            return examined;
        }
    };
    examined.findings.push(Finding::ok("hsm.login", "the user PIN opens the token"));
    examined.findings.extend(mechanisms::examine(&capabilities));
    let (findings, root_key_id) = keys::examine(&bridge).await;
    held.root_key_id = root_key_id;
    examined.findings.extend(findings);
    examined
}

/// Loads the module, in a process of its own, and finds the token among those that it shows.
async fn find(hsm: &HsmSettings, findings: &mut Vec<Finding>) -> Option<TokenDescription> {
    let selector: TokenSelector = match hsm.token.parse() {
        Ok(selector) => selector,
        Err(error) => {
            findings.push(Finding::failed("hsm.token", error.to_string()));
            return None;
        }
    };
    let shown = match timeout(PATIENCE, list(hsm.clone())).await {
        Ok(Ok(shown)) => shown,
        Ok(Err(error)) => {
            findings.push(Finding::failed("hsm.module", error.to_string()));
            return None;
        }
        Err(_) => {
            let says = format!(
                "{} did not answer within {} s: see to the vendor's module, its settings (hsm.environment) and the way to its device",
                hsm.module.display(),
                PATIENCE.as_secs()
            );
            findings.push(Finding::failed("hsm.module", says));
            return None;
        }
    };
    findings.push(Finding::ok("hsm.module", format!("{} shows {} tokens", hsm.module.display(), shown.len())));
    let mut matching = shown.iter().filter(|token| selector.matches(token));
    match (matching.next(), matching.next()) {
        (Some(token), None) => {
            let says = format!("`{}` (serial {}), {} {}", token.label, token.serial, token.manufacturer, token.model);
            findings.push(Finding::ok("hsm.token", says));
            Some(token.clone())
        }
        (Some(_), Some(_)) => {
            let says = format!("hsm.token = \"{}\" names more than one token: name one by serial:…", hsm.token);
            findings.push(Finding::failed("hsm.token", says));
            None
        }
        (None, _) => {
            let names: Vec<String> =
                shown.iter().map(|token| format!("`{}` (serial {})", token.label, token.serial)).collect();
            let says = format!(
                "token `{}` is not there; the module shows {}. Correct hsm.token, connect the token, or make one with `clm hsm init`",
                hsm.token,
                if names.is_empty() { "no initialised token".into() } else { names.join(", ") }
            );
            findings.push(Finding::failed("hsm.token", says));
            None
        }
    }
}

/// On a thread that nobody waits for: a module that hangs must not hold up the end. Its process ends with this one.
async fn list(hsm: HsmSettings) -> Result<Vec<TokenDescription>, HsmError> {
    let (told, answer) = oneshot::channel();
    std::thread::spawn(move || drop(told.send(hsm_setup::list_tokens(&hsm))));
    answer.await.unwrap_or_else(|_| Err(HsmError::Internal("the thread that lists tokens ended".into())))
}

fn may_log_in(settings: &Settings, token: &TokenDescription, findings: &mut Vec<Finding>) -> bool {
    let finding = if !token.user_pin_initialized {
        Finding::failed("hsm.login", format!("token `{}` has no user PIN yet: run `clm hsm init`", token.label))
    } else if token.user_pin_locked {
        let says = "the user PIN is locked: the security officer must set it anew with the vendor's tool";
        Finding::failed("hsm.login", says)
    } else if settings.seal.kind == SealKind::Shamir {
        let says = "not tried: with the seal shamir the PIN is with the people who hold the shares (sys/unseal)";
        Finding::ok("hsm.login", says)
    } else if token.user_pin_final_try {
        let says = "not tried, because one more wrong PIN would lock the token: check hsm.pin, then log in once with the vendor's tool";
        Finding::failed("hsm.login", says)
    } else {
        return true;
    };
    findings.push(finding);
    false
}

async fn log_in(hsm: &HsmSettings) -> Result<(Capabilities, Bridge), HsmError> {
    let one = HsmSettings { workers: 1, slow_workers: 0, ..hsm.clone() };
    let bridge = Bridge::open(one).await?;
    bridge.ready().await?;
    Ok((bridge.capabilities().await?, bridge))
}
