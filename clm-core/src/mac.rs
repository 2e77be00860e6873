//! The seam to the HSM: MACs over tokens and rows, and secrets encrypted, with keys that never leave it.

use futures_util::future::BoxFuture;
use uuid::Uuid;
use zeroize::Zeroizing;

/// What a MAC is for; the maker separates the domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MacDomain {
    /// The text of an API key, so that the database holds nothing one could log in with.
    ApiKey,
    /// A code that stands in for a second factor once, likewise.
    BackupCode,
    /// What a batch token says of itself, so that its text can be no one's own work.
    BatchToken,
    /// What has to be shown to go on with a login that waits, likewise.
    PendingLogin,
    /// The SecretID of an AppRole, likewise.
    SecretId,
    /// A token's text, so that the database holds nothing one could log in with.
    Token,
    /// A row of tokens, policies, roles or mounts, so that an SQL statement gives nobody access.
    Row,
}

/// HMAC-SHA-256 (FIPS 198-1) under a key held by the HSM.
pub trait RowMac: Send + Sync + 'static {
    /// The MAC over `data` in `domain`.
    fn mac(&self, domain: MacDomain, data: Vec<u8>) -> BoxFuture<'_, Result<[u8; 32], MacError>>;

    /// Encrypts `content` under a key of the organization, bound to `context` (AES-256-GCM, SP 800-38D). Who holds no such key refuses.
    fn seal(
        &self,
        organization_id: Uuid,
        context: String,
        content: Zeroizing<Vec<u8>>,
    ) -> BoxFuture<'_, Result<Vec<u8>, MacError>> {
        drop((organization_id, context, content));
        Box::pin(async { Err(MacError::Failed("there is no key to encrypt with".into())) })
    }

    /// What [`RowMac::seal`] was given.
    fn open(
        &self,
        organization_id: Uuid,
        context: String,
        sealed: Vec<u8>,
    ) -> BoxFuture<'_, Result<Zeroizing<Vec<u8>>, MacError>> {
        drop((organization_id, context, sealed));
        Box::pin(async { Err(MacError::Failed("there is no key to decrypt with".into())) })
    }
}

/// The HSM gave no MAC.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MacError {
    /// Away, busy or locked; asking again later may help.
    #[error("the HSM cannot be asked now: {0}")]
    Unavailable(String),
    /// Anything else; the text is for the operator.
    #[error("the HSM refused the MAC: {0}")]
    Failed(String),
}
