//! From an empty service to one that signs: initialised, unsealed, `transit/` and `secret/` mounted. Each step can be the last before a crash.

use super::state::{StateDirectory, random_text};
use crate::app::initialise::{Wanted, initialise};
use crate::app::seal::Phase;
use crate::settings::SealKind;
use crate::state::State;
use anyhow::{Context, Result, bail, ensure};
use audit_chain::Caller;
use clm_core::NewMount;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

/// Paths and types.
const MOUNTS: [(&str, &str); 2] = [("transit/", "transit"), ("secret/", "kv-v2")];
const TOKEN_FILE: &str = "root-token";
const SHARE_FILE: &str = "unseal-key";

/// Takes them; gives the root token.
pub(super) async fn take(
    state: &State,
    directory: &StateDirectory,
    wanted: Option<SecretString>,
) -> Result<SecretString> {
    if let Some(wanted) = &wanted {
        let text = wanted.expose_secret();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(fits, "--root-token must have printable ASCII characters only, and at least one");
    }
    let phase = state.seal.settled().await;
    let kept = directory.read(TOKEN_FILE)?;
    let token = match (kept, wanted) {
        (Some(kept), Some(wanted)) => {
            ensure!(
                kept.expose_secret() == wanted.expose_secret(),
                "{} has another root token: leave --root-token out, or give a --state of its own",
                directory.directory().display()
            );
            kept
        }
        (Some(kept), None) => kept,
        (None, _) if phase != Phase::Uninitialised => {
            bail!("{} was initialised by hand: start it with --no-init", directory.directory().display())
        }
        (None, wanted) => {
            let token = wanted.map_or_else(|| random_text().map(|text| format!("hvs.{text}").into()), Ok)?;
            // Kept before it is used: after a crash in between, the next start goes on with the same.
            directory.write(TOKEN_FILE, &token)?;
            token
        }
    };
    if phase == Phase::Uninitialised {
        make(state, directory, token.clone()).await?;
    }
    if state.seal.kind() == SealKind::Shamir && state.seal.phase() == Phase::Sealed {
        let share = directory.read(SHARE_FILE)?.with_context(|| {
            format!(
                "{} holds no unseal key: a start was killed before it could keep it; remove the directory",
                directory.directory().display()
            )
        })?;
        state.seal.unseal(&caller("sys/unseal"), share.expose_secret()).await?;
    }
    mount(state, directory).await?;
    Ok(token)
}

async fn make(state: &State, directory: &StateDirectory, root_token: SecretString) -> Result<()> {
    let shares = (state.seal.kind() == SealKind::Shamir).then_some(1);
    let wanted =
        Wanted { root_token: Some(root_token), secret_shares: shares, secret_threshold: shares, ..Wanted::default() };
    let made = initialise(&state.settings, &state.seal, &caller("sys/init"), wanted).await?;
    if let Some(share) = made.keys.first() {
        directory.write(SHARE_FILE, &hex::encode(share.as_slice()).into())?;
    }
    Ok(())
}

/// Each once in the state's life: whoever disables one later has it stay so.
async fn mount(state: &State, directory: &StateDirectory) -> Result<()> {
    let mounted = directory.read("mounted")?.map(|list| list.expose_secret().to_owned()).unwrap_or_default();
    let missing: Vec<_> =
        MOUNTS.iter().filter(|(path, _)| !mounted.split_whitespace().any(|known| known == *path)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let core = &state.seal.services()?.core;
    core.ensure_mounts().await?;
    for (path, mount_type) in missing {
        if !core.mounts(clm_core::ROOT_ORGANIZATION).iter().any(|mount| mount.path == *path) {
            let new = NewMount { mount_type: Some((*mount_type).into()), ..NewMount::default() };
            core.mount(&caller(&format!("sys/mounts/{}", path.trim_end_matches('/'))), path, new).await?;
        }
    }
    let paths: Vec<&str> = MOUNTS.iter().map(|(path, _)| *path).collect();
    directory.write("mounted", &paths.join(" ").into())
}

fn caller(path: &str) -> Caller {
    Caller {
        request_id: Uuid::now_v7(),
        organization_id: clm_core::ROOT_ORGANIZATION,
        user_id: None,
        entity_id: None,
        accessor: "".into(),
        display_name: "system".into(),
        ip_address: None,
        user_agent: None,
        path: path.into(),
        verdict: None,
        arrival: None,
    }
}
