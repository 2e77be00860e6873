//! A new root token by the shares of the seal (or of the recovery key), for when nobody has one any more.
//!
//! Whoever starts it gives, or is given, a one-time pad; the answer to the last share is the token under that pad, so that the people who bring
//! shares do not learn it. Nobody has to be allowed, so that it works only where the operator has switched it on, for as long as it takes.

use super::seal::Seal;
use super::shamir::{self, Secret};
use super::{Error, Result, Services, rekey};
use audit_chain::Caller;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use secrecy::ExposeSecret;
use std::sync::{MutexGuard, PoisonError};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Characters of a root token, and of its pad.
pub(crate) const LENGTH: usize = 28;

/// An attempt that was started.
pub(super) struct Attempt {
    nonce: String,
    pad: Zeroizing<String>,
    shares: Vec<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt")
            .field("nonce", &self.nonce)
            .field("shares", &self.shares.len())
            .finish_non_exhaustive()
    }
}

/// How far an attempt is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Empty: none was started.
    pub(crate) nonce: String,
    /// Shares that were given.
    pub(crate) progress: usize,
    /// Shares that are needed.
    pub(crate) required: u8,
    /// The pad, if the service made it: only in the answer to the start.
    pub(crate) pad: Zeroizing<String>,
    /// The token under the pad, base64; empty while shares are missing.
    pub(crate) encoded_token: String,
}

/// How far it is.
pub(crate) fn progress(seal: &Seal) -> Progress {
    let attempt = attempt(seal);
    Progress {
        nonce: attempt.as_ref().map(|attempt| attempt.nonce.clone()).unwrap_or_default(),
        progress: attempt.as_ref().map_or(0, |attempt| attempt.shares.len()),
        required: seal.configuration().current.threshold,
        ..Progress::default()
    }
}

/// Starts an attempt with the caller's pad, or with one that is made.
pub(crate) async fn start(services: &Services, seal: &Seal, pad: Option<Zeroizing<String>>) -> Result<Progress> {
    {
        let _alone = seal.changing.lock().await;
        seal.remember(Some(rekey::checked(services).await?));
    }

    if pad.as_ref().is_some_and(|pad| pad.len() != LENGTH) {
        return Err(Error::invalid("OTP string has incorrect length"));
    }
    let made = pad.is_none();
    let pad = match pad {
        Some(pad) => pad,
        None => clm_core::random_base62(LENGTH)?,
    };
    {
        let mut attempt = attempt(seal);
        if attempt.is_some() {
            return Err(Error::invalid("root generation already in progress"));
        }
        *attempt = Some(Attempt { nonce: Uuid::new_v4().to_string(), pad: pad.clone(), shares: Vec::new() });
    }
    Ok(Progress { pad: if made { pad } else { Zeroizing::default() }, ..progress(seal) })
}

/// Forgets an attempt, if there is one.
pub(crate) fn cancel(seal: &Seal) {
    *attempt(seal) = None;
}

/// Takes a share. With the last one that is needed the token is made, on record; shares that do not belong together begin anew.
pub(crate) async fn update(
    services: &Services,
    seal: &Seal,
    caller: &Caller,
    share: &str,
    nonce: &str,
) -> Result<Progress> {
    let configuration = rekey::checked(services).await?;
    let share = shamir::decode(share)
        .filter(|share| shamir::is_share(share))
        .ok_or_else(|| Error::invalid("'key' must be a share, in hex or base64"))?;
    let required = configuration.current.threshold;
    let (pad, shares) = {
        let mut attempt = attempt(seal);
        let Some(started) = attempt.as_mut() else { return Err(Error::invalid("no root generation in progress")) };
        if started.nonce != nonce {
            return Err(Error::invalid(format!(
                "incorrect nonce supplied; nonce for this root generation operation is {:?}",
                started.nonce
            )));
        }
        if started.shares.contains(&share) {
            return Err(Error::invalid("given key has already been provided during this generation operation"));
        }
        started.shares.push(share);
        if started.shares.len() < usize::from(required) {
            drop(attempt);
            return Ok(progress(seal));
        }
        (started.pad.clone(), std::mem::take(&mut started.shares))
    };
    if Secret::combine(&shares).is_none_or(|secret| rekey::belonging(&configuration, &secret).is_none()) {
        tracing::warn!("shares for a new root token do not belong to this deployment's seal");
        return Err(Error::invalid("root generation aborted: these shares do not belong together, or to this seal"));
    }
    let token = services.core.create_root_token(caller).await?;
    let padded = Zeroizing::new(
        token.expose_secret().bytes().zip(pad.bytes()).map(|(token, pad)| token ^ pad).collect::<Vec<u8>>(),
    );
    cancel(seal);
    tracing::warn!(alarm = "root_token", "a new root token was made by the shares of the seal");
    Ok(Progress {
        nonce: nonce.to_owned(),
        progress: required.into(),
        required,
        pad: Zeroizing::default(),
        encoded_token: BASE64_STANDARD_NO_PAD.encode(&*padded),
    })
}

fn attempt(seal: &Seal) -> MutexGuard<'_, Option<Attempt>> {
    seal.root_generation.lock().unwrap_or_else(PoisonError::into_inner)
}
