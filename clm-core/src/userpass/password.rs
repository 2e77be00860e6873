//! Passwords: argon2id (RFC 9106), as PHC strings.

use crate::error::{Error, Result};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// Longer ones would only cost time.
const LONGEST: usize = 1024;

/// One hash at a time for each processor: each takes 19 MiB and some 20 ms, and logins must not starve signatures of both.
#[derive(Debug)]
pub(crate) struct PasswordWork {
    permits: Arc<Semaphore>,
    /// Of a password that nobody has, for names that nobody has.
    nobody: Arc<OnceLock<String>>,
}

impl Default for PasswordWork {
    fn default() -> Self {
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        Self { permits: Arc::new(Semaphore::new(at_once)), nobody: Arc::default() }
    }
}

impl PasswordWork {
    /// The PHC string of a password, with a salt of its own.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String> {
        check(&password)?;
        self.run(move || hashed(password.expose_secret())).await?
    }

    /// Whether it is the password. `None` in place of a hash takes as long, and says no.
    pub(crate) async fn verify(&self, password: SecretString, phc: Option<String>) -> Result<bool> {
        if password.expose_secret().len() > LONGEST {
            return Ok(false);
        }
        let nobody = Arc::clone(&self.nobody);
        self.run(move || {
            let known = phc.is_some();
            let phc = match phc {
                Some(phc) => phc,
                None => match nobody.get() {
                    Some(hash) => hash.clone(),
                    None => {
                        let hash = hashed("nobody's password")?;
                        nobody.get_or_init(|| hash).clone()
                    }
                },
            };
            let parsed = PasswordHash::new(&phc).map_err(|error| internal(&error.to_string()))?;
            let fits = Argon2::default().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok();
            Ok(fits && known)
        })
        .await?
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|error| internal(&error.to_string()))?;
        tokio::task::spawn_blocking(move || {
            let _held = permit;
            work()
        })
        .await
        .map_err(|error| internal(&error.to_string()))
    }
}

fn hashed(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash.map_err(|error| internal(&error.to_string()))?.to_string())
}

fn check(password: &SecretString) -> Result<()> {
    let length = password.expose_secret().len();
    if length == 0 || length > LONGEST {
        return Err(Error::invalid(format!("a password has 1 to {LONGEST} bytes")));
    }
    Ok(())
}

fn internal(why: &str) -> Error {
    Error::Internal(format!("password hash: {why}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_and_no_other() {
        let work = PasswordWork::default();
        let (one, other) = (work.hash("one".into()).await.expect("hash"), work.hash("one".into()).await.expect("hash"));
        assert!(one.starts_with("$argon2id$v=19$") && one != other, "{one}");
        assert!(work.verify("one".into(), Some(one.clone())).await.expect("verified"));
        assert!(!work.verify("two".into(), Some(one)).await.expect("verified"));
        assert!(!work.verify("nobody's password".into(), None).await.expect("verified"));
        assert!(work.hash("".into()).await.is_err() && work.hash("x".repeat(1025).into()).await.is_err());
    }
}
