//! Whether the token and the database belong together, and what a lost token would cost.

use super::finding::Finding;
use super::hsm::Held;
use keyvault::RegisteredToken;

pub(super) fn examine(held: Option<&Held>, registered: Option<&[RegisteredToken]>) -> Vec<Finding> {
    let Some(registered) = registered else { return Vec::new() };
    let mut findings = Vec::new();
    match registered {
        [] => {
            let says = "not initialised yet: start `clm server` and ask it once for PUT /v1/sys/init";
            return vec![Finding::ok("deployment", says)];
        }
        [one] => {
            let says = format!(
                "only token `{}` (serial {}) can unwrap this deployment's keys: keep a backup of it, made with its vendor's tool, where no fire takes both",
                one.label, one.serial_number
            );
            findings.push(Finding::warning("deployment.backup", says));
        }
        several => {
            let says = format!("{} tokens can unwrap this deployment's keys", several.len());
            findings.push(Finding::ok("deployment.backup", says));
        }
    }
    let Some(held) = held else { return findings };
    let ours = registered.iter().find(|token| token.serial_number == held.serial);
    findings.push(match (ours, held.root_key_id) {
        (None, _) => {
            let known: Vec<&str> = registered.iter().map(|token| token.serial_number.as_str()).collect();
            let says = format!(
                "clm_secure_db was made with the token of serial {}, and this one has {}: connect the right token, or correct hsm.token or secure_database.url",
                known.join(" or "),
                held.serial
            );
            Finding::failed("deployment.token", says)
        }
        (Some(ours), Some(root)) if ours.root_key_id != root => {
            let says = format!(
                "the token's root key {root} is not the one that wrapped the keys in clm_secure_db ({}): restore the token from its vendor's backup",
                ours.root_key_id
            );
            Finding::failed("deployment.token", says)
        }
        (Some(_), _) => Finding::ok("deployment.token", "this token's root key wrapped the keys in clm_secure_db"),
    });
    findings
}
