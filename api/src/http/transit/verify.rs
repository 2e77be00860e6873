//! Verifying.

use super::batch::{Items, answered, decode, input, items, text};
use super::keys::name;
use super::options::Options;
use super::versioned::{What, split};
use super::{cmac, hmac};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use keyvault::key::{Key, KeyName, Marshaling, VerifyItem, VerifyRequest};
use serde_json::{Map, Value, json};

pub(super) async fn verify(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let asked = items(&call).and_then(|items| Ok((what(&call, items.as_deref())?, items)));
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        let is_mac = matches!(asked, Ok((What::Cmac | What::Hmac, _)));
        let missing = if is_mac { "encryption key not found" } else { "signature verification key not found" };
        return Err(call.context.refuse_key("key.verify", &name, missing).await);
    };
    match call.context.understood("key.verify", &name, asked).await? {
        (What::Cmac, items) => cmac::verify(&call, &name, &key, items).await,
        (What::Hmac, items) => hmac::verify(&call, &name, &key, items).await,
        (_, items) => verify_signatures(&call, &name, &key, items).await,
    }
}

/// What is given to be verified.
fn what(call: &Call, items: Option<&[&Map<String, Value>]>) -> Result<What> {
    let neither = || Err(Error::invalid("neither a 'signature' nor an 'hmac' were given to verify"));
    let Some(items) = items else {
        let given = |name| call.parameters.text(name).map(|text| text.is_some_and(|text| !text.is_empty()));
        return if given("signature")? {
            Ok(What::Signature)
        } else if given("hmac")? {
            Ok(What::Hmac)
        } else if given("cmac")? {
            Ok(What::Cmac)
        } else {
            neither()
        };
    };
    let with = |name| items.iter().filter(|item| text(item, name).is_some()).count();
    match with("cmac") {
        0 => {}
        macs if macs == items.len() && with("signature") + with("hmac") == 0 => return Ok(What::Cmac),
        _ => return Err(Error::invalid("elements of batch_input must all provide 'cmac', or none")),
    }
    match (with("signature"), with("hmac")) {
        (0, 0) => neither(),
        (signatures, 0) if signatures == items.len() => Ok(What::Signature),
        (0, hmacs) if hmacs == items.len() => Ok(What::Hmac),
        (_, 0) => Err(Error::invalid("some elements of batch_input are missing 'signature'")),
        (0, _) => Err(Error::invalid("some elements of batch_input are missing 'hmac'")),
        _ => Err(Error::invalid("elements of batch_input must all provide 'signature' or all provide 'hmac'")),
    }
}

async fn verify_signatures(call: &Call, name: &KeyName, key: &Key, items: Items<'_>) -> Result<Answer> {
    let read = read(call, key.algorithm.is_rsa(), items.as_deref());
    let (options, inputs) = call.context.understood("key.verify", name, read).await?;
    let request = VerifyRequest {
        hash: options.hash,
        prehashed: options.prehashed,
        padding: options.padding,
        salt_length: options.salt_length,
        marshaling: options.marshaling,
        items: inputs,
    };
    let warnings = key.warnings(request.items.iter().flatten().map(|item| item.version));
    let results = call.context.verify(key, request).await?;
    if let Some(items) = items {
        let answers = results.into_iter().map(|result| match result {
            Ok(valid) => vec![("valid", valid.into())],
            Err(reason) => vec![("valid", false.into()), ("error", reason.into())],
        });
        return Ok(answered(&items, answers).warn(warnings));
    }
    match results.into_iter().next() {
        Some(Ok(valid)) => Ok(Answer::data(json!({ "valid": valid })).warn(warnings)),
        Some(Err(reason)) => Err(Error::Invalid(reason)),
        None => Err(Error::Internal("neither a verdict nor an error".into())),
    }
}

type Read = (Options, Vec<Result<VerifyItem, String>>);

fn read(call: &Call, is_rsa: bool, items: Option<&[&Map<String, Value>]>) -> Result<Read> {
    let options = Options::read(call, is_rsa)?;
    let Some(items) = items else {
        let input = decode(&call.parameters.text("input")?.unwrap_or_default()).map_err(Error::Invalid)?;
        let signature = call.parameters.text("signature")?.unwrap_or_default();
        let (version, signature) = parse(&signature, options.marshaling).map_err(Error::Invalid)?;
        return Ok((options, vec![Ok(VerifyItem { input, version, signature })]));
    };
    let item = |item: &&Map<String, Value>| {
        let input = input(item, "missing input")?;
        let (version, signature) = parse(&text(item, "signature").unwrap_or_default(), options.marshaling)?;
        Ok(VerifyItem { input, version, signature })
    };
    Ok((options, items.iter().map(item).collect()))
}

fn parse(text: &str, marshaling: Marshaling) -> Result<(u32, Vec<u8>), String> {
    let (version, encoded) = split(text, What::Signature)?;
    let decoded = match marshaling {
        Marshaling::Asn1 => BASE64_STANDARD.decode(encoded),
        Marshaling::Jws => BASE64_URL_SAFE_NO_PAD.decode(encoded),
    };
    Ok((version, decoded.map_err(|_| "invalid base64 signature value".to_owned())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read_as_they_were_written() {
        assert_eq!(parse("vault:v1:YWJj", Marshaling::Asn1), Ok((1, b"abc".to_vec())));
        assert_eq!(parse("vault:v1:_-8", Marshaling::Jws), Ok((1, vec![0xff, 0xef])));
        assert_eq!(parse("vault:v1:_-8", Marshaling::Asn1), Err("invalid base64 signature value".to_owned()));
    }
}
