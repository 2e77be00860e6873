//! Making, reading and changing keys.

use super::shown;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use keyvault::key::{KeyAlgorithm, KeyConfig, KeyName, NewKey};

/// Vault's, and not here yet.
const OTHER_TYPES: [&str; 10] = [
    "aes128-gcm96",
    "aes256-gcm96",
    "chacha20-poly1305",
    "xchacha20-poly1305",
    "hmac",
    "aes128-cmac",
    "aes192-cmac",
    "aes256-cmac",
    "ml-dsa",
    "slh-dsa",
];

const HOUR: i64 = 3600;

pub(super) async fn create(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    // What is there already is the answer, whatever is asked.
    if let Some(key) = call.context.key(&call.mount, &name).await? {
        let warning = format!("key {name} already existed");
        return Ok(Answer::data(shown::key(&key)).warn([warning]));
    }
    let new = match wanted(&call) {
        Ok(new) => new,
        Err(refused @ Error::Invalid(_)) => {
            return Err(call.context.refuse_key("key.create", &name, &refused.to_string()).await);
        }
        Err(other) => return Err(other),
    };
    let (key, _) = call.context.create_key(&call.mount, &name, new).await?;
    Ok(Answer::data(shown::key(&key)))
}

fn wanted(call: &Call) -> Result<NewKey> {
    let parameters = &call.parameters;
    let kind = parameters.text("type")?.unwrap_or_else(|| "aes256-gcm96".to_owned());
    let auto_rotate_seconds = auto_rotate(call)?.unwrap_or(0);
    let flag = |name: &str| parameters.flag(name).map(|flag| flag.unwrap_or(false));
    let derived = flag("derived")? | flag("convergent_encryption")?;
    let (exportable, allow_plaintext_backup) = (flag("exportable")?, flag("allow_plaintext_backup")?);
    if parameters.integer("key_size")?.is_some_and(|size| size != 0) {
        return Err(Error::invalid(format!("key_size is not valid for algorithm {kind}")));
    }
    let algorithm = KeyAlgorithm::parse(&kind).ok_or_else(|| {
        if OTHER_TYPES.contains(&kind.as_str()) {
            Error::invalid(format!("key type {kind} is not supported by this server yet; say `type` (ecdsa-p256, …)"))
        } else {
            Error::invalid(format!("unknown key type {kind}"))
        }
    })?;
    if derived {
        let text = format!("key derivation and convergent encryption not supported for keys of type {kind}");
        return Err(Error::Invalid(text));
    }
    let on_token = match parameters.text("storage")?.as_deref() {
        None | Some("" | "wrapped") => false,
        Some("token") => true,
        Some(other) => return Err(Error::invalid(format!("unknown storage {other}: wrapped or token"))),
    };
    Ok(NewKey { algorithm, exportable, allow_plaintext_backup, auto_rotate_seconds, on_token })
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
    };
    let (key, warnings) = call.context.configure_key(&call.mount, &name, config).await?;
    Ok(Answer::data(shown::key(&key)).warn(warnings))
}

fn auto_rotate(call: &Call) -> Result<Option<u64>> {
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
