//! Whether the service works, and how it comes to.
//!
//! ```text
//!   opening ──► uninitialised ──► sealed ──► unsealed
//!   (databases, token away)        ▲   unseal, or the PIN │
//!                                  └──────── seal ────────┘
//! ```

use super::rekey::{self, Rekey};
use super::root_token::{self, Attempt};
use super::shamir::{self, Secret};
use super::{Context, Error, Result, Services};
use crate::http::VERSION;
use crate::settings::SealKind;
use audit_chain::{Caller, Value};
use clm_core::SealConfiguration;
use std::sync::{Mutex, OnceLock, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Where the service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Something is away; the text says what.
    Opening(String),
    /// Waits for `sys/init`.
    Uninitialised,
    /// Waits for shares, or for a restart.
    Sealed,
    /// Works.
    Unsealed,
}

/// The state, and what unsealing collects.
#[derive(Debug)]
pub(crate) struct Seal {
    kind: SealKind,
    phase: watch::Sender<Phase>,
    services: OnceLock<Services>,
    configuration: Mutex<SealConfiguration>,
    progress: Mutex<Progress>,
    pub(super) root_generation: Mutex<Option<Attempt>>,
    pub(super) rekey: Mutex<Option<Rekey>>,
    /// One initialisation, unsealing or sealing at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Progress {
    nonce: String,
    shares: Vec<Zeroizing<Vec<u8>>>,
}

/// What `sys/seal-status` tells.
#[derive(Clone, Debug)]
pub(crate) struct SealStatus {
    pub(crate) kind: SealKind,
    pub(crate) phase: Phase,
    pub(crate) shares: u8,
    pub(crate) threshold: u8,
    pub(crate) progress: usize,
    pub(crate) nonce: String,
    pub(crate) cluster_id: Option<Uuid>,
}

impl Phase {
    pub(crate) fn is_initialised(&self) -> bool {
        *self != Self::Uninitialised
    }
}

impl Seal {
    pub(crate) fn new(kind: SealKind) -> Self {
        Self {
            kind,
            phase: watch::Sender::new(Phase::Opening("the service is starting".into())),
            services: OnceLock::new(),
            configuration: Mutex::default(),
            progress: Mutex::default(),
            root_generation: Mutex::default(),
            rekey: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn kind(&self) -> SealKind {
        self.kind
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Waits until nothing is away any more.
    pub(crate) async fn settled(&self) -> Phase {
        let mut phase = self.phase.subscribe();
        match phase.wait_for(|phase| !matches!(phase, Phase::Opening(_))).await {
            Ok(phase) => phase.clone(),
            // The sender is ours.
            Err(_) => self.phase(),
        }
    }

    /// Both sides, for work: only while unsealed.
    pub(crate) fn services(&self) -> Result<&Services> {
        match &*self.phase.borrow() {
            Phase::Unsealed => self.services.get().ok_or(Error::Sealed),
            Phase::Opening(reason) => Err(Error::Unavailable(reason.clone())),
            Phase::Uninitialised | Phase::Sealed => Err(Error::Sealed),
        }
    }

    /// Both sides, if they are open, whatever the state.
    pub(crate) fn opened_services(&self) -> Result<&Services> {
        self.services.get().ok_or_else(|| match &*self.phase.borrow() {
            Phase::Opening(reason) => Error::Unavailable(reason.clone()),
            _ => Error::Sealed,
        })
    }

    pub(crate) fn status(&self) -> SealStatus {
        let configuration = self.configuration();
        let progress = lock(&self.progress);
        let phase = self.phase();
        SealStatus {
            kind: self.kind,
            shares: configuration.current.shares,
            threshold: configuration.current.threshold,
            progress: progress.shares.len(),
            nonce: progress.nonce.clone(),
            cluster_id: (phase == Phase::Unsealed).then_some(configuration.cluster_id).flatten(),
            phase,
        }
    }

    pub(super) fn opened(&self, services: Services) {
        // Set once: only the opening task calls this.
        drop(self.services.set(services));
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let changed = *current != phase;
            *current = phase;
            changed
        });
    }

    /// Unless it works already: a share may have been faster.
    pub(super) fn enter_if_closed(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let changed = *current != Phase::Unsealed && *current != phase;
            if changed {
                *current = phase;
            }
            changed
        });
    }

    /// What the service waits for; whether that is news. An empty reason leaves the phase as it is.
    pub(super) fn waits_for(&self, reason: &str) -> bool {
        !reason.is_empty()
            && self.phase.send_if_modified(|current| {
                let next = Phase::Opening(reason.to_owned());
                let changed = *current != next && *current != Phase::Unsealed;
                if changed {
                    *current = next;
                }
                changed
            })
    }

    pub(super) fn configuration(&self) -> SealConfiguration {
        lock(&self.configuration).clone()
    }

    pub(super) fn remember(&self, configuration: Option<SealConfiguration>) {
        *lock(&self.configuration) = configuration.unwrap_or_default();
    }

    /// Takes a share; with the last one that is needed the token is opened.
    pub(crate) async fn unseal(&self, caller: &Caller, share: &str) -> Result<()> {
        let share =
            shamir::decode(share).ok_or_else(|| Error::invalid("'key' must be a valid hex or base64 string"))?;
        let _alone = self.changing.lock().await;
        match self.phase() {
            Phase::Unsealed => return Ok(()),
            Phase::Uninitialised => return Err(Error::invalid("Vault is not initialized")),
            Phase::Opening(reason) => return Err(Error::Unavailable(reason)),
            Phase::Sealed if self.kind == SealKind::Pkcs11 => {
                return Err(Error::invalid(
                    "the seal pkcs11 needs no shares: restart the service, and it unseals itself with the token's PIN",
                ));
            }
            Phase::Sealed => {}
        }
        if !shamir::is_share(&share) {
            return Err(Error::invalid("invalid key: a share has 33 bytes"));
        }
        let services = self.opened_services()?;
        // Another server may have made new shares.
        self.remember(services.core.seal_configuration().await?);
        let configuration = self.configuration();
        let Some(secret) = self.collect(share, &configuration)? else { return Ok(()) };
        let shares = rekey::belonging(&configuration, &secret);
        let pin = rekey::pin_of(&secret, configuration.cluster_id, shares.unwrap_or(&configuration.current))?;
        services.vault.bridge().unlock(pin).await?;
        if let Err(error) = unsealed(services, caller, self.kind).await {
            // What is not on record is not done.
            services.vault.bridge().lock().await?;
            return Err(error);
        }
        self.enter(Phase::Unsealed);
        tracing::info!("unsealed");
        let is_current = shares == Some(&configuration.current);
        if configuration.former.is_some()
            && is_current
            && let Err(error) = rekey::forget_former(services, self, caller).await
        {
            tracing::warn!(%error, "the shares of before the rekey still hold; the next unsealing tries again to end that");
        }
        Ok(())
    }

    /// Forgets the shares of this attempt.
    pub(crate) fn reset(&self) -> Result<()> {
        if self.phase() == Phase::Unsealed {
            return Err(Error::invalid("vault is unsealed"));
        }
        *lock(&self.progress) = Progress::default();
        Ok(())
    }

    /// The secret, once there are enough shares for it; when there are enough for any and they give none, the collection begins anew.
    fn collect(&self, share: Zeroizing<Vec<u8>>, configuration: &SealConfiguration) -> Result<Option<Secret>> {
        let thresholds = [Some(&configuration.current), configuration.former.as_ref()];
        let thresholds = || thresholds.iter().flatten().map(|shares| usize::from(shares.threshold.max(1)));
        let mut progress = lock(&self.progress);
        if progress.nonce.is_empty() {
            progress.nonce = Uuid::new_v4().to_string();
        }
        if !progress.shares.contains(&share) {
            progress.shares.push(share);
        }
        let collected = progress.shares.len();
        if thresholds().any(|threshold| collected == threshold)
            && let Some(secret) = Secret::combine(&progress.shares)
        {
            *progress = Progress::default();
            return Ok(Some(secret));
        }
        if thresholds().all(|threshold| collected >= threshold) {
            *progress = Progress::default();
            return Err(Error::invalid(
                "unable to retrieve stored keys: invalid key: these shares do not belong together",
            ));
        }
        Ok(None)
    }
}

/// Before the service works: that it does, and since when in this version, is on record.
pub(super) async fn unsealed(services: &Services, caller: &Caller, kind: SealKind) -> Result<()> {
    let core = &services.core;
    core.note_version(caller, VERSION).await?;
    let mut event = core.event(caller, "system.unseal", "system", ("system", None), "unseal");
    let seal = if kind == SealKind::Shamir { "shamir" } else { "pkcs11" };
    event.data.insert("seal".into(), Value::Text(seal.into()));
    event.data.insert("version".into(), Value::Text(VERSION.into()));
    Ok(core.audit().append(event).await.map_err(clm_core::Error::Audit)?)
}

/// Closes the service: workers end; the PIN, all authority, and shares that were given to an attempt are forgotten.
pub(crate) async fn seal(context: &Context, seal: &Seal) -> Result<()> {
    let Services { vault, core, .. } = &context.services;
    let _alone = seal.changing.lock().await;
    let event = core.event(&context.caller, "system.seal", "system", ("system", None), "seal");
    core.audit().append(event).await.map_err(clm_core::Error::Audit)?;
    seal.enter(Phase::Sealed);
    rekey::cancel(seal);
    root_token::cancel(seal);
    core.invalidate_all();
    vault.forget().await;
    vault.bridge().lock().await?;
    tracing::warn!(accessor = %context.caller.accessor, "sealed");
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
