//! Logging in with a password.
//!
//! A name that nobody has takes the same steps as a wrong password or a wrong code: looks, MACs, one password hash, one secret that is
//! opened, and one row that counts.

use super::UserRole;
use super::totp::Factor;
use super::user::{key, user_name};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::Claim;
use crate::login::{Admitted, Basis, Login, Visitor};
use crate::mount::{Lockout, Mount};
use crate::store::users::{self, User};
use crate::store::{GoneRow, StoreError};
use crate::token::Warning;
use audit_chain::{Outcome, Severity, Value};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

/// What a person brings.
#[derive(Clone, Debug)]
pub struct UserLogin {
    /// As typed.
    pub name: String,
    /// As typed.
    pub password: SecretString,
    /// The second factor, as typed.
    pub passcode: Option<SecretString>,
}

/// What a login takes of the second factor.
#[derive(Clone, Copy)]
enum Code {
    None,
    Step(i64),
    /// The row goes without it from now on.
    Backup,
}

impl Code {
    /// Whoever was first has it.
    async fn spend(self, connection: &mut PgConnection, user: &User) -> Result<Vec<GoneRow>, StoreError> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Step(step) => users::spend_step(connection, user, step).await.map(|()| Vec::new()),
            Self::Backup => {
                users::put(connection, user).await?;
                Ok(vec![(users::TABLE, user.id, user.revision, user.row_mac)])
            }
        }
    }
}

const REFUSED: &str = "invalid username or password";

impl Core {
    /// Gives a token for a name and a password. A refusal is counted, and told without saying what was wrong.
    pub async fn login_user(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        login: UserLogin,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let given = self.try_user(visitor, mount, login).await;
        self.counted(visitor, given).await
    }

    async fn try_user(&self, visitor: &Visitor, mount: &Mount, login: UserLogin) -> Result<(Admitted, Vec<Warning>)> {
        let passwords = self.passwords()?;
        let name = user_name(&login.name).unwrap_or_default();
        let role = self.role_and_basis::<UserRole>(&key(mount, &name)).await?;
        let user = match &role {
            Some((role, _)) => self.user(mount.organization_id, role.user_id).await?,
            None => {
                // As long as for somebody who is known.
                self.store().user(mount.organization_id, uuid::Uuid::nil()).await?;
                self.row_mac(Vec::new()).await?;
                self.row_mac(Vec::new()).await?;
                None
            }
        };
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        let fits = passwords.verify(login.password, hash).await?;
        let factor = self.factor(mount.organization_id, user.as_ref(), login.passcode.as_ref()).await?;
        let lockout = Lockout::at(mount, self.settings());
        let may_try = |user: &User| !lockout.is_some_and(|lockout| self.is_locked(user, lockout)) && user.may_log_in();
        let (Some(role), Some(user)) = (role, user.filter(may_try)) else {
            self.count_failure_of_nobody(mount, &name).await?;
            return Err(Error::invalid(REFUSED));
        };
        if !fits || factor == Factor::Wrong {
            match lockout {
                Some(lockout) => self.count_failure(visitor, &user, lockout).await?,
                None => self.count_failure_of_nobody(mount, &name).await?,
            }
            return Err(Error::invalid(REFUSED));
        }
        self.give_user(visitor, mount, role, (user, factor)).await
    }

    /// Too many failures, the last one not long ago. They are the person's, at whichever mount.
    fn is_locked(&self, user: &User, lockout: Lockout) -> bool {
        let since = user.last_failed_login_at.map(|last| self.now() - last);
        user.failed_login_attempts >= lockout.threshold && since.is_some_and(|since| since < lockout.duration)
    }

    async fn count_failure_of_nobody(&self, mount: &Mount, name: &str) -> Result<()> {
        let bucket = Sha256::digest(name.as_bytes())[0];
        Ok(self.store().count_failed_login_of_nobody(mount.organization_id, bucket, self.now()).await?)
    }

    async fn count_failure(&self, visitor: &Visitor, user: &User, lockout: Lockout) -> Result<()> {
        let now = self.now();
        let forgotten_before = now - lockout.counter_reset;
        let failures = self.store().count_failed_login(user.organization_id, user.id, now, forgotten_before).await?;
        // One more after the pause locks again, as long as those before are not forgotten.
        let again = user.failed_login_attempts >= lockout.threshold && failures > lockout.threshold;
        if failures != lockout.threshold && !again {
            return Ok(());
        }
        tracing::warn!(user = %user.id, alarm = "login_lockout", "a person is locked out after too many wrong passwords or codes");
        let who = ("user", Some(user.username.clone()));
        let mut event = self.event(&visitor.caller(), "user.lock", "authentication", who, "lock");
        // It tells of many logins, not how this one ended: that is counted.
        event.arrival = None;
        event.outcome = Outcome::Failure;
        event.severity = Severity::Warning;
        event.error_message = Some("too many wrong passwords or codes".into());
        event.data.insert("failures".into(), Value::Integer(failures.into()));
        self.audit().append(event).await.map_err(Error::Audit)
    }

    async fn give_user(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        (role, basis): (UserRole, Basis),
        (user, factor): (User, Factor),
    ) -> Result<(Admitted, Vec<Warning>)> {
        if !crate::cidr::permits(&role.token.bound_cidrs, visitor.source) {
            return Err(Error::Forbidden("permission denied".into()));
        }
        let (user, code, factor) = match factor {
            Factor::Backup(place) => (self.without_code(&user, place).await?, Code::Backup, Some("backup_code")),
            Factor::Step(step) => (user, Code::Step(step), Some("totp")),
            Factor::None | Factor::Wrong => (user, Code::None, None),
        };
        let claim = Claim { name: user.username.clone(), user_id: Some(user.id), ..Claim::default() };
        let mut login = Login::new(visitor, (mount, role.token), "login.userpass", claim)
            .marked([("username", &user.username)])
            .recorded([("username", &user.username)])
            .resting_on(basis)
            .resting_on(&user)
            .or_refused(REFUSED);
        if let Some(factor) = factor {
            login = login.recorded([("second_factor", factor)]);
        }
        let (now, source) = (self.now(), visitor.source);
        let login = login.spending(move |connection| {
            let user = user.clone();
            Box::pin(async move {
                let rows = code.spend(connection, &user).await?;
                users::logged_in(connection, &user, now, source).await?;
                Ok(rows)
            })
        });
        self.give(visitor, login).await
    }
}
