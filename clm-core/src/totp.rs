//! Codes of a time step (RFC 6238). Pure, but for random secrets; what was taken once is for the caller to remember.

use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use totp_rs::{Algorithm, Builder, Totp, TotpError};
use zeroize::Zeroizing;

/// What codes are like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeSettings {
    /// `SHA1`, `SHA256` or `SHA512`.
    pub(crate) algorithm: String,
    pub(crate) digits: u8,
    /// Seconds of a step.
    pub(crate) period: u64,
    /// Steps before and after now that are taken, too (RFC 6238, 5.2).
    pub(crate) skew: u16,
}

impl Default for CodeSettings {
    /// What all authenticator programs can.
    fn default() -> Self {
        Self { algorithm: "SHA1".into(), digits: 6, period: 30, skew: 1 }
    }
}

/// A secret that waits for its first code. Shown once.
#[derive(Clone, Debug)]
pub struct TotpEnrolment {
    /// Base32, to be typed.
    pub secret: SecretString,
    /// `otpauth://…`, to be shown as a picture.
    pub url: SecretString,
}

impl CodeSettings {
    /// Of one of three names.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        match self.algorithm.as_str() {
            "SHA1" => Some(Algorithm::SHA1),
            "SHA256" => Some(Algorithm::SHA256),
            "SHA512" => Some(Algorithm::SHA512),
            _ => None,
        }
    }

    fn builder(&self, secret: &[u8], account: &str) -> Result<Builder> {
        let algorithm = self.algorithm().ok_or_else(|| Error::Internal("second factor: its algorithm".into()))?;
        Ok(Builder::new()
            .with_algorithm(algorithm)
            .with_digits(self.digits)
            .with_step_duration(self.period)
            .with_skew(self.skew)
            .with_secret(secret.to_vec())
            .with_account_name(account))
    }

    /// The time step whose code it is, if it is one of now. Whatever was typed, the work is the same.
    pub(crate) fn taken(&self, secret: &[u8], typed: &str, now: DateTime<Utc>) -> Result<Option<i64>> {
        let totp: Totp = self.builder(secret, "nobody")?.build().map_err(|error| failed(&error))?;
        let is_code = typed.len() == usize::from(self.digits) && typed.bytes().all(|byte| byte.is_ascii_digit());
        let zeros = "0".repeat(self.digits.into());
        let step = totp.check(if is_code { typed } else { &zeros }, u64::try_from(now.timestamp()).unwrap_or(0));
        Ok(step.filter(|_| is_code).and_then(|step| i64::try_from(step).ok()))
    }

    /// What an authenticator program is told.
    pub(crate) fn enrolment(&self, secret: &[u8], issuer: &str, account: &str) -> Result<TotpEnrolment> {
        // In the label of the URL a colon stands between the two.
        let (issuer, account) = (issuer.replace(':', "_"), account.replace(':', "_"));
        checked_issuer(&issuer)?;
        let builder = self.builder(secret, &account)?.with_issuer(Some(issuer));
        let totp = builder.build().map_err(|error| failed(&error))?;
        let url = SecretString::from(totp.to_url().map_err(|error| failed(&error))?);
        Ok(TotpEnrolment { secret: SecretString::from(totp.secret().to_base32()), url })
    }
}

/// What stands beside the name in authenticator programs.
pub(crate) fn checked_issuer(issuer: &str) -> Result<()> {
    if issuer.is_empty() || issuer.len() > 64 || issuer.chars().any(char::is_control) {
        return Err(Error::invalid("issuer has 1 to 64 bytes, none of them a control character"));
    }
    Ok(())
}

/// Bytes of the operating system's generator.
pub(crate) fn random(length: usize) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    let filled = SysRng.try_fill_bytes(bytes.as_mut_slice());
    filled.map_err(|_| Error::Internal("the operating system gave no random bytes".into()))?;
    Ok(bytes)
}

fn failed(error: &TotpError) -> Error {
    Error::Internal(format!("second factor: {error}").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    /// RFC 6238, appendix B; of its eight digits the last six.
    #[test]
    fn codes_are_those_of_rfc_6238() {
        let settings = CodeSettings::default();
        for (time, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            let taken = |time: i64| {
                let time = DateTime::from_timestamp(time, 0).expect("a time");
                settings.taken(b"12345678901234567890", &code[2..], time).expect("settings")
            };
            let step = time / 30;
            assert_eq!(taken(time), Some(step), "{time}");
            // A step before and after, and no further.
            assert_eq!(taken(time + 30), Some(step));
            assert_eq!(taken(time - 30), Some(step));
            assert_eq!(taken(time + 90), None);
        }
    }

    /// The same with the other two hash functions and all eight digits.
    #[test]
    fn codes_of_longer_hashes_are_those_of_rfc_6238() {
        let key = "1234567890".repeat(7);
        let now = DateTime::from_timestamp(1_111_111_109, 0).expect("a time");
        for (algorithm, length, code) in
            [("SHA1", 20, "07081804"), ("SHA256", 32, "68084774"), ("SHA512", 64, "25091201")]
        {
            let settings = CodeSettings { algorithm: algorithm.into(), digits: 8, skew: 0, ..CodeSettings::default() };
            let taken = settings.taken(&key.as_bytes()[..length], code, now).expect("settings");
            assert_eq!(taken, Some(1_111_111_109 / 30), "{algorithm}");
        }
    }

    #[test]
    fn only_what_has_the_form_of_a_code_is_one() {
        let now = DateTime::from_timestamp(59, 0).expect("a time");
        for typed in ["", "28708", "2870820", "94287082", "28 7082", "２８７０８２", "287083"] {
            let taken = CodeSettings::default().taken(b"12345678901234567890", typed, now).expect("settings");
            assert_eq!(taken, None, "{typed:?}");
        }
    }

    #[test]
    fn an_enrolment_says_the_same_in_letters_and_as_a_url() {
        let settings = CodeSettings::default();
        let made = settings.enrolment(b"12345678901234567890", "clm", "a:b").expect("an enrolment");
        let secret = made.secret.expose_secret();
        assert_eq!(secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let url = made.url.expose_secret();
        assert!(url.starts_with("otpauth://totp/clm:a_b?") && url.contains(secret), "{url}");
        assert!(!format!("{made:?}").contains(secret));
        assert!(settings.enrolment(&[7; 20], "", "a").is_err());
    }
}
