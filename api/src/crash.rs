//! Points between the two databases at which a test ends the process, as `kill -9` would. In a release build they are nothing.

use clap::ValueEnum;

/// Names the point at which the process is to end.
#[cfg(debug_assertions)]
const VARIABLE: &str = "CLM_CRASH_AT";

/// The steps of a change that spans both databases, or a database and the token, each durable when it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CrashPoint {
    /// `sys/init`: `clm_secure_db` has the organization's key, `clm_core_db` nobody.
    OrganizationKeyMade,
    /// `clm_secure_db` has a new organization's key, `clm_core_db` not the organization.
    NewOrganizationKeyMade,
    /// `sys/init` of the seal shamir: the token has a PIN that nobody knows.
    PinChanged,
    /// New shares of the seal count; nobody was told them.
    SealRekeyed,
    /// A wrapped answer is kept; its token is not written.
    ContentKept,
    /// A wrapping token has ended; what it was for is still kept.
    WrappingEnded,
    /// A wrapped answer has a new token and is kept under the old one, too.
    ContentRewrapped,
    /// `clm_core_db` has disabled the mount; nobody was answered.
    MountDisabled,
    /// A server has taken the entry of the outbox.
    EntryTaken,
    /// `clm_secure_db` makes nothing more in the mount.
    MountClosed,
    /// Some of its keys are destroyed.
    KeysDestroyed,
    /// Some of its secrets are destroyed, or it has none.
    SecretsDestroyed,
    /// The token is rid of its keys.
    ObjectsRemoved,
    /// The entry is gone.
    EntryFinished,
    /// People were told that a secret is due; its row still says so.
    PeopleTold,
    /// Keys whose waiting period is over have no rows that work; their objects are on the token.
    DueKeysDestroyed,
}

impl CrashPoint {
    /// Ends the process, if this is the point that the environment names.
    pub(crate) fn reached(self) {
        #[cfg(debug_assertions)]
        if std::env::var(VARIABLE).is_ok_and(|name| Self::from_str(&name, true) == Ok(self)) {
            std::process::abort();
        }
    }
}
