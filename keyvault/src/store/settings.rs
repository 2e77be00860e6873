//! Settings of the server that durability stands on.

use sqlx::PgConnection;

/// Names of settings that must be `on` and are not.
pub(crate) async fn not_durable(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT name AS "name!" FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting IN ('off', 'local') AND NOT (name = 'synchronous_commit' AND setting = 'local')"#
    )
    .fetch_all(connection)
    .await
}
