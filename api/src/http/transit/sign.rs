//! Signing.

use super::batch::{Items, answered, decode, input, items};
use super::keys::name;
use super::options::Options;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use keyvault::key::{Marshaling, SignRequest};
use serde_json::json;

pub(super) async fn sign(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        return Err(call.context.refuse_key("key.sign", &name, "signing key not found").await);
    };
    let read = read(&call, key.algorithm.is_rsa());
    let (options, version, items, inputs) = call.context.understood("key.sign", &name, read).await?;
    let request = SignRequest {
        version,
        hash: options.hash,
        prehashed: options.prehashed,
        padding: options.padding,
        salt_length: options.salt_length,
        marshaling: options.marshaling,
        inputs,
    };
    let is_batch = items.is_some();
    let signed = match call.context.sign(&key, request).await {
        Ok(signed) => signed,
        // In a batch, what refuses the whole call is each item's error.
        Err(Error::Invalid(reason)) if is_batch => {
            let refused = || vec![("key_version", 0.into()), ("error", reason.as_str().into())];
            return Ok(answered(&items.unwrap_or_default(), std::iter::repeat_with(refused)));
        }
        Err(error) => return Err(error),
    };
    let shown = |signature: &[u8]| text(signed.version, signature, options.marshaling);
    if let Some(items) = items {
        let answers = signed.signatures.iter().map(|result| match result {
            Ok(signature) => vec![("signature", shown(signature).into()), ("key_version", signed.version.into())],
            Err(reason) => vec![("key_version", 0.into()), ("error", reason.as_str().into())],
        });
        return Ok(answered(&items, answers));
    }
    match signed.signatures.into_iter().next() {
        Some(Ok(signature)) => {
            Ok(Answer::data(json!({ "key_version": signed.version, "signature": shown(&signature) })))
        }
        Some(Err(reason)) => Err(Error::Invalid(reason)),
        None => Err(Error::Internal("neither a signature nor an error".into())),
    }
}

type Read<'c> = (Options, i64, Items<'c>, Vec<Result<Vec<u8>, String>>);

fn read(call: &Call, is_rsa: bool) -> Result<Read<'_>> {
    let options = Options::read(call, is_rsa)?;
    let options = if call.state.settings.fips { options.approved_for_signing()? } else { options };
    let version = call.parameters.integer("key_version")?.unwrap_or(0);
    let items = items(call)?;
    let inputs = match &items {
        Some(items) => items.iter().map(|item| input(item, "missing input")).collect(),
        // No input is an empty one.
        None => vec![Ok(decode(&call.parameters.text("input")?.unwrap_or_default()).map_err(Error::Invalid)?)],
    };
    Ok((options, version, items, inputs))
}

fn text(version: u32, signature: &[u8], marshaling: Marshaling) -> String {
    let encoded = match marshaling {
        Marshaling::Asn1 => BASE64_STANDARD.encode(signature),
        Marshaling::Jws => BASE64_URL_SAFE_NO_PAD.encode(signature),
    };
    format!("vault:v{version}:{encoded}")
}
