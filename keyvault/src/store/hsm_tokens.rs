//! Tokens of this deployment.

use sqlx::PgConnection;
use uuid::Uuid;

#[derive(Clone, Debug)]
pub(crate) struct TokenRow {
    pub(crate) id: Uuid,
    pub(crate) label: String,
    pub(crate) serial_number: String,
    pub(crate) manufacturer: String,
    pub(crate) model: String,
    pub(crate) root_key_id: Uuid,
    pub(crate) root_version: i32,
    pub(crate) mac_key_id: Uuid,
    pub(crate) audit_key_id: Uuid,
    pub(crate) audit_public_key: Vec<u8>,
}

pub(crate) async fn by_serial(
    connection: &mut PgConnection,
    serial_number: &str,
) -> Result<Option<TokenRow>, sqlx::Error> {
    sqlx::query_as!(
        TokenRow,
        "SELECT id, label, serial_number, manufacturer, model, root_key_id, root_version, mac_key_id, audit_key_id, audit_public_key \
         FROM hsm_tokens WHERE serial_number = $1",
        serial_number
    )
    .fetch_optional(connection)
    .await
}

/// A token of this deployment, by what tells it from others.
#[derive(Clone, Debug)]
pub struct RegisteredToken {
    /// CK_TOKEN_INFO label when it was registered.
    pub label: String,
    /// CK_TOKEN_INFO serial number.
    pub serial_number: String,
    /// CKA_ID of its root key.
    pub root_key_id: Uuid,
}

impl RegisteredToken {
    /// All of them.
    pub async fn all(connection: &mut PgConnection) -> Result<Vec<Self>, sqlx::Error> {
        sqlx::query_as!(Self, "SELECT label, serial_number, root_key_id FROM hsm_tokens ORDER BY created_at")
            .fetch_all(connection)
            .await
    }
}

pub(crate) async fn count(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM hsm_tokens"#).fetch_one(connection).await
}

pub(crate) async fn insert(connection: &mut PgConnection, token: &TokenRow) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO hsm_tokens (id, label, serial_number, manufacturer, model, root_key_id, root_version, mac_key_id, audit_key_id, audit_public_key) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        token.id,
        token.label,
        token.serial_number,
        token.manufacturer,
        token.model,
        token.root_key_id,
        token.root_version,
        token.mac_key_id,
        token.audit_key_id,
        token.audit_public_key
    )
    .execute(connection)
    .await?;
    Ok(())
}
