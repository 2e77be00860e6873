//! Another organization's rows are invisible: by SQL as the service's role in every table and view, and through the API.

use crate::catalogue::Catalogue;
use crate::refused::{REFUSED, attempt, refused, vain};
use crate::rows::Rows;
use crate::{Databases, connect};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, query, query_scalar};
use tests::TestDatabase;
use uuid::Uuid;

/// Tables that take rows for any organization: one group commit serves many.
const APPENDED_FOR_ALL: [&str; 2] = ["audit_log", "secure_audit_log"];

async fn speak_for(connection: &mut PgConnection, organization_id: Option<Uuid>) {
    let whom = organization_id.map(|id| id.to_string()).unwrap_or_default();
    query("SELECT set_config('clm.organization_id', $1, false)").bind(whom).execute(connection).await.unwrap();
}

async fn count(connection: &mut PgConnection, relation: &str, condition: &str) -> i64 {
    let statement = format!("SELECT count(*) FROM \"{relation}\" WHERE {condition}");
    query_scalar(AssertSqlSafe(statement)).fetch_one(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_organization_are_neither_seen_nor_changed_in_any_table_or_view() {
    let databases = Databases::new().await;
    for database in databases.all() {
        try_all(&Catalogue::read(database).await, database.2).await;
    }
}

async fn try_all(catalogue: &Catalogue, database: &TestDatabase) {
    let [ours, theirs] = [Uuid::new_v4(), Uuid::new_v4()];
    let mut rows = Rows::new(catalogue, database.superuser().await.unwrap());
    rows.everywhere(ours).await;
    rows.everywhere(theirs).await;
    let role = catalogue.app;
    let mut app = connect(database, role).await;
    let mut tried = 0;
    for (name, relation) in &catalogue.relations {
        let Some(tenant) = relation.tenant_column(name) else { continue };
        if relation.granted(role, "SELECT").is_none() {
            continue;
        }
        tried += 1;
        speak_for(&mut app, None).await;
        assert_eq!(count(&mut app, name, "true").await, 0, "{name}: seen by one who speaks for nobody");
        speak_for(&mut app, Some(ours)).await;
        assert!(count(&mut app, name, &format!("{tenant} = '{ours}'")).await > 0, "{name}: one's own are not seen");
        assert_eq!(count(&mut app, name, &format!("{tenant} <> '{ours}'")).await, 0, "{name}: others' rows are seen");
        if relation.is_view {
            continue;
        }
        let writable = relation.granted(role, "UPDATE").unwrap_or_default();
        let column =
            writable.iter().find(|column| !relation.column(column).unwrap().generated).map_or(tenant, String::as_str);
        vain(&mut app, role, &format!("UPDATE \"{name}\" SET {column} = {column} WHERE {tenant} = '{theirs}'")).await;
        vain(&mut app, role, &format!("DELETE FROM \"{name}\" WHERE {tenant} = '{theirs}'")).await;
        refused(&mut app, role, &format!("UPDATE \"{name}\" SET {tenant} = '{theirs}' WHERE {tenant} = '{ours}'"))
            .await;
        let (_, insert) = if name == "organizations" {
            rows.statement(name, Uuid::new_v4()).await
        } else {
            rows.statement(name, theirs).await
        };
        match attempt(&mut app, &insert).await {
            Ok(1) if APPENDED_FOR_ALL.contains(&name.as_str()) => {}
            other => assert_eq!(other, Err(REFUSED.to_owned()), "{name}: a row was given to another organization"),
        }
    }
    assert!(tried > 8, "{}: only {tried} tables and views were tried", catalogue.name);
    app.close().await.unwrap();
}
