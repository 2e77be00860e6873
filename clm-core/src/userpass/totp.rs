//! A person's second factor: codes of a time step (RFC 6238), and backup codes for when the device is gone.
//!
//! The secret is encrypted in the HSM, backup codes are kept as HMAC, and whatever was taken once is taken no more: the time step of the last
//! code is written in the transaction of the login, so that no other server takes it again.

use super::user::{key, user_name};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::Mount;
use crate::record::add_rows;
use crate::store::users::{self, User};
use crate::totp::{CodeSettings, TotpEnrolment, random};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;
use totp_rs::Secret;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Bytes of a secret (RFC 4226, 4: 160 bits).
const SECRET: usize = 20;
/// Backup codes, and bytes of each: 56 bits, which are guessed online if at all.
const BACKUP_CODES: usize = 10;
const BACKUP: usize = 7;

/// How far a person's second factor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotpState {
    /// Logins need a code.
    pub enabled: bool,
    /// There is a secret that waits for its first code.
    pub pending: bool,
    /// Backup codes that were not used.
    pub backup_codes: usize,
}

/// What a login brought beside its password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factor {
    /// None is needed.
    None,
    /// The code of a time step.
    Step(i64),
    /// The backup code at this place.
    Backup(usize),
    /// Not what is needed.
    Wrong,
}

/// Sealed secrets of nobody, by organization: they are opened for whoever has none, which takes as long.
#[derive(Debug, Default)]
pub(crate) struct Decoys(Mutex<HashMap<Uuid, Vec<u8>>>);

impl Core {
    /// Looks at a code. Whether a person has a second factor, or is at all, changes nothing of the work.
    pub(super) async fn factor(
        &self,
        organization_id: Uuid,
        user: Option<&User>,
        passcode: Option<&SecretString>,
    ) -> Result<Factor> {
        let enrolled = user.filter(|user| user.mfa_enabled);
        let typed = passcode.map_or("", |passcode| passcode.expose_secret()).trim();
        let backup = match backup_code(typed) {
            Some(code) => Some(self.backup_hmac(enrolled.map_or(Uuid::nil(), |user| user.id), &code).await?),
            None => None,
        };
        let secret = match enrolled {
            Some(user) => self.totp_secret(user).await?,
            None => self.decoy(organization_id).await?,
        };
        let step = CodeSettings::default().taken(&secret, typed, self.now())?;
        let Some(user) = enrolled else { return Ok(Factor::None) };
        if let Some(step) = step.filter(|step| user.mfa_last_step.is_none_or(|last| last < *step)) {
            return Ok(Factor::Step(step));
        }
        let codes = user.mfa_backup_codes.as_deref().unwrap_or_default();
        let found = backup.and_then(|backup| place(codes, &backup));
        Ok(found.map_or(Factor::Wrong, Factor::Backup))
    }

    /// The row without the backup code at a place.
    pub(super) async fn without_code(&self, user: &User, place: usize) -> Result<User> {
        let mut user = user.clone();
        user.mfa_backup_codes.iter_mut().for_each(|codes| drop(codes.remove(place)));
        self.next_revision(user).await
    }

    /// A new secret for a person without a second factor; nothing is asked of logins before it is confirmed.
    pub async fn enroll_totp(
        &self,
        caller: &audit_chain::Caller,
        mount: &Mount,
        name: &str,
        issuer: &str,
    ) -> Result<TotpEnrolment> {
        let mut user = self.person(mount, name).await?;
        if user.mfa_enabled {
            return Err(Error::invalid("the person has a second factor: take it away first"));
        }
        let secret = random(SECRET)?;
        let enrolment = CodeSettings::default().enrolment(&secret, issuer, &user.username)?;
        let sealed = self.sealed(user.organization_id, &context(user.id), secret.to_vec()).await?;
        user.mfa_secret = Some(BASE64_STANDARD.encode(sealed));
        user.mfa_backup_codes = None;
        self.put_factor(caller, ("totp.enroll", "enroll"), user, None).await?;
        Ok(enrolment)
    }

    /// Has logins need a code from now on, once one shows that the device has the secret. Gives the backup codes, this once.
    pub async fn confirm_totp(
        &self,
        caller: &audit_chain::Caller,
        mount: &Mount,
        name: &str,
        passcode: &SecretString,
    ) -> Result<Vec<SecretString>> {
        let mut user = self.person(mount, name).await?;
        if user.mfa_enabled || user.mfa_secret.is_none() {
            return Err(Error::invalid("no second factor waits to be confirmed: enroll one first"));
        }
        let secret = self.totp_secret(&user).await?;
        let step = CodeSettings::default().taken(&secret, passcode.expose_secret().trim(), self.now())?;
        let step = step.filter(|step| user.mfa_last_step.is_none_or(|last| last < *step)).ok_or_else(|| {
            Error::invalid("that is not the code of now: look at the device's clock, and send the code that it shows")
        })?;
        let (codes, hmacs) = self.backup_codes(user.id).await?;
        user.mfa_enabled = true;
        user.mfa_backup_codes = Some(hmacs);
        self.put_factor(caller, ("totp.confirm", "confirm"), user, Some(step)).await?;
        Ok(codes)
    }

    /// Other backup codes in place of those that there are; shown this once.
    pub async fn renew_backup_codes(
        &self,
        caller: &audit_chain::Caller,
        mount: &Mount,
        name: &str,
    ) -> Result<Vec<SecretString>> {
        let mut user = self.person(mount, name).await?;
        if !user.mfa_enabled {
            return Err(Error::invalid("the person has no second factor"));
        }
        let (codes, hmacs) = self.backup_codes(user.id).await?;
        user.mfa_backup_codes = Some(hmacs);
        self.put_factor(caller, ("totp.renew_backup_codes", "renew"), user, None).await?;
        Ok(codes)
    }

    /// Has logins need no code any more. `false`: there was nothing to take away.
    pub async fn remove_totp(&self, caller: &audit_chain::Caller, mount: &Mount, name: &str) -> Result<bool> {
        let mut user = self.person(mount, name).await?;
        if user.mfa_secret.is_none() {
            return Ok(false);
        }
        without_factor(&mut user);
        self.put_factor(caller, ("totp.delete", "delete"), user, None).await?;
        Ok(true)
    }

    /// How far a person's second factor is; `None`: nobody of that name logs in here.
    pub async fn totp_state(&self, mount: &Mount, name: &str) -> Result<Option<TotpState>> {
        let Some(role) = self.user_role(mount, name).await? else { return Ok(None) };
        let user = self.user(mount.organization_id, role.user_id).await?;
        Ok(user.map(|user| TotpState {
            enabled: user.mfa_enabled,
            pending: !user.mfa_enabled && user.mfa_secret.is_some(),
            backup_codes: user.mfa_backup_codes.map_or(0, |codes| codes.len()),
        }))
    }

    async fn person(&self, mount: &Mount, name: &str) -> Result<User> {
        let role = self.role::<super::UserRole>(&key(mount, &user_name(name)?)).await?;
        let user = match role {
            Some(role) => self.user(mount.organization_id, role.user_id).await?,
            None => None,
        };
        user.ok_or_else(|| Error::invalid("username does not exist"))
    }

    async fn put_factor(
        &self,
        caller: &audit_chain::Caller,
        (event_type, action): (&'static str, &'static str),
        user: User,
        step: Option<i64>,
    ) -> Result<()> {
        let user = self.next_revision(user).await?;
        let who = ("user", Some(user.username.clone()));
        let mut event = self.event(caller, event_type, "user_management", who, action);
        add_rows(&mut event, [(users::TABLE, user.id, user.revision, user.row_mac)]);
        self.change(user.organization_id, move |connection| {
            Box::pin(async move {
                users::put(connection, &user).await?;
                if let Some(step) = step {
                    users::spend_step(connection, &user, step).await?;
                }
                Ok(((), event))
            })
        })
        .await
    }

    async fn next_revision(&self, mut user: User) -> Result<User> {
        user.revision += 1;
        user.row_mac = self.row_mac(users::bound_bytes(&user)).await?;
        Ok(user)
    }

    async fn totp_secret(&self, user: &User) -> Result<Zeroizing<Vec<u8>>> {
        let unreadable = || Error::Internal("a second factor's secret cannot be read".into());
        let sealed = BASE64_STANDARD.decode(user.mfa_secret.as_deref().ok_or_else(unreadable)?);
        self.opened(user.organization_id, &context(user.id), sealed.map_err(|_| unreadable())?).await
    }

    async fn decoy(&self, organization_id: Uuid) -> Result<Zeroizing<Vec<u8>>> {
        let decoys = &self.decoys().0;
        let known = decoys.lock().unwrap_or_else(PoisonError::into_inner).get(&organization_id).cloned();
        let sealed = match known {
            Some(sealed) => sealed,
            None => {
                let sealed = self.sealed(organization_id, &context(Uuid::nil()), random(SECRET)?.to_vec()).await?;
                decoys.lock().unwrap_or_else(PoisonError::into_inner).insert(organization_id, sealed.clone());
                sealed
            }
        };
        self.opened(organization_id, &context(Uuid::nil()), sealed).await
    }

    async fn backup_codes(&self, user_id: Uuid) -> Result<(Vec<SecretString>, Vec<String>)> {
        let (mut codes, mut hmacs) = (Vec::new(), Vec::new());
        for _ in 0..BACKUP_CODES {
            let code = Zeroizing::new(Secret::from(random(BACKUP)?.to_vec()).to_base32().to_lowercase());
            hmacs.push(self.backup_hmac(user_id, &code).await?);
            codes.push(SecretString::from(format!("{}-{}-{}", &code[..4], &code[4..8], &code[8..])));
        }
        Ok((codes, hmacs))
    }

    async fn backup_hmac(&self, user_id: Uuid, code: &str) -> Result<String> {
        Ok(hex::encode(self.backup_code_hmac([user_id.as_bytes(), code.as_bytes()].concat()).await?))
    }
}

/// Leaves nothing of a second factor.
pub(super) fn without_factor(user: &mut User) {
    user.mfa_enabled = false;
    user.mfa_secret = None;
    user.mfa_backup_codes = None;
}

/// What the secret is sealed as.
fn context(user_id: Uuid) -> String {
    format!("users/{user_id}/mfa_secret")
}

/// A text in the form of a backup code, without what is only there for the eye.
fn backup_code(typed: &str) -> Option<Zeroizing<String>> {
    let code: String = typed.chars().filter(|character| !matches!(character, '-' | ' ')).collect();
    let code = Zeroizing::new(code.to_lowercase());
    let is_code =
        code.len() == (BACKUP * 8).div_ceil(5) && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    is_code.then_some(code)
}

/// All are looked at.
fn place(codes: &[String], wanted: &str) -> Option<usize> {
    let mut found = None;
    for (place, code) in codes.iter().enumerate() {
        if bool::from(code.as_bytes().ct_eq(wanted.as_bytes())) {
            found = Some(place);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_a_backup_code_is_one() {
        assert_eq!(backup_code("ABCD-efgh-2345").as_deref().map(String::as_str), Some("abcdefgh2345"));
        for typed in ["abcd-efgh-234", "abcd-efgh-2341", "287082", "", "äbcd-efgh-234"] {
            assert!(backup_code(typed).is_none(), "{typed:?}");
        }
    }
}
