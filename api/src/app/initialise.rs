//! The first start of a deployment: keys, then people.
//!
//! Two databases and a token cannot be changed at once, so the order is such that a process killed in between leaves nothing that a
//! second try does not finish: the organization's key (kept, if it is there), then, with the Shamir seal, the token's PIN, then
//! the organization with its root token, which is what "initialised" means.

use super::seal::{Phase, Seal};
use super::services::Services;
use super::shamir::{Secret, Split};
use super::{Error, Result, pin, sealed_pin};
use crate::crash::CrashPoint;
use crate::settings::{SealKind, Settings};
use audit_chain::Caller;
use clm_core::{SealConfiguration, SealShares};
use keyvault::HsmError;
use secrecy::SecretString;
use uuid::Uuid;
use zeroize::Zeroizing;

/// As asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The root token; a random one otherwise.
    pub(crate) root_token: Option<SecretString>,
    pub(crate) secret_shares: Option<i64>,
    pub(crate) secret_threshold: Option<i64>,
    pub(crate) recovery_shares: Option<i64>,
    pub(crate) recovery_threshold: Option<i64>,
}

/// What only this answer tells.
pub(crate) struct Initialised {
    pub(crate) root_token: SecretString,
    pub(crate) keys: Vec<Zeroizing<Vec<u8>>>,
    pub(crate) recovery_keys: Vec<Zeroizing<Vec<u8>>>,
}

/// Initialises the deployment, once.
pub(crate) async fn initialise(
    settings: &Settings,
    seal: &Seal,
    caller: &Caller,
    wanted: Wanted,
) -> Result<Initialised> {
    let split = checked(seal.kind(), &wanted)?;
    let _alone = seal.changing.lock().await;
    match seal.phase() {
        Phase::Sealed | Phase::Unsealed => return Err(Error::invalid("Vault is already initialized")),
        Phase::Opening(reason) => return Err(Error::Unavailable(reason)),
        Phase::Uninitialised => {}
    }
    let services = seal.opened_services()?;
    if services.core.initialized().await? {
        return Err(Error::invalid("Vault is already initialized"));
    }
    match seal.kind() {
        SealKind::Pkcs11 => with_pkcs11(services, seal, caller, split, wanted.root_token).await,
        SealKind::Shamir => {
            let split =
                split.ok_or_else(|| Error::invalid("invalid seal configuration: shares must be at least one"))?;
            let pin = pin::read(&settings.hsm.as_ref().map(|hsm| hsm.pin.clone()).unwrap_or_default())?;
            with_shamir(services, seal, caller, split, pin, wanted.root_token).await
        }
    }
}

fn checked(kind: SealKind, wanted: &Wanted) -> Result<Option<Split>> {
    let &Wanted { secret_shares, secret_threshold, recovery_shares, recovery_threshold, root_token: _ } = wanted;
    let given = |value: Option<i64>| value.is_some_and(|value| value != 0);
    match kind {
        SealKind::Pkcs11 if given(secret_shares) || given(secret_threshold) => {
            Err(Error::invalid("parameters secret_shares,secret_threshold not applicable to seal type pkcs11"))
        }
        SealKind::Pkcs11 if !given(recovery_shares) && !given(recovery_threshold) => Ok(None),
        SealKind::Pkcs11 => Split::checked(recovery_shares.unwrap_or(0), recovery_threshold.unwrap_or(0)).map(Some),
        SealKind::Shamir if given(recovery_shares) || given(recovery_threshold) => {
            Err(Error::invalid("parameters recovery_shares,recovery_threshold not applicable to seal type shamir"))
        }
        SealKind::Shamir => Split::checked(secret_shares.unwrap_or(0), secret_threshold.unwrap_or(0)).map(Some),
    }
}

async fn with_pkcs11(
    services: &Services,
    seal: &Seal,
    caller: &Caller,
    recovery: Option<Split>,
    root_token: Option<SecretString>,
) -> Result<Initialised> {
    services.vault.bridge().ready().await?;
    services.vault.initialize(caller).await?;
    CrashPoint::OrganizationKeyMade.reached();
    let mut configuration = SealConfiguration { cluster_id: Some(Uuid::new_v4()), ..SealConfiguration::default() };
    let mut recovery_keys = Vec::new();
    if let Some(split) = recovery {
        let secret = Secret::random()?;
        recovery_keys = secret.split(split);
        configuration.current = SealShares {
            shares: split.shares,
            threshold: split.threshold,
            secret_sha256: Some(hex::encode(secret.sha256())),
            wrapped_pin: None,
        };
    }
    let root_token = services.core.initialize(caller, root_token, &configuration).await?;
    seal.remember(Some(configuration));
    seal.enter(Phase::Unsealed);
    Ok(Initialised { root_token, keys: Vec::new(), recovery_keys })
}

async fn with_shamir(
    services: &Services,
    seal: &Seal,
    caller: &Caller,
    split: Split,
    pin: SecretString,
    root_token: Option<SecretString>,
) -> Result<Initialised> {
    let bridge = services.vault.bridge();
    bridge.unlock(pin).await.map_err(|error| match error {
        HsmError::Configuration(text) => Error::Operator(format!(
            "{text}. If an earlier initialisation was cut off after it had changed the PIN, set the user PIN again with the security officer's, and initialise again"
        )),
        other => other.into(),
    })?;
    let made = make_shamir(services, seal, caller, split, root_token).await;
    // Sealed afterwards in any case; a failure to lock is worth no more than the failure before it.
    let locked = bridge.lock().await;
    let made = made?;
    locked?;
    Ok(made)
}

async fn make_shamir(
    services: &Services,
    seal: &Seal,
    caller: &Caller,
    split: Split,
    root_token: Option<SecretString>,
) -> Result<Initialised> {
    services.vault.initialize(caller).await?;
    let secret = Secret::random()?;
    let keys = secret.split(split);
    // Of another secret: new shares can be made around the same PIN.
    let pin = Secret::random()?.pin();
    services.vault.bridge().set_pin(pin.clone()).await?;
    CrashPoint::PinChanged.reached();
    let cluster_id = Some(Uuid::new_v4());
    let current = SealShares {
        shares: split.shares,
        threshold: split.threshold,
        secret_sha256: Some(hex::encode(secret.sha256())),
        wrapped_pin: Some(sealed_pin::wrap(&secret, cluster_id, &pin)?),
    };
    let configuration = SealConfiguration { cluster_id, current, former: None };
    let root_token = services.core.initialize(caller, root_token, &configuration).await?;
    seal.remember(Some(configuration));
    seal.enter(Phase::Sealed);
    services.core.invalidate_all();
    services.vault.forget().await;
    Ok(Initialised { root_token, keys, recovery_keys: Vec::new() })
}
