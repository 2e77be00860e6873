//! HMACs: making and verifying them.

use super::batch::Items;
use super::keys::name;
use super::mac::{self, Inputs};
use super::versioned::What;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Kind, Parameter};
use keyvault::key::{Hash, Key, KeyName};

pub(super) const FIELDS: &[Parameter] = &[
    Parameter::new("algorithm", Kind::Text, "sha1, sha2-224 … sha2-512; the path's goes over it"),
    Parameter::new("batch_input", Kind::Objects, "Items with `input` and `reference`, instead of `input`"),
    Parameter::new("input", Kind::Text, "Base64 of what is to be authenticated"),
    Parameter::new("key_version", Kind::Integer, "Version whose HMAC key is used; 0: the newest"),
];

pub(super) async fn hmac(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        return Err(call.context.refuse_key("key.hmac", &name, "encryption key not found").await);
    };
    let (hash, asked) = call.context.understood("key.hmac", &name, read(&call)).await?;
    let (version, macs) = call.context.hmac(&key, asked.version, hash, asked.inputs).await?;
    mac::made("hmac", version, asked.items, macs)
}

fn read(call: &Call) -> Result<(Hash, Inputs<'_>)> {
    Ok((hash(call, &["algorithm"])?, mac::inputs(call, "missing input for HMAC")?))
}

/// The path's goes over the fields, the first of which that is there counts.
fn hash(call: &Call, fields: &[&str]) -> Result<Hash> {
    let mut name = call.capture("urlalgorithm").to_owned();
    for field in fields {
        if name.is_empty() {
            name = call.parameters.text(field)?.unwrap_or_default();
        }
    }
    let name = if name.is_empty() { "sha2-256" } else { &name };
    Hash::parse(name).ok_or_else(|| Error::invalid(format!("unsupported algorithm {name:?}")))
}

/// `verify` with HMACs.
pub(super) async fn verify(call: &Call, name: &KeyName, key: &Key, items: Items<'_>) -> Result<Answer> {
    let read = hash(call, &["hash_algorithm", "algorithm"])
        .and_then(|hash| Ok((hash, mac::given(call, items.as_deref(), "hmac", What::Hmac)?)));
    let (hash, macs) = call.context.understood("key.verify", name, read).await?;
    let warnings = key.warnings(macs.iter().flatten().map(|item| item.version));
    let results = call.context.verify_hmac(key, hash, macs).await?;
    // As clients know it: a verdict is left out where it is "no".
    mac::judged(items, results, warnings, |result| match result {
        Ok(true) => vec![("valid", true.into())],
        Ok(false) => Vec::new(),
        Err(reason) => vec![("error", reason.into())],
    })
}
