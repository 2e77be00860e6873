//! Shares of a secret (Shamir, 1979, over GF(2^8)) as people hold them: 33 bytes, in hex or base64.
//!
//! The secret is 24 random bytes and the first 8 of their SHA-256, so that a wrong combination is noticed here and no wrong PIN ever
//! reaches a token, which would count it.

use super::{Error, Result};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use blahaj::{Share, Sharks};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const RANDOM: usize = 24;
const CHECK: usize = 8;
const SHARE: usize = 1 + RANDOM + CHECK;

/// How many there are, and how many are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) shares: u8,
    pub(crate) threshold: u8,
}

impl Split {
    /// What was asked for, if it can be.
    pub(crate) fn checked(shares: i64, threshold: i64) -> Result<Self> {
        let refused = |why: &str| Err(Error::invalid(format!("invalid seal configuration: {why}")));
        if shares < 1 {
            return refused("shares must be at least one");
        }
        if threshold < 1 {
            return refused("threshold must be at least one");
        }
        if shares > 255 {
            return refused("shares must be less than 256");
        }
        if threshold > shares {
            return refused("threshold cannot be larger than shares");
        }
        if threshold == 1 && shares > 1 {
            return refused("threshold must be greater than one for multiple shares");
        }
        match (u8::try_from(shares), u8::try_from(threshold)) {
            (Ok(shares), Ok(threshold)) => Ok(Self { shares, threshold }),
            _ => refused("shares must be less than 256"),
        }
    }
}

/// A secret that is split: what the token's PIN is kept under, or a recovery key.
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// A fresh one.
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = Zeroizing::new(vec![0; RANDOM]);
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Internal("no random bytes".into()))?;
        let check = Sha256::digest(&*bytes);
        bytes.extend_from_slice(&check[..CHECK]);
        Ok(Self(bytes))
    }

    /// What keys are derived from.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a PIN: 32 characters.
    pub(crate) fn pin(&self) -> SecretString {
        SecretString::from(BASE64_URL_SAFE_NO_PAD.encode(&self.0[..RANDOM]))
    }

    /// What may be stored to recognise it.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&*self.0).into()
    }

    /// Splits it.
    pub(crate) fn split(&self, split: Split) -> Vec<Zeroizing<Vec<u8>>> {
        Sharks(split.threshold)
            .dealer(&self.0)
            .take(split.shares.into())
            .map(|share| Zeroizing::new(Vec::from(&share)))
            .collect()
    }

    /// Puts shares together; `None`: these do not belong together.
    pub(crate) fn combine(shares: &[Zeroizing<Vec<u8>>]) -> Option<Self> {
        let threshold = u8::try_from(shares.len()).ok()?;
        let parsed: Vec<Share> =
            shares.iter().map(|share| Share::try_from(share.as_slice()).ok()).collect::<Option<_>>()?;
        let secret = Zeroizing::new(Sharks(threshold).recover(&parsed).ok()?);
        let (random, check) = secret.split_at_checked(RANDOM)?;
        (Sha256::digest(random)[..CHECK] == *check).then_some(Self(secret))
    }
}

/// A share as it was typed: hex or base64.
pub(crate) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim();
    let bytes = hex::decode(text).ok().or_else(|| BASE64_STANDARD.decode(text).ok())?;
    Some(Zeroizing::new(bytes)).filter(|bytes| !bytes.is_empty())
}

/// Whether it can be one of ours.
pub(crate) fn is_share(bytes: &[u8]) -> bool {
    bytes.len() == SHARE && bytes[0] != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    proptest! {
        #[test]
        fn any_k_of_n_give_the_secret_and_fewer_do_not(n in 1u8..9, k in 1u8..9, skip in 0usize..8) {
            prop_assume!(k <= n && (k > 1 || n == 1));
            let secret = Secret::random().expect("random");
            let mut shares = secret.split(Split { shares: n, threshold: k });
            shares.rotate_left(skip % usize::from(n));
            let together = Secret::combine(&shares[..usize::from(k)]).expect("enough shares");
            let (one, other) = (together.pin(), secret.pin());
            prop_assert_eq!(one.expose_secret(), other.expose_secret());
            prop_assert!(shares.iter().all(|share| is_share(share)));
            if k > 1 {
                prop_assert!(Secret::combine(&shares[..usize::from(k) - 1]).is_none());
            }
        }
    }

    #[test]
    fn a_wrong_share_is_noticed() {
        let split = Split { shares: 3, threshold: 2 };
        let one = Secret::random().expect("random").split(split);
        let other = Secret::random().expect("random").split(split);
        assert!(Secret::combine(&[one[0].clone(), other[1].clone()]).is_none());
        assert!(Secret::combine(&[one[0].clone(), one[0].clone()]).is_none());
    }

    #[test]
    fn shares_are_typed_in_hex_or_base64() {
        let share = vec![0xf6; SHARE];
        assert_eq!(decode(&hex::encode(&share)).map(|share| share.to_vec()), Some(share.clone()));
        assert_eq!(decode(&BASE64_STANDARD.encode(&share)).map(|share| share.to_vec()), Some(share));
        assert!(decode("zz").is_none() && decode("").is_none());
    }

    #[test]
    fn impossible_splits_are_refused_in_the_known_words() {
        for (shares, threshold, why) in [
            (0, 0, "shares must be at least one"),
            (5, 0, "threshold must be at least one"),
            (1, 2, "threshold cannot be larger than shares"),
            (2, 1, "threshold must be greater than one for multiple shares"),
            (256, 3, "shares must be less than 256"),
        ] {
            let refused = Split::checked(shares, threshold).expect_err(why).to_string();
            assert_eq!(refused, format!("invalid seal configuration: {why}"));
        }
    }
}
