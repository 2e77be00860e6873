//! Rows are bound: every row that gives power carries a MAC over all that matters in it, made with a key in the HSM.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What a MAC is for; one made for one purpose is worth nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacDomain {
    /// Texts of API keys, which are stored only as MAC.
    ApiKey,
    /// What audit devices tell of secrets.
    AuditDevice,
    /// Backups of keys.
    Backup,
    /// Codes that stand in for a second factor, which are stored only as MAC.
    BackupCode,
    /// What batch tokens say of themselves.
    BatchToken,
    /// Rows of clm_core_db.
    CoreRow,
    /// What has to be shown to go on with a login that waits, stored only as MAC.
    PendingLogin,
    /// SecretIDs of AppRoles, which are stored only as MAC.
    SecretId,
    /// What secrets hold, so that records can name it.
    SecretValue,
    /// Rows of clm_secure_db.
    SecureRow,
    /// Token texts, which are stored only as MAC.
    Token,
}

impl MacDomain {
    /// The bytes that go into the HMAC: domain, then SHA-256 of the data (a row may be longer than a token takes at once).
    pub(crate) fn input(self, data: &[u8]) -> Vec<u8> {
        let label: &[u8] = match self {
            Self::ApiKey => b"clm-mac-v1 api key ",
            Self::AuditDevice => b"clm-mac-v1 audit device ",
            Self::Backup => b"clm-mac-v1 backup ",
            Self::BackupCode => b"clm-mac-v1 one-time code ",
            Self::BatchToken => b"clm-mac-v1 batch token ",
            Self::CoreRow => b"clm-mac-v1 core row ",
            Self::PendingLogin => b"clm-mac-v1 pending login ",
            Self::SecretId => b"clm-mac-v1 secret id ",
            Self::SecretValue => b"clm-mac-v1 secret value ",
            Self::SecureRow => b"clm-mac-v1 secure row ",
            Self::Token => b"clm-mac-v1 token ",
        };
        [label, &Sha256::digest(data)].concat()
    }
}

/// Canonical bytes of a row: each field behind its kind and length, in a fixed order.
#[derive(Debug)]
pub(crate) struct RowBytes(Vec<u8>);

impl RowBytes {
    pub(crate) fn new(table: &str) -> Self {
        Self(Vec::with_capacity(256)).text(table)
    }

    pub(crate) fn text(self, value: &str) -> Self {
        self.field(b't', value.as_bytes())
    }

    pub(crate) fn bytes(self, value: Option<&[u8]>) -> Self {
        match value {
            None => self.field(b'n', &[]),
            Some(value) => self.field(b'b', value),
        }
    }

    pub(crate) fn id(self, value: Option<Uuid>) -> Self {
        self.bytes(value.as_ref().map(|id| id.as_bytes().as_slice()))
    }

    pub(crate) fn integer(self, value: i64) -> Self {
        self.field(b'i', &value.to_le_bytes())
    }

    /// In whole microseconds, as PostgreSQL keeps it.
    pub(crate) fn time(self, value: Option<DateTime<Utc>>) -> Self {
        self.bytes(value.map(|time| time.timestamp_micros().to_le_bytes()).as_ref().map(<[u8; 8]>::as_slice))
    }

    pub(crate) fn flag(self, value: bool) -> Self {
        self.field(b'f', &[u8::from(value)])
    }

    /// A column added after rows were written: named, and left out where it says nothing, so that their MACs still fit.
    pub(crate) fn later<T>(self, column: &str, value: Option<T>, field: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self,
            Some(value) => field(self.text(column), value),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn field(mut self, kind: u8, value: &[u8]) -> Self {
        self.0.push(kind);
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value);
        self
    }
}
