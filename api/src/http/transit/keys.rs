//! Making, reading and changing keys.

use super::shown;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::parameters::Parameters;
use keyvault::key::{Derivation, KeyAlgorithm, KeyConfig, KeyLimits, KeyName, LimitChange, NewKey};

/// Vault's, and not here, with what is missing.
const OTHER_TYPES: [(&str, &str); 4] = [
    ("xchacha20-poly1305", "has no PKCS#11 mechanism (there is only CKM_CHACHA20_POLY1305)"),
    ("hybrid", "signs by two keys at once, for which there is no PKCS#11 mechanism"),
    ("managed_key", "is Vault's word for keys that an HSM keeps, as it keeps all of this server's: name what they are"),
    ("slh-dsa", "needs the mechanism CKM_SLH_DSA in the token, which this server does not use"),
];

const HOUR: i64 = 3600;

pub(super) async fn create(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    // What is there already is the answer, whatever is asked.
    if let Some(key) = call.context.key(&call.mount, &name).await? {
        let warning = format!("key {name} already existed");
        return Ok(Answer::data(shown::key(&key)).warn([warning]));
    }
    let new = call.context.understood("key.create", &name, wanted(&call).await).await?;
    let (key, _) = call.context.create_key(&call.mount, &name, new).await?;
    Ok(Answer::data(shown::key(&key)))
}

async fn wanted(call: &Call) -> Result<NewKey> {
    let parameters = &call.parameters;
    let auto_rotate_seconds = auto_rotate(call)?.unwrap_or(0);
    let flag = |name: &str| parameters.flag(name).map(|flag| flag.unwrap_or(false));
    let derivation = derivation(call, flag("derived")?, flag("convergent_encryption")?).await?;
    let (exportable, allow_plaintext_backup) = (flag("exportable")?, flag("allow_plaintext_backup")?);
    let kind = parameters.text("type")?.unwrap_or_else(|| "aes256-gcm96".to_owned());
    let algorithm = approved(call, algorithm(&kind, parameters)?)?;
    let on_token = match parameters.text("storage")?.as_deref() {
        None | Some("" | "wrapped") => false,
        Some("token") => true,
        Some(other) => return Err(Error::invalid(format!("unknown storage {other}: wrapped or token"))),
    };
    let pre_activation = match parameters.text("state")?.as_deref() {
        None | Some("" | "active") => false,
        Some("pre_activation") => true,
        Some(other) => return Err(Error::invalid(format!("a key begins as active or pre_activation, not as {other}"))),
    };
    Ok(NewKey {
        algorithm,
        derivation,
        exportable,
        allow_plaintext_backup,
        auto_rotate_seconds,
        pre_activation,
        limits: limits(call)?.apply(KeyLimits::default())?,
        on_token,
    })
}

/// A type by name, and by `key_size` where that decides.
pub(super) fn algorithm(kind: &str, parameters: &Parameters) -> Result<KeyAlgorithm> {
    let size = parameters.integer("key_size")?.filter(|size| *size != 0);
    if let Some(refused) = missing(kind) {
        return Err(refused);
    }
    if kind == "ml-dsa" {
        // Vault's name for all three.
        let set = parameters.text("parameter_set")?.unwrap_or_default();
        let known = KeyAlgorithm::parse(&format!("ml-dsa-{set}"), None);
        return known.ok_or_else(|| Error::invalid("parameter_set of an ml-dsa key must be 44, 65 or 87"));
    }
    if kind != "hmac" {
        let known = KeyAlgorithm::parse(kind, None);
        let known = known.ok_or_else(|| Error::invalid(format!("unknown key type {kind}")))?;
        return match size {
            None => Ok(known),
            Some(_) => Err(Error::invalid(format!("key_size is not valid for algorithm {kind}"))),
        };
    }
    let Some(size) = size else {
        return Err(Error::invalid("invalid key size for HMAC key, must be between 32 and 512 bytes"));
    };
    let bytes = u16::try_from(size).ok();
    bytes
        .and_then(|bytes| KeyAlgorithm::parse(kind, Some(bytes)))
        .ok_or_else(|| Error::invalid(format!("invalid key_size {size}")))
}

/// With `fips = true` no key is one that encrypts by what is not approved.
pub(super) fn approved(call: &Call, algorithm: KeyAlgorithm) -> Result<KeyAlgorithm> {
    match algorithm {
        KeyAlgorithm::ChaCha20Poly1305 if call.state.settings.fips => {
            Err(Error::invalid("fips: chacha20-poly1305 is not approved (SP 800-140C)"))
        }
        other => Ok(other),
    }
}

/// Why there are no keys of a type that Vault has.
pub(super) fn missing(kind: &str) -> Option<Error> {
    let (_, reason) = OTHER_TYPES.iter().find(|(name, _)| *name == kind)?;
    Some(Error::invalid(format!("key type {kind} {reason}, and nothing is done in software instead")))
}

/// Whether contexts are to have keys of their own.
pub(super) async fn derivation(call: &Call, derived: bool, convergent: bool) -> Result<Derivation> {
    if !derived {
        let refused = || Error::invalid("convergent encryption requires derivation to be enabled");
        return if convergent { Err(refused()) } else { Ok(Derivation::None) };
    }
    let function = call.context.derivation_function().await?;
    if call.state.settings.fips {
        let mechanism = function.mechanism();
        return Err(Error::invalid(format!("fips: keys derived by {mechanism} are not approved (SP 800-108)")));
    }
    Ok(if convergent { Derivation::Convergent(function) } else { Derivation::Derived(function) })
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let key = call.context.key(&call.mount, &name(&call)?).await?;
    Ok(key.map_or_else(Answer::nothing, |key| Answer::data(shown::key(&key))))
}

pub(super) async fn list(call: Call) -> Result<Answer> {
    let mut names = call.context.list_keys(&call.mount).await?;
    if let Some(after) = call.parameters.text("after")?.filter(|after| !after.is_empty()) {
        names.retain(|name| *name > after);
    }
    if let Some(limit) = call.parameters.integer("limit")?.filter(|limit| *limit > 0) {
        names.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    Ok(Answer::keys(names))
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    call.context.delete_key(&call.mount, &name(&call)?).await?;
    Ok(Answer::nothing())
}

pub(super) async fn rotate(call: Call) -> Result<Answer> {
    let key = call.context.rotate_key(&call.mount, &name(&call)?).await?;
    Ok(Answer::data(shown::key(&key)))
}

pub(super) async fn trim(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let Some(version) = call.parameters.integer("min_available_version")? else {
        return Err(call.context.refuse_key("key.trim", &name, "missing min_available_version").await);
    };
    Ok(Answer::data(shown::key(&*call.context.trim_key(&call.mount, &name, version).await?)))
}

pub(super) async fn configure(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let parameters = &call.parameters;
    let config = KeyConfig {
        min_decryption_version: parameters.integer("min_decryption_version")?,
        min_encryption_version: parameters.integer("min_encryption_version")?,
        deletion_allowed: parameters.flag("deletion_allowed")?,
        exportable: parameters.flag("exportable")?,
        allow_plaintext_backup: parameters.flag("allow_plaintext_backup")?,
        auto_rotate_seconds: auto_rotate(&call)?,
        limits: limits(&call)?,
    };
    let (key, warnings) = call.context.configure_key(&call.mount, &name, config).await?;
    Ok(Answer::data(shown::key(&key)).warn(warnings))
}

fn limits(call: &Call) -> Result<LimitChange> {
    let parameters = &call.parameters;
    let number = |name: &str| match parameters.integer(name)? {
        None => Ok(None),
        Some(number) => match u64::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::invalid(format!("{name} cannot be {number}"))),
        },
    };
    Ok(LimitChange {
        originator_usage_seconds: parameters.lasting("originator_usage_period")?,
        recipient_usage_seconds: parameters.lasting("recipient_usage_period")?,
        max_uses: number("max_uses")?,
        max_bytes: number("max_bytes")?,
    })
}

pub(super) fn auto_rotate(call: &Call) -> Result<Option<u64>> {
    match call.parameters.seconds("auto_rotate_period")? {
        None => Ok(None),
        Some(seconds) if seconds == 0 || seconds >= HOUR => Ok(u64::try_from(seconds).ok()),
        Some(_) => Err(Error::invalid("auto rotate period must be 0 to disable or at least an hour")),
    }
}

/// The table lets only names of keys through.
pub(super) fn name(call: &Call) -> Result<KeyName> {
    KeyName::parse(call.capture("name")).ok_or_else(|| Error::invalid("no name of a key"))
}
