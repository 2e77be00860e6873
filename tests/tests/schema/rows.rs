//! A minimal valid row for any table, made from what the catalogue says of its columns.

use crate::catalogue::{Catalogue, Column, Relation};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, query};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Values that no rule of the catalogue tells: table (or `*`), column, SQL. `$` is a number that differs from row to row.
const VALUES: &[(&str, &str, &str)] = &[
    ("*", "email", "'u$@example.org'"),
    ("*", "expires_at", "now() + interval '1 hour'"),
    ("*", "not_after", "now() + interval '10 days'"),
    ("*", "not_before", "now() - interval '1 day'"),
    ("*", "row_mac", "decode(repeat('00', 32), 'hex')"),
    ("*", "serial_number", "lpad(to_hex($), 8, '0')"),
    ("app_roles", "role_name", "'role $'"),
    ("certificates", "der_encoded_cert", "'\\x30'"),
    ("certificates", "pem_encoded_cert", "'pem'"),
    ("certificates", "status", "'active'"),
    ("certificates", "thumbprint_sha256", "lpad(to_hex($), 64, '0')"),
    // One of the two kinds of versions.
    ("key_usage", "encryption_key_id", ""),
    ("failed_logins", "bucket", "$ % 256"),
    ("group_members", "member_entity_id", "(SELECT id FROM entities LIMIT 1)"),
    ("mounts", "path", "'m$/'"),
    ("private_keys", "hsm_key_id", "gen_random_uuid()"),
    ("private_keys", "storage", "'token'"),
    ("roles", "role_code", "'R$'"),
    ("system_entries", "document", "'{}'"),
    ("secret_versions", "encrypted_data", "'\\x00'"),
    ("secret_versions", "value_hmac", "decode(repeat('00', 32), 'hex')"),
    ("*", "num_uses", "0"),
    ("workflows", "workflow_definition", "'{\"steps\": []}'"),
];

/// Makes rows, as a superuser, whom row-level security does not stop.
pub(crate) struct Rows<'a> {
    catalogue: &'a Catalogue,
    connection: PgConnection,
    /// Id of a table's row for an organization.
    made: BTreeMap<(String, Uuid), Uuid>,
    number: u32,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue, connection: PgConnection) -> Self {
        Self { catalogue, connection, made: BTreeMap::new(), number: 0 }
    }

    /// One row in each table for the organization.
    pub(crate) async fn everywhere(&mut self, organization_id: Uuid) {
        for (table, _) in self.catalogue.tables() {
            self.row(table, organization_id).await;
        }
    }

    /// The organization's row of that table, made if it is not there; its id.
    pub(crate) async fn row(&mut self, table: &str, organization_id: Uuid) -> Uuid {
        let key = (table.to_owned(), organization_id);
        if let Some(id) = self.made.get(&key) {
            return *id;
        }
        let (id, statement) = Box::pin(self.statement(table, organization_id)).await;
        let made = query(AssertSqlSafe(statement.clone())).execute(&mut self.connection).await;
        made.unwrap_or_else(|error| panic!("say in VALUES what a row of {table} is like: {error}\n{statement}"));
        self.made.insert(key, id);
        id
    }

    /// The statement that makes one more row, and its id; rows that it names are made.
    pub(crate) async fn statement(&mut self, table: &str, organization_id: Uuid) -> (Uuid, String) {
        self.number += 1;
        let catalogue = self.catalogue;
        let relation = &catalogue.relations[table];
        let id = if table == "organizations" { organization_id } else { Uuid::new_v4() };
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        for column in &relation.columns {
            let own = VALUES.iter().find(|(of, name, _)| (*of == table || *of == "*") && *name == column.name);
            if column.generated
                || (own.is_none_or(|(of, _, _)| *of == "*") && (!column.not_null || column.default.is_some()))
            {
                continue;
            }
            let parent = parent(relation, column);
            let value = if column.name == "id" {
                format!("'{id}'")
            } else if let Some(parent) = parent {
                format!("'{}'", Box::pin(self.row(parent, organization_id)).await)
            } else if column.name == "organization_id" {
                format!("'{organization_id}'")
            } else if let Some((_, _, value)) = own {
                value.replace('$', &self.number.to_string())
            } else {
                self.value(relation, column)
            };
            columns.push(format!("\"{}\"", column.name));
            values.push(value);
        }
        (id, format!("INSERT INTO \"{table}\" ({}) VALUES ({})", columns.join(", "), values.join(", ")))
    }

    fn value(&self, relation: &Relation, column: &Column) -> String {
        if let Some(first) = allowed(relation, column) {
            return first;
        }
        match column.data_type.as_str() {
            "text" => format!("'t{}'", self.number),
            "uuid" => "gen_random_uuid()".into(),
            "bytea" => format!("sha256('{}')", self.number),
            "timestamp with time zone" => "now()".into(),
            "date" => "current_date".into(),
            "interval" => "interval '1 hour'".into(),
            "smallint" | "integer" | "bigint" => "1".into(),
            "boolean" => "true".into(),
            "jsonb" => "'{}'".into(),
            "inet" => "'127.0.0.1'".into(),
            list if list.ends_with("[]") => "'{}'".into(),
            other => panic!("{}: how is a value of {other} written?", column.name),
        }
    }
}

fn parent<'a>(relation: &'a Relation, column: &Column) -> Option<&'a str> {
    let keys = relation.constraints.iter().filter(|constraint| constraint.columns == [column.name.clone()]);
    keys.filter_map(|constraint| constraint.references.as_deref()).next()
}

/// The first of the words that a CHECK allows.
fn allowed(relation: &Relation, column: &Column) -> Option<String> {
    relation
        .constraints
        .iter()
        .filter(|constraint| constraint.columns == [column.name.clone()])
        .find_map(|constraint| {
            let (_, words) = constraint.definition.split_once("= ANY (ARRAY[")?;
            Some(words.split("::").next()?.to_owned())
        })
        .or_else(|| {
            // One word: CHECK ((type = 'service'::text)).
            relation.constraints.iter().filter(|constraint| constraint.columns == [column.name.clone()]).find_map(
                |constraint| {
                    let (_, word) = constraint.definition.split_once(&format!("(({} = ", column.name))?;
                    word.starts_with('\'').then(|| word.split("::").next().unwrap_or_default().to_owned())
                },
            )
        })
}
