//! One row of the table: the load, what it cost, and whether every answer has its record.

use crate::cpu::Spent;
use crate::load::{self, Answered, INPUT, PLAINTEXT, Plan, VERSIONED};
use crate::postgres::{self, Counters};
use crate::raw::Key;
use crate::service::Service;
use anyhow::Result;
use std::time::Duration;

/// What is measured against the raw rate of one kind of key.
pub(crate) struct Group {
    pub(crate) key: Key,
    pub(crate) rows: &'static [Row],
}

/// What is asked.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    batch: usize,
    tls: bool,
    verb: Verb,
}

/// What is asked of `transit/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    DataKey,
    DataKeyPair,
    Decrypt,
    Encrypt,
    Hmac,
    Sign,
}

impl Verb {
    /// In `key.…` of its records.
    fn recorded(self) -> &'static str {
        match self {
            Self::DataKey => "datakey",
            Self::DataKeyPair => "datakeypair",
            Self::Decrypt => "decrypt",
            Self::Encrypt => "encrypt",
            Self::Hmac => "hmac",
            Self::Sign => "sign",
        }
    }
}

impl Row {
    const fn single(name: &'static str, connections: usize) -> Self {
        Self { name, connections, batch: 1, tls: false, verb: Verb::Sign }
    }

    const fn of(verb: Verb, row: Self) -> Self {
        Self { verb, ..row }
    }

    const fn batch(name: &'static str, connections: usize) -> Self {
        Self { name, connections, batch: 100, tls: false, verb: Verb::Sign }
    }

    const fn tls(name: &'static str, connections: usize) -> Self {
        Self { name, connections, batch: 1, tls: true, verb: Verb::Sign }
    }
}

/// All rows.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        key: Key::P256,
        rows: &[
            Row::single("P-256", 1),
            Row::single("P-256", 8),
            Row::single("P-256", 64),
            Row::single("P-256", 256),
            Row::batch("batch of 100 P-256", 16),
            Row::batch("batch of 100 P-256", 64),
            Row::tls("P-256 over TLS 1.3", 64),
        ],
    },
    Group {
        key: Key::Rsa2048,
        rows: &[
            Row::single("RSA-2048", 1),
            Row::single("RSA-2048", 8),
            Row::single("RSA-2048", 64),
            Row::single("RSA-2048", 256),
        ],
    },
    Group {
        key: Key::Ed25519,
        rows: &[
            Row::single("Ed25519", 1),
            Row::single("Ed25519", 8),
            Row::single("Ed25519", 64),
            Row::single("Ed25519", 256),
        ],
    },
    Group {
        key: Key::Hmac,
        rows: &[
            Row::of(Verb::Hmac, Row::single("HMAC-SHA-256", 1)),
            Row::of(Verb::Hmac, Row::single("HMAC-SHA-256", 8)),
            Row::of(Verb::Hmac, Row::single("HMAC-SHA-256", 64)),
            Row::of(Verb::Hmac, Row::single("HMAC-SHA-256", 256)),
        ],
    },
    Group {
        key: Key::Aes256,
        rows: &[
            Row::of(Verb::Encrypt, Row::single("AES-256-GCM encrypt", 1)),
            Row::of(Verb::Encrypt, Row::single("AES-256-GCM encrypt", 8)),
            Row::of(Verb::Encrypt, Row::single("AES-256-GCM encrypt", 64)),
            Row::of(Verb::Encrypt, Row::single("AES-256-GCM encrypt", 256)),
            Row::of(Verb::Encrypt, Row::batch("batch of 100 AES-256-GCM encrypt", 64)),
            Row::of(Verb::Decrypt, Row::single("AES-256-GCM decrypt", 1)),
            Row::of(Verb::Decrypt, Row::single("AES-256-GCM decrypt", 64)),
            Row::of(Verb::DataKey, Row::single("data key, in clear and encrypted", 1)),
            Row::of(Verb::DataKey, Row::single("data key, in clear and encrypted", 64)),
            Row::of(Verb::DataKeyPair, Row::single("data key pair (P-256), in clear and encrypted", 1)),
            Row::of(Verb::DataKeyPair, Row::single("data key pair (P-256), in clear and encrypted", 64)),
        ],
    },
];

/// What came of it.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) answered: Answered,
    /// In the window.
    pub(crate) spent: Spent,
    /// In the window: transactions that wrote.
    pub(crate) writes: i64,
    /// From before the row until after it, as far as the backends have told.
    pub(crate) commits: i64,
    pub(crate) syncs: i64,
    /// Records of the row's verb that it left.
    pub(crate) records: u64,
    /// Signatures that they speak of.
    pub(crate) recorded_signatures: u64,
    /// What is wrong, if the log does not hold.
    pub(crate) broken: Option<String>,
}

impl Row {
    pub(crate) async fn measure(&self, service: &mut Service, key: Key, window: Duration) -> Result<Measured> {
        service.speak_tls(self.tls).await?;
        let (verb, item, result) = match self.verb {
            Verb::DataKey => ("datakey/plaintext", "\"bits\":256".to_owned(), VERSIONED),
            Verb::DataKeyPair => ("datakeypair/plaintext", "\"key_type\":\"ecdsa-p256\"".to_owned(), VERSIONED),
            Verb::Decrypt => ("decrypt", format!("\"ciphertext\":\"{}\"", service.ciphertext), PLAINTEXT),
            Verb::Encrypt => ("encrypt", format!("\"plaintext\":\"{INPUT}\""), VERSIONED),
            Verb::Hmac => ("hmac", format!("\"input\":\"{INPUT}\""), VERSIONED),
            Verb::Sign => ("sign", format!("\"input\":\"{INPUT}\""), VERSIONED),
        };
        let plan = Plan {
            address: service.address()?,
            authority: service.authority()?,
            connections: self.connections,
            path: format!("{verb}/{}", key_name(key)),
            tokens: [service.token.clone()].into(),
            batch: self.batch,
            fields: if key == Key::Rsa2048 { "\"signature_algorithm\":\"pkcs1v15\"," } else { "" },
            item,
            result,
            rate: None,
        };
        let auditor = service.auditor();
        let heads = postgres::heads(&auditor).await?;
        let before = postgres::counters(&mut service.superuser).await?;
        let (answered, start, end) = load::run(plan, window, || service.spent()).await?;
        let after: Counters = postgres::counters(&mut service.superuser).await?;
        let event = format!("key.{}", self.verb.recorded());
        let (records, recorded_signatures) = postgres::records(&auditor, &event, &heads).await?;
        let (holds, said) = service.verify_audit()?;
        Ok(Measured {
            answered,
            spent: end - start,
            writes: after.writes - before.writes,
            commits: after.commits - before.commits,
            syncs: after.syncs - before.syncs,
            records,
            recorded_signatures,
            broken: (!holds).then_some(said),
        })
    }
}

impl Measured {
    /// Every answer has its record and every record its answer, and the chains hold.
    pub(crate) fn holds(&self) -> bool {
        self.answered.answers == self.records
            && self.answered.signatures == self.recorded_signatures
            && self.broken.is_none()
    }

    pub(crate) fn requests_per_second(&self) -> f64 {
        self.answered.latencies.len() as f64 / self.answered.window.as_secs_f64()
    }

    /// Microseconds of processor time for a request.
    pub(crate) fn each(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.answered.latencies.len().max(1) as f64
    }
}

impl Row {
    /// Signatures in a request.
    pub(crate) fn signatures(&self) -> f64 {
        self.batch as f64
    }
}

fn key_name(key: Key) -> &'static str {
    match key {
        Key::Aes256 => "aes256-gcm96",
        Key::Hmac => "hmac",
        Key::Ed25519 => "ed25519",
        Key::P256 => "ecdsa-p256",
        Key::Rsa2048 => "rsa-2048",
    }
}
