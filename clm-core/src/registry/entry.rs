//! A row that is kept by code, and what its kinds differ in.

use super::{Json, Kind};
use crate::error::{Error, Result};
use crate::organization_quotas::OrganizationQuotas;
use crate::store::StoreError;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// A row as stored; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct Entry<F> {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) code: String,
    pub(crate) fields: F,
    pub(crate) created_by_user_id: Option<Uuid>,
    /// None before it is written.
    pub(crate) created_at: Option<DateTime<Utc>>,
    pub(crate) deleted_at: Option<DateTime<Utc>>,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

/// A row of this database that a field names: it must be there, of the same organization and not deleted, when the field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    Role(&'static str, Uuid),
    /// One that this one is to inherit from.
    RoleAbove(&'static str, Uuid),
    User(&'static str, Uuid),
}

/// Who changes something, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) user_id: Option<Uuid>,
    pub(crate) now: DateTime<Utc>,
}

/// What a kind has beside what all have.
pub(crate) trait Fields: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    const KIND: Kind;

    /// Those that are JSON of people's own, to be brought into the database's spelling.
    fn json(&mut self) -> Vec<&mut Json> {
        Vec::new()
    }

    /// Fills in what nobody says, and says what cannot be.
    fn settle(entry: &mut Entry<Self>, old: Option<&Entry<Self>>, moment: Moment) -> Result<()>;

    /// Whether it may be deleted at all.
    fn may_go(_entry: &Entry<Self>) -> Result<()> {
        Ok(())
    }

    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }

    /// What the row's MAC is over.
    fn bound_bytes(entry: &Entry<Self>) -> Vec<u8>;

    fn find(
        connection: &mut PgConnection,
        owner: Uuid,
        code: &str,
    ) -> impl Future<Output = Result<Option<Entry<Self>>, StoreError>> + Send;

    /// Adds the row, or replaces the one it was made from (its revision being one less).
    fn put(connection: &mut PgConnection, entry: &Entry<Self>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// After one more was made or brought back: refuses one too many, whoever else does so meanwhile.
    fn expect_room(
        _connection: &mut PgConnection,
        _owner: Uuid,
        _quotas: &OrganizationQuotas,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Codes, sorted.
    fn codes(
        connection: &mut PgConnection,
        owner: Uuid,
        deleted: bool,
    ) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;
}

impl<F: Fields> Entry<F> {
    /// Not written yet.
    pub(crate) fn new(organization_id: Uuid, code: &str, fields: F) -> Self {
        Self {
            id: Uuid::now_v7(),
            organization_id,
            code: code.to_owned(),
            fields,
            created_by_user_id: None,
            created_at: None,
            deleted_at: None,
            revision: 0,
            row_mac: [0; 32],
        }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    /// As people see it.
    pub(crate) fn data(&self) -> Value {
        let mut data = json!({ "id": self.id, "code": self.code });
        if let (Value::Object(data), Ok(Value::Object(fields))) = (&mut data, serde_json::to_value(&self.fields)) {
            data.extend(fields);
            data.insert("created_by_user_id".into(), json!(self.created_by_user_id));
            data.insert("created_at".into(), json!(self.created_at));
            data.insert("revision".into(), self.revision.into());
        }
        data
    }

    /// The row as a record names it.
    pub(crate) fn row(&self) -> (&'static str, Uuid, i64, [u8; 32]) {
        (F::KIND.table(), self.id, self.revision, self.row_mac)
    }
}

/// `fields` with what is named in `changes` in its place; an empty text takes away.
pub(crate) fn changed<F: Fields>(fields: Option<&F>, changes: &Map<String, Value>) -> Result<F> {
    let internal = |error: serde_json::Error| Error::Internal(format!("fields: {error}").into());
    let mut all = match fields.map(serde_json::to_value).transpose().map_err(internal)? {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    for (name, value) in changes {
        let taken_away = value.as_str() == Some("");
        all.insert(name.clone(), if taken_away { Value::Null } else { value.clone() });
    }
    serde_json::from_value(Value::Object(all)).map_err(|error| Error::invalid(format!("a field cannot be so: {error}")))
}

/// One of a list of words.
pub(crate) fn one_of(field: &str, word: &str, words: &[&str]) -> Result<()> {
    if words.contains(&word) {
        return Ok(());
    }
    Err(Error::invalid(format!("{field} is one of {}", words.join(", "))))
}

/// Any of a list of words.
pub(crate) fn all_of(field: &str, said: &[String], words: &[&str]) -> Result<()> {
    said.iter().try_for_each(|word| one_of(field, word, words))
}

/// A code that people choose.
pub(crate) fn checked_code(code: &str) -> Result<()> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    if code.is_empty() || code.len() > 128 || !code.chars().all(fits) {
        return Err(Error::invalid("a code has 1 to 128 letters, digits, `_`, `-` and `.`"));
    }
    Ok(())
}

/// A name that people read.
pub(crate) fn checked_name(field: &str, name: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
        return Err(Error::invalid(format!("{field} has 1 to 256 bytes and no control characters")));
    }
    Ok(())
}
