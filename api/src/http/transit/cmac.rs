//! CMACs: making and verifying them.

use super::batch::Items;
use super::keys::name;
use super::mac::{self, Inputs};
use super::versioned::What;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Kind, Parameter};
use keyvault::key::{CMAC_BYTES, Key, KeyName};

pub(super) const FIELDS: &[Parameter] = &[
    Parameter::new("batch_input", Kind::Objects, "Items with `input` and `reference`, instead of `input`"),
    Parameter::new("input", Kind::Text, "Base64 of what is to be authenticated"),
    Parameter::new("key_version", Kind::Integer, "Version that is used; 0: the newest"),
    Parameter::new("mac_length", Kind::Integer, "Bytes of the MAC, 8 to 16 (unless given); the path's goes over it"),
];

pub(super) async fn cmac(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        return Err(call.context.refuse_key("key.cmac", &name, "encryption key not found").await);
    };
    let (length, asked) = call.context.understood("key.cmac", &name, read(&call)).await?;
    let (version, macs) = call.context.cmac(&key, asked.version, length, asked.inputs).await?;
    mac::made("cmac", version, asked.items, macs)
}

fn read(call: &Call) -> Result<(usize, Inputs<'_>)> {
    Ok((length(call)?, mac::inputs(call, "missing input for CMAC")?))
}

fn length(call: &Call) -> Result<usize> {
    let path = call.capture("url_mac_length");
    let asked = match path {
        "" => call.parameters.integer("mac_length")?.filter(|length| *length != 0),
        path => Some(path.parse().map_err(|_| Error::invalid(format!("invalid MAC length {path}")))?),
    };
    let Some(asked) = asked else { return Ok(*CMAC_BYTES.end()) };
    let length = usize::try_from(asked).ok().filter(|length| CMAC_BYTES.contains(length));
    length.ok_or_else(|| {
        Error::invalid(format!("mac_length must be between {} and {} bytes", CMAC_BYTES.start(), CMAC_BYTES.end()))
    })
}

/// `verify` with CMACs.
pub(super) async fn verify(call: &Call, name: &KeyName, key: &Key, items: Items<'_>) -> Result<Answer> {
    let read = length(call).and_then(|length| Ok((length, mac::given(call, items.as_deref(), "cmac", What::Cmac)?)));
    let (length, macs) = call.context.understood("key.verify", name, read).await?;
    let warnings = key.warnings(macs.iter().flatten().map(|item| item.version));
    let results = call.context.verify_cmac(key, length, macs).await?;
    mac::judged(items, results, warnings, |result| match result {
        Ok(valid) => vec![("valid", valid.into())],
        Err(reason) => vec![("valid", false.into()), ("error", reason.into())],
    })
}
