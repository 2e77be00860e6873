//! Verifying.

use super::batch::{decode, input, items, text};
use super::keys::name;
use super::options::Options;
use super::sign::batch;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use keyvault::key::{Marshaling, VerifyItem, VerifyRequest};
use serde_json::{Map, Value, json};

pub(super) async fn verify(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        return Err(call.context.refuse_key("key.verify", &name, "signature verification key not found").await);
    };
    let (options, items, inputs) = match read(&call, key.algorithm.is_rsa()) {
        Ok(read) => read,
        Err(refused @ Error::Invalid(_)) => {
            return Err(call.context.refuse_key("key.verify", &name, &refused.to_string()).await);
        }
        Err(other) => return Err(other),
    };
    let request = VerifyRequest {
        hash: options.hash,
        prehashed: options.prehashed,
        padding: options.padding,
        salt_length: options.salt_length,
        marshaling: options.marshaling,
        items: inputs,
    };
    let results = call.context.verify(&key, request).await?;
    if let Some(items) = items {
        let answers = results.into_iter().map(|result| match result {
            Ok(valid) => json!({ "valid": valid }),
            Err(reason) => json!({ "valid": false, "error": reason }),
        });
        return Ok(batch(items, answers));
    }
    match results.into_iter().next() {
        Some(Ok(valid)) => Ok(Answer::data(json!({ "valid": valid }))),
        Some(Err(reason)) => Err(Error::Invalid(reason)),
        None => Err(Error::Internal("neither a verdict nor an error".into())),
    }
}

type Read = (Options, Option<Vec<Map<String, Value>>>, Vec<Result<VerifyItem, String>>);

fn read(call: &Call, is_rsa: bool) -> Result<Read> {
    let options = Options::read(call, is_rsa)?;
    let items = items(call)?;
    let inputs = match &items {
        Some(items) => of_batch(items, options.marshaling)?,
        None => {
            let signature = call.parameters.text("signature")?.filter(|signature| !signature.is_empty());
            let Some(signature) = signature else {
                return Err(missing_signature(call.parameters.value("hmac").is_some()));
            };
            let input = decode(&call.parameters.text("input")?.unwrap_or_default()).map_err(Error::Invalid)?;
            let (version, signature) = parse(&signature, options.marshaling).map_err(Error::Invalid)?;
            vec![Ok(VerifyItem { input, version, signature })]
        }
    };
    Ok((options, items, inputs))
}

fn missing_signature(has_hmac: bool) -> Error {
    Error::invalid(if has_hmac {
        "HMACs are not supported by this server yet; give a 'signature'"
    } else {
        "neither a 'signature' nor an 'hmac' were given to verify"
    })
}

fn of_batch(items: &[Map<String, Value>], marshaling: Marshaling) -> Result<Vec<Result<VerifyItem, String>>> {
    let signed = items.iter().filter(|item| text(item, "signature").is_some()).count();
    let has_hmac = items.iter().any(|item| text(item, "hmac").is_some());
    if signed == 0 {
        return Err(missing_signature(has_hmac));
    }
    if has_hmac {
        return Err(Error::invalid("elements of batch_input must all provide 'signature' or all provide 'hmac'"));
    }
    if signed < items.len() {
        return Err(Error::invalid("some elements of batch_input are missing 'signature'"));
    }
    let item = |item: &Map<String, Value>| {
        let input = input(item)?;
        let (version, signature) = parse(&text(item, "signature").unwrap_or_default(), marshaling)?;
        Ok(VerifyItem { input, version, signature })
    };
    Ok(items.iter().map(item).collect())
}

/// `vault:v<version>:<base64>`.
fn parse(text: &str, marshaling: Marshaling) -> Result<(u32, Vec<u8>), String> {
    let rest = text.strip_prefix("vault:v").ok_or("invalid signature: no prefix")?;
    let (version, encoded) = rest.split_once(':').ok_or("invalid signature: wrong number of fields")?;
    let version: i64 =
        version.parse().map_err(|_| "invalid signature: version number could not be decoded".to_owned())?;
    if version < 1 {
        return Err("ciphertext or signature version is disallowed by policy (too old)".into());
    }
    let version = u32::try_from(version).map_err(|_| "invalid signature: version is too new".to_owned())?;
    let decoded = match marshaling {
        Marshaling::Asn1 => BASE64_STANDARD.decode(encoded),
        Marshaling::Jws => BASE64_URL_SAFE_NO_PAD.decode(encoded),
    };
    Ok((version, decoded.map_err(|_| "invalid base64 signature value".to_owned())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn signatures_are_read() {
        let asn1 = |text| parse(text, Marshaling::Asn1);
        assert_eq!(asn1("vault:v1:YWJj"), Ok((1, b"abc".to_vec())));
        assert_eq!(asn1("vault:v02:YWJj"), Ok((2, b"abc".to_vec())));
        assert_eq!(parse("vault:v1:_-8", Marshaling::Jws), Ok((1, vec![0xff, 0xef])));
        for (text, why) in [
            ("zz", "invalid signature: no prefix"),
            ("vault:v2YWJj", "invalid signature: wrong number of fields"),
            ("vault:vx:YWJj", "invalid signature: version number could not be decoded"),
            ("vault:v0:YWJj", "ciphertext or signature version is disallowed by policy (too old)"),
            ("vault:v-1:YWJj", "ciphertext or signature version is disallowed by policy (too old)"),
            ("vault:v1:_-8", "invalid base64 signature value"),
        ] {
            assert_eq!(asn1(text), Err(why.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall(text in "(vault:v)?\\PC{0,30}") {
            drop(parse(&text, Marshaling::Asn1));
            drop(parse(&text, Marshaling::Jws));
        }
    }
}
