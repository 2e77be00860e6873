//! Tokens of this deployment.

use sqlx::{PgConnection, Row};
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
    let row = sqlx::query("SELECT * FROM hsm_tokens WHERE serial_number = $1")
        .bind(serial_number)
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        Ok(TokenRow {
            id: row.try_get("id")?,
            label: row.try_get("label")?,
            serial_number: row.try_get("serial_number")?,
            manufacturer: row.try_get("manufacturer")?,
            model: row.try_get("model")?,
            root_key_id: row.try_get("root_key_id")?,
            root_version: row.try_get("root_version")?,
            mac_key_id: row.try_get("mac_key_id")?,
            audit_key_id: row.try_get("audit_key_id")?,
            audit_public_key: row.try_get("audit_public_key")?,
        })
    })
    .transpose()
}

pub(crate) async fn count(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM hsm_tokens").fetch_one(connection).await
}

pub(crate) async fn insert(connection: &mut PgConnection, token: &TokenRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO hsm_tokens (id, label, serial_number, manufacturer, model, root_key_id, root_version, mac_key_id, audit_key_id, audit_public_key) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(token.id)
    .bind(&token.label)
    .bind(&token.serial_number)
    .bind(&token.manufacturer)
    .bind(&token.model)
    .bind(token.root_key_id)
    .bind(token.root_version)
    .bind(token.mac_key_id)
    .bind(token.audit_key_id)
    .bind(&token.audit_public_key)
    .execute(connection)
    .await?;
    Ok(())
}
