//! What a database and the role that works in it are like: records hold only where both are as the log needs them.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, Row};
use std::collections::BTreeSet;

/// What was found.
#[derive(Clone, Debug)]
pub struct Examination {
    /// Who is connected.
    pub role: String,
    /// Nothing in a database stops a superuser.
    pub superuser: bool,
    /// Row-level security does not hold it.
    pub bypasses_row_security: bool,
    /// It owns, or may act as the owner of, some of the tables: grants do not bind it.
    pub owns_tables: bool,
    /// Statements that give what it lacks.
    pub missing: Vec<String>,
    /// Statements that take what it has too much.
    pub excess: Vec<String>,
}

/// A connection for looking at a database; `pooled`: through a pooler that gives connections for one transaction, in which it then is.
pub async fn connect(url: &str, pooled: bool) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.application_name("clm doctor").disable_statement_logging();
    if !pooled {
        return options.connect().await;
    }
    let mut connection = options.statement_cache_capacity(0).connect().await?;
    sqlx::raw_sql("BEGIN READ ONLY").execute(&mut connection).await?;
    Ok(connection)
}

/// Settings of this session that a crash could lose acknowledged records by, and what they are.
pub async fn not_durable(connection: &mut PgConnection) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT name, setting FROM pg_settings \
         WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting IN ('off', 'local') ORDER BY name",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("setting")?))).collect()
}

/// Compares what the connected role is and may with what `role` should be able to do: lines `ROLE PRIVILEGE OBJECT`, as [`privileges`] gives them.
pub async fn examine(connection: &mut PgConnection, grants: &str, role: &str) -> Result<Examination, sqlx::Error> {
    let is = sqlx::query(
        "SELECT rolname::text, rolsuper, rolbypassrls, EXISTS (SELECT FROM pg_class \
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND pg_has_role(relowner, 'USAGE')) AS owns \
         FROM pg_roles WHERE rolname = current_user",
    )
    .fetch_one(&mut *connection)
    .await?;
    let name: String = is.try_get("rolname")?;
    let wanted: BTreeSet<String> = grants
        .lines()
        .filter_map(|line| line.split_once(' ').filter(|(who, _)| *who == role))
        .map(|(_, pair)| pair.to_owned())
        .collect();
    let held: BTreeSet<String> = privileges(connection, &name).await?.into_iter().collect();
    let statement = |verb: &str, preposition: &str, pair: &str| {
        let (privilege, object) = pair.split_once(' ').unwrap_or((pair, ""));
        let kind = if object.contains('(') { "FUNCTION " } else { "" };
        format!("{verb} {privilege} ON {kind}{object} {preposition} {name}")
    };
    Ok(Examination {
        superuser: is.try_get("rolsuper")?,
        bypasses_row_security: is.try_get("rolbypassrls")?,
        owns_tables: is.try_get("owns")?,
        missing: wanted.difference(&held).map(|pair| statement("GRANT", "TO", pair)).collect(),
        excess: held.difference(&wanted).map(|pair| statement("REVOKE", "FROM", pair)).collect(),
        role: name,
    })
}

/// All that a role may, `PRIVILEGE OBJECT` each, partitions by their own name, in order. A grant on columns counts as one on the table; a
/// function counts only where it acts as its owner.
pub async fn privileges(connection: &mut PgConnection, role: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT privilege || ' ' || relname FROM pg_class, \
             unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) privilege \
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND CASE WHEN privilege IN ('DELETE', 'TRUNCATE') \
             THEN has_table_privilege($1, oid, privilege) ELSE has_any_column_privilege($1, oid, privilege) END \
         UNION ALL SELECT 'EXECUTE ' || oid::regprocedure::text FROM pg_proc \
         WHERE pronamespace = 'public'::regnamespace AND prosecdef AND has_function_privilege($1, oid, 'EXECUTE') ORDER BY 1",
    )
    .bind(role)
    .fetch_all(connection)
    .await
}

/// Whether the connected role can change the schema: make tables, and act as the owner of all that are there.
pub async fn may_migrate(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT has_schema_privilege('public', 'CREATE') AND NOT EXISTS (SELECT FROM pg_class \
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT pg_has_role(relowner, 'USAGE'))",
    )
    .fetch_one(connection)
    .await
}

/// Whether records lie where no month takes them. For the service's role alone.
pub async fn has_stray_records(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT audit_default_partition_in_use()").fetch_one(connection).await
}

/// The database's clock.
pub async fn now(connection: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(connection).await
}
