//! The canonical bytes of a row, over which its MAC is made.
//!
//! Every field is its length (u32, big endian) and its bytes; an absent one is `u32::MAX`. The first names table and version of the
//! encoding, so that no row of one table passes for one of another.

use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use uuid::Uuid;

const ABSENT: u32 = u32::MAX;

pub(crate) struct RowBytes(Vec<u8>);

impl RowBytes {
    /// `what` is `table.vN`.
    pub(crate) fn new(what: &str) -> Self {
        Self(Vec::with_capacity(256)).text(what)
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn uuid(self, id: Uuid) -> Self {
        self.bytes(id.as_bytes())
    }

    pub(crate) fn integer(self, number: i64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(crate) fn flag(self, flag: bool) -> Self {
        self.bytes(&[u8::from(flag)])
    }

    /// Microseconds since 1970: what PostgreSQL keeps.
    pub(crate) fn time(self, time: DateTime<Utc>) -> Self {
        self.integer(time.timestamp_micros())
    }

    pub(crate) fn optional<T>(mut self, value: Option<T>, add: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => add(self, value),
            None => {
                self.0.extend_from_slice(&ABSENT.to_be_bytes());
                self
            }
        }
    }

    pub(crate) fn list<T>(self, items: impl ExactSizeIterator<Item = T>, mut add: impl FnMut(Self, T) -> Self) -> Self {
        let mut row = self.integer(i64::try_from(items.len()).unwrap_or(i64::MAX));
        for item in items {
            row = add(row, item);
        }
        row
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn length(&mut self, length: usize) {
        let length = u32::try_from(length).unwrap_or(ABSENT - 1);
        self.0.extend_from_slice(&length.to_be_bytes());
    }
}

/// Texts by name, as their MAC is over them.
pub(super) fn texts(row: RowBytes, texts: &sqlx::types::Json<BTreeMap<String, String>>) -> RowBytes {
    row.list(texts.iter(), |row, (name, text)| row.text(name).text(text))
}
