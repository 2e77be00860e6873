//! New shares of the seal (or of the recovery key) in place of the old ones.
//!
//! The token's PIN stays; a new secret is drawn, the PIN is encrypted under it, and the secret is split. With `require_verification` the new shares
//! count once enough of them were shown; until then nothing is written and the old ones hold. Without it both hold for a moment, so that a service
//! that is killed before it could answer has not lost its shares with the answer: ten seconds later, or once the new ones have opened it, the old
//! ones are void.

use super::seal::Seal;
use super::sealed_pin;
use super::shamir::{self, Secret, Split};
use super::{Error, Result, Services};
use crate::crash::CrashPoint;
use crate::settings::SealKind;
use audit_chain::Caller;
use clm_core::{SealConfiguration, SealShares};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

/// For how long the old shares hold beside new ones that nobody had to show.
const FORMER_HOLD: Duration = Duration::from_secs(10);

/// A rekey that was started.
pub(super) struct Rekey {
    nonce: String,
    split: Split,
    verified: bool,
    shares: Vec<Zeroizing<Vec<u8>>>,
    /// The new shares are told and wait to be shown.
    waiting: Option<Waiting>,
}

struct Waiting {
    nonce: String,
    next: SealShares,
    shares: Vec<Zeroizing<Vec<u8>>>,
}

/// How far a rekey is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Empty: none was started.
    pub(crate) nonce: String,
    pub(crate) shares: u8,
    pub(crate) threshold: u8,
    /// Old shares that were given, and that are needed.
    pub(crate) given: usize,
    pub(crate) required: u8,
    pub(crate) verification_required: bool,
    /// Empty: nothing waits to be verified.
    pub(crate) verification_nonce: String,
}

/// How far it is to show the new shares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verification {
    pub(crate) nonce: String,
    pub(crate) shares: u8,
    pub(crate) threshold: u8,
    pub(crate) given: usize,
    pub(crate) complete: bool,
}

/// What a share led to.
pub(crate) enum Step {
    More(Progress),
    /// The new shares; told once.
    Done {
        progress: Progress,
        keys: Vec<Zeroizing<Vec<u8>>>,
    },
}

impl std::fmt::Debug for Rekey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rekey").field("nonce", &self.nonce).field("split", &self.split).finish_non_exhaustive()
    }
}

/// How far it is.
pub(crate) fn progress(seal: &Seal) -> Progress {
    let required = seal.configuration().current.threshold;
    match &*state(seal) {
        None => Progress { required, ..Progress::default() },
        Some(rekey) => Progress {
            nonce: rekey.nonce.clone(),
            shares: rekey.split.shares,
            threshold: rekey.split.threshold,
            given: rekey.shares.len(),
            required,
            verification_required: rekey.verified,
            verification_nonce: rekey.waiting.as_ref().map(|waiting| waiting.nonce.clone()).unwrap_or_default(),
        },
    }
}

/// Starts one.
pub(crate) async fn start(services: &Services, seal: &Seal, split: Split, verified: bool) -> Result<Progress> {
    let _alone = seal.changing.lock().await;
    seal.remember(Some(checked(services).await?));
    {
        let mut state = state(seal);
        if state.is_some() {
            return Err(Error::invalid("rekey already in progress"));
        }
        let nonce = Uuid::new_v4().to_string();
        *state = Some(Rekey { nonce, split, verified, shares: Vec::new(), waiting: None });
    }
    Ok(progress(seal))
}

/// Forgets it, and shares that wait to be verified with it.
pub(crate) fn cancel(seal: &Seal) {
    *state(seal) = None;
}

/// Takes an old share. With the last one that is needed the new ones are made.
pub(crate) async fn update(
    services: &Services,
    seal: &Arc<Seal>,
    caller: &Caller,
    share: &str,
    nonce: &str,
) -> Result<Step> {
    let share = decoded(share)?;
    let _alone = seal.changing.lock().await;
    let configuration = checked(services).await?;
    let (split, verified, shares) = {
        let mut state = state(seal);
        let missing = || Error::invalid(format!("no {} rekey in progress", what(seal)));
        let rekey = state.as_mut().filter(|rekey| rekey.waiting.is_none()).ok_or_else(missing)?;
        expect_nonce(&rekey.nonce, nonce, "rekey")?;
        if rekey.shares.contains(&share) {
            return Err(Error::invalid("given key has already been provided during this generation operation"));
        }
        rekey.shares.push(share);
        if rekey.shares.len() < usize::from(configuration.current.threshold) {
            drop(state);
            return Ok(Step::More(progress(seal)));
        }
        (rekey.split, rekey.verified, std::mem::take(&mut rekey.shares))
    };
    let secret = Secret::combine(&shares);
    let Some(secret) = secret.filter(|secret| recognised(secret, &configuration.current)) else {
        tracing::warn!("shares for a rekey do not belong to this deployment's seal");
        return Err(Error::invalid("rekey aborted: these shares do not belong together, or to this seal"));
    };
    let new = Secret::random()?;
    let cluster_id = configuration.cluster_id;
    let wrapped_pin = match seal.kind() {
        SealKind::Pkcs11 => None,
        SealKind::Shamir => {
            Some(sealed_pin::wrap(&new, cluster_id, &pin_of(&secret, cluster_id, &configuration.current)?)?)
        }
    };
    let next = SealShares {
        shares: split.shares,
        threshold: split.threshold,
        secret_sha256: Some(hex::encode(new.sha256())),
        wrapped_pin,
    };
    let keys = new.split(split);
    let mut progress = progress(seal);
    progress.given = usize::from(progress.required);
    if verified {
        let waiting = Waiting { nonce: Uuid::new_v4().to_string(), next, shares: Vec::new() };
        progress.verification_nonce.clone_from(&waiting.nonce);
        if let Some(rekey) = &mut *state(seal) {
            rekey.waiting = Some(waiting);
        }
        let event = services.core.event(caller, "seal.rekey", "system", ("seal", None), "await_verification");
        services.core.audit().append(event).await.map_err(clm_core::Error::Audit)?;
        return Ok(Step::Done { progress, keys });
    }
    put(services, seal, caller, &configuration.current, next, true).await?;
    CrashPoint::SealRekeyed.reached();
    cancel(seal);
    forget_former_later(services, seal, caller);
    Ok(Step::Done { progress, keys })
}

/// How far it is to show the new shares; refused where nothing was started.
pub(crate) fn verification(seal: &Seal) -> Result<Verification> {
    match &*state(seal) {
        None => Err(Error::invalid("no rekey configuration found")),
        Some(Rekey { split, waiting, .. }) => Ok(Verification {
            nonce: waiting.as_ref().map(|waiting| waiting.nonce.clone()).unwrap_or_default(),
            shares: split.shares,
            threshold: split.threshold,
            given: waiting.as_ref().map_or(0, |waiting| waiting.shares.len()),
            complete: false,
        }),
    }
}

/// Forgets which new shares were shown, under another nonce.
pub(crate) fn restart_verification(seal: &Seal) -> Result<Verification> {
    if let Some(waiting) = state(seal).as_mut().and_then(|rekey| rekey.waiting.as_mut()) {
        waiting.shares.clear();
        waiting.nonce = Uuid::new_v4().to_string();
    }
    verification(seal)
}

/// Takes a new share. With the last one that is needed the new ones count, and the old ones do not any more.
pub(crate) async fn verify(
    services: &Services,
    seal: &Seal,
    caller: &Caller,
    share: &str,
    nonce: &str,
) -> Result<Verification> {
    let share = decoded(share)?;
    let _alone = seal.changing.lock().await;
    let (next, shares) = {
        let mut state = state(seal);
        let rekey = state.as_mut().ok_or_else(|| Error::invalid("no rekey configuration found"))?;
        let waiting =
            rekey.waiting.as_mut().ok_or_else(|| Error::invalid("no rekey in progress waits to be verified"))?;
        expect_nonce(&waiting.nonce, nonce, "verify")?;
        if waiting.shares.contains(&share) {
            return Err(Error::invalid("given key has already been provided during this verify operation"));
        }
        waiting.shares.push(share);
        if waiting.shares.len() < usize::from(waiting.next.threshold) {
            drop(state);
            return verification(seal);
        }
        (waiting.next.clone(), std::mem::take(&mut waiting.shares))
    };
    if !Secret::combine(&shares).is_some_and(|secret| recognised(&secret, &next)) {
        restart_verification(seal)?;
        return Err(Error::invalid("rekey verification failed; incorrect key shares supplied"));
    }
    let configuration = checked(services).await?;
    put(services, seal, caller, &configuration.current, next, false).await?;
    let done = Verification { complete: true, ..verification(seal)? };
    cancel(seal);
    Ok(done)
}

/// Which shares gave this secret: the present ones, or those before them while they hold.
pub(super) fn belonging<'c>(configuration: &'c SealConfiguration, secret: &Secret) -> Option<&'c SealShares> {
    [Some(&configuration.current), configuration.former.as_ref()]
        .into_iter()
        .flatten()
        .find(|shares| recognised(secret, shares))
}

/// The PIN that a secret opens.
pub(super) fn pin_of(secret: &Secret, cluster_id: Option<Uuid>, shares: &SealShares) -> Result<secrecy::SecretString> {
    match &shares.wrapped_pin {
        Some(wrapped) => sealed_pin::unwrap(secret, cluster_id, wrapped),
        None => Ok(secret.pin()),
    }
}

/// Once the new shares have been used, nobody needs the old ones. Whoever calls this holds the lock of changes.
pub(super) async fn forget_former(services: &Services, seal: &Seal, caller: &Caller) -> Result<()> {
    if checked(services).await?.former.is_none() {
        return Ok(());
    }
    let changed = services
        .core
        .change_seal(caller, "forget_former", |configuration| Ok(SealConfiguration { former: None, ..configuration }))
        .await?;
    seal.remember(Some(changed));
    Ok(())
}

fn forget_former_later(services: &Services, seal: &Arc<Seal>, caller: &Caller) {
    let (services, seal, caller) = (services.clone(), Arc::clone(seal), caller.clone());
    tokio::spawn(async move {
        tokio::time::sleep(FORMER_HOLD).await;
        let _alone = seal.changing.lock().await;
        if let Err(error) = forget_former(&services, &seal, &caller).await {
            tracing::warn!(%error, "the shares of before the rekey hold until the new ones have unsealed the service");
        }
    });
}

async fn put(
    services: &Services,
    seal: &Seal,
    caller: &Caller,
    known: &SealShares,
    next: SealShares,
    keep_former: bool,
) -> Result<()> {
    let known = known.clone();
    let changed = services.core.change_seal(caller, "rekey", move |configuration| {
        if configuration.current != known {
            return Err(clm_core::Error::Invalid("another server has made new shares meanwhile: begin anew".into()));
        }
        Ok(SealConfiguration { former: keep_former.then_some(configuration.current), current: next, ..configuration })
    });
    seal.remember(Some(changed.await?));
    tracing::warn!(alarm = "rekey", "the shares of the {} were made anew", what(seal));
    Ok(())
}

/// What is in the database now, bound by its MAC; refused where there are no shares.
pub(super) async fn checked(services: &Services) -> Result<SealConfiguration> {
    let configuration = services.core.checked_seal_configuration().await?;
    if configuration.current.threshold == 0 {
        return Err(Error::invalid(
            "this deployment was initialised without recovery shares (`recovery_shares`, `recovery_threshold` of sys/init): nobody can show that he may do this",
        ));
    }
    Ok(configuration)
}

fn recognised(secret: &Secret, shares: &SealShares) -> bool {
    let known = shares.secret_sha256.as_ref().and_then(|sha256| hex::decode(sha256).ok());
    known.is_some_and(|known| bool::from(secret.sha256().as_slice().ct_eq(&known)))
}

fn decoded(share: &str) -> Result<Zeroizing<Vec<u8>>> {
    shamir::decode(share)
        .filter(|share| shamir::is_share(share))
        .ok_or_else(|| Error::invalid("'key' must be a share, in hex or base64"))
}

fn expect_nonce(right: &str, given: &str, operation: &str) -> Result<()> {
    if right == given {
        return Ok(());
    }
    Err(Error::invalid(format!("incorrect nonce supplied; nonce for this {operation} operation is {right:?}")))
}

fn what(seal: &Seal) -> &'static str {
    match seal.kind() {
        SealKind::Pkcs11 => "recovery",
        SealKind::Shamir => "barrier",
    }
}

fn state(seal: &Seal) -> MutexGuard<'_, Option<Rekey>> {
    seal.rekey.lock().unwrap_or_else(PoisonError::into_inner)
}
