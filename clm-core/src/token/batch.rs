//! Batch tokens: all that a token is, in its text, under a MAC that only the HSM makes.
//!
//! `hvb.` and base64url of a format byte, the payload and HMAC-SHA-256 over both. No row is written and none is read; one MAC is made at
//! creation and one by each server that meets the token, which keeps it in memory then like any other. It cannot be revoked
//! alone: it ends with its time, or with the token it was made by.

use super::Token;
use super::draft::end_after;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::store::FoundToken;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::DateTime;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use uuid::Uuid;

const PREFIX: &str = "hvb.";
/// Without an entity.
const FIRST_FORMAT: u8 = 1;
/// With one, after all else.
const FORMAT: u8 = 2;
const MAC: usize = 32;
/// A text with many policies and much metadata is still a header that servers and proxies take.
pub(super) const LONGEST: usize = 4096;

/// What the text holds. Order is the format.
#[derive(Serialize, Deserialize)]
struct Payload {
    id: Uuid,
    organization_id: Uuid,
    user_id: Option<Uuid>,
    parent_id: Option<Uuid>,
    policies: Vec<String>,
    display_name: String,
    meta: Option<BTreeMap<String, String>>,
    path: String,
    role: Option<String>,
    creation_micros: i64,
    ttl: u64,
    bound_cidrs: Vec<IpNet>,
}

pub(super) fn is_batch(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Says what cannot be done to one.
pub(super) fn refuse_batch(text: &str, what: &str) -> Result<()> {
    if is_batch(text) { Err(Error::invalid(format!("batch tokens cannot be {what}"))) } else { Ok(()) }
}

/// What the MAC is over.
pub(super) fn payload(token: &Token) -> Result<Vec<u8>> {
    let payload = Payload {
        id: token.id,
        organization_id: token.organization_id,
        user_id: token.user_id,
        parent_id: token.parent_id,
        policies: token.policies.clone(),
        display_name: token.display_name.to_string(),
        meta: token.meta.clone(),
        path: token.path.clone(),
        role: token.role.clone(),
        creation_micros: token.creation_time.timestamp_micros(),
        ttl: token.creation_ttl,
        bound_cidrs: token.bound_cidrs.clone(),
    };
    let unwritable = |error| Error::Internal(format!("batch token: {error}").into());
    match token.entity_id {
        None => postcard::to_extend(&payload, vec![FIRST_FORMAT]).map_err(unwritable),
        Some(entity_id) => postcard::to_extend(&(payload, entity_id), vec![FORMAT]).map_err(unwritable),
    }
}

pub(super) fn text(payload: &[u8], mac: &[u8; MAC]) -> Result<SecretString> {
    let text = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode([payload, mac].concat()));
    if text.len() > LONGEST {
        return Err(Error::invalid(format!(
            "a batch token carries its policies and metadata in its text: {} characters are more than the {LONGEST} that a header may be long; make a service token",
            text.len()
        )));
    }
    Ok(SecretString::from(text))
}

/// Payload and MAC of a text that has the form of a batch token.
fn split(text: &str) -> Option<(Vec<u8>, [u8; MAC])> {
    let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
    let mac = bytes.split_off(bytes.len().checked_sub(MAC)?).try_into().ok()?;
    [FIRST_FORMAT, FORMAT].contains(bytes.first()?).then_some((bytes, mac))
}

/// Only of a payload whose MAC was found right.
fn token(payload: &[u8]) -> Option<Token> {
    let (format, payload) = payload.split_first()?;
    let (payload, entity_id): (Payload, Option<Uuid>) = match *format {
        FIRST_FORMAT => (postcard::from_bytes(payload).ok()?, None),
        _ => postcard::from_bytes(payload).ok().map(|(payload, entity_id)| (payload, Some(entity_id)))?,
    };
    let creation_time = DateTime::from_timestamp_micros(payload.creation_micros)?;
    Some(Token {
        id: payload.id,
        organization_id: payload.organization_id,
        user_id: payload.user_id,
        entity_id,
        accessor: Arc::from(""),
        token_hmac: [0; 32],
        parent_id: payload.parent_id,
        policies: payload.policies,
        display_name: payload.display_name.into(),
        meta: payload.meta,
        path: payload.path,
        role: payload.role,
        creation_time,
        creation_ttl: payload.ttl,
        lease_ttl: payload.ttl,
        period: 0,
        explicit_max_ttl: 0,
        max_ttl: 0,
        // A batch token without an end is none: it could never be taken back.
        expire_time: Some(end_after(creation_time, payload.ttl)?),
        last_renewal: None,
        num_uses: 0,
        uses_left: None,
        renewable: false,
        orphan: payload.parent_id.is_none(),
        bound_cidrs: payload.bound_cidrs,
        batch: true,
        revision: 0,
        row_mac: [0; 32],
    })
}

impl Core {
    /// The token that a text is, if its MAC is ours and what it stands on is alive.
    pub(super) async fn find_batch(&self, text: &str) -> Result<Option<FoundToken>> {
        let Some((payload, mac)) = split(text) else { return Ok(None) };
        if !bool::from(self.batch_mac(payload.clone()).await?.ct_eq(&mac)) {
            return Ok(None);
        }
        let Some(token) = token(&payload) else { return Ok(None) };
        let Some(standing) = self.store().standing(token.organization_id, token.parent_id).await? else {
            return Ok(None);
        };
        let chain_expire_time = [token.expire_time, standing].into_iter().flatten().min();
        Ok(Some(FoundToken { token, chain_expire_time }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    fn made(policies: Vec<String>, name: &str, ttl: u64, entity_id: Option<Uuid>) -> Token {
        let payload = Payload {
            id: Uuid::now_v7(),
            organization_id: Uuid::now_v7(),
            user_id: None,
            parent_id: Some(Uuid::now_v7()),
            policies,
            display_name: name.to_owned(),
            meta: Some(BTreeMap::from([("a".into(), "b".into())])),
            path: "auth/token/create".into(),
            role: None,
            creation_micros: 1_700_000_000_000_000,
            ttl,
            bound_cidrs: vec!["10.0.0.0/8".parse().expect("a network")],
        };
        match entity_id {
            None => token(&postcard::to_extend(&payload, vec![FIRST_FORMAT]).expect("bytes")),
            Some(id) => token(&postcard::to_extend(&(payload, id), vec![FORMAT]).expect("bytes")),
        }
        .expect("a token")
    }

    proptest! {
        #[test]
        fn a_text_gives_back_what_was_put_in(policies in prop::collection::vec("[a-z]{1,8}", 0..5), name in "\\PC{0,20}", ttl in 1u64..10_000_000, entity in any::<Option<u128>>()) {
            let token = made(policies, &name, ttl, entity.map(Uuid::from_u128));
            let bytes = payload(&token).expect("bytes");
            let text = text(&bytes, &[7; 32]).expect("short");
            let (again, mac) = split(text.expose_secret()).expect("a batch token");
            prop_assert_eq!((&again, mac), (&bytes, [7; 32]));
            let read = super::token(&again).expect("a token");
            prop_assert_eq!(format!("{read:?}"), format!("{token:?}"));
        }

        /// Texts that strangers send; `make fuzz` tries more of them.
        #[test]
        fn fuzz_batch_tokens_that_are_none(text in "(hvb\\.)?[A-Za-z0-9_=+/.-]{0,400}|\\PC{0,60}") {
            if let Some((payload, _)) = split(&text) {
                // Never reached with a wrong MAC; it must hold all the same.
                drop(token(&payload));
            }
        }

        #[test]
        fn fuzz_batch_tokens_whose_bytes_are_none(format in 0_u8..4, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(token) = token(&[&[format], bytes.as_slice()].concat()) {
                prop_assert!(token.batch && token.expire_time.is_some_and(|end| end > token.creation_time));
            }
        }

        #[test]
        fn fuzz_batch_tokens_that_were_damaged_are_other_tokens_or_none(
            policies in prop::collection::vec("[a-z]{1,8}", 0..5), entity in any::<Option<u128>>(),
            (at, other, kind) in (any::<usize>(), any::<char>(), 0..3),
        ) {
            let bytes = payload(&made(policies, "x", 60, entity.map(Uuid::from_u128))).expect("bytes");
            let text = text(&bytes, &[7; 32]).expect("short").expose_secret().to_owned();
            let mut characters: Vec<char> = text.chars().collect();
            let at = at % characters.len();
            match kind {
                0 => characters[at] = other,
                1 => characters.insert(at, other),
                _ => drop(characters.remove(at)),
            }
            let damaged: String = characters.into_iter().collect();
            if damaged != text && let Some((payload, mac)) = split(&damaged) {
                // One token has one text: no other stands for the same bytes.
                prop_assert!((payload.as_slice(), mac) != (bytes.as_slice(), [7; 32]), "{}", damaged);
                drop(token(&payload));
            }
        }
    }

    #[test]
    fn a_token_that_would_never_end_is_none() {
        let mut endless = made(Vec::new(), "x", 60, None);
        endless.creation_ttl = 0;
        assert!(token(&payload(&endless).expect("bytes")).is_none());
    }
}
