//! docs/schema-reference.md and docs/database-roles.md, made of live databases. `CLM_RENEW=1` (`make renew`) writes them; else they must fit.

use crate::catalogue::{Catalogue, Constraint, Grants, Relation};
use crate::changes::CHANGES;
use crate::{Databases, ROLES};
use std::fmt::Write;
use std::path::PathBuf;

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_reference_is_what_the_databases_say() {
    let catalogues = Databases::new().await.catalogues().await;
    compare("schema-reference.md", &reference(&catalogues));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_grant_is_in_the_reviewed_matrix_of_roles_and_no_other_is() {
    let catalogues = Databases::new().await.catalogues().await;
    compare("database-roles.md", &matrix(&catalogues));
}

fn compare(file: &str, made: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
    if std::env::var_os("CLM_RENEW").is_some() {
        std::fs::write(path, made).unwrap();
        return;
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    if let Some((number, (is, should))) = written
        .lines()
        .map(Some)
        .chain(std::iter::repeat(None))
        .zip(made.lines())
        .enumerate()
        .find(|(_, (is, should))| *is != Some(should))
    {
        panic!(
            "docs/{file}:{}: is {is:?}, should be {should:?}: look whether that is meant, then `make renew`",
            number + 1
        );
    }
    assert_eq!(written.lines().count(), made.lines().count(), "docs/{file} goes on after its end: `make renew`");
}

fn matrix(catalogues: &[Catalogue]) -> String {
    let mut out = String::from(
        "# Database roles\n\nWhich role may do what to which table, view and function, read from the catalogue of live databases: `make renew` writes this page, and a test fails \
         when a grant is not on it. Review each line that changes. Row-level security narrows every grant on a tenant's table further \
         ([schema-reference.md](schema-reference.md)); `clm_migrate` owns everything. Partitions of the logs are read by `clm_backup` alone.\n",
    );
    for catalogue in catalogues {
        let roles: Vec<&str> =
            ROLES[..4].iter().copied().filter(|role| *role == catalogue.app || !role.ends_with("_app")).collect();
        let _ = writeln!(
            out,
            "\n## {}\n\n| on | {} |\n|---|{}",
            catalogue.name,
            roles.join(" | "),
            "---|".repeat(roles.len())
        );
        let mut line = |what: &str, grants: &Grants| {
            let cells: Vec<String> = roles.iter().map(|role| verbs(grants, role)).collect();
            let _ = writeln!(out, "| {what} | {} |", cells.join(" | "));
        };
        catalogue.surroundings.iter().for_each(|(what, grants)| line(what, grants));
        for (name, relation) in &catalogue.relations {
            line(&format!("{}`{name}`", if relation.is_view { "view " } else { "" }), &relation.grants);
        }
        for (signature, function) in &catalogue.functions {
            line(
                &format!("function `{signature}`{}", if function.security_definer { ", as its owner" } else { "" }),
                &function.grants,
            );
        }
    }
    out
}

/// `SELECT, UPDATE (a, b)`.
fn verbs(grants: &Grants, role: &str) -> String {
    const ORDER: [&str; 11] = [
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "TRUNCATE",
        "REFERENCES",
        "TRIGGER",
        "EXECUTE",
        "CONNECT",
        "USAGE",
        "CREATE",
    ];
    let Some(verbs) = grants.get(role) else { return String::new() };
    let mut verbs: Vec<_> = verbs.iter().collect();
    verbs.sort_by_key(|(verb, _)| ORDER.iter().position(|known| known == verb).unwrap_or(ORDER.len()));
    let shown = verbs.into_iter().map(|(verb, columns)| match columns.as_slice() {
        [] => verb.clone(),
        columns => format!("{verb} ({})", columns.join(", ")),
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn reference(catalogues: &[Catalogue]) -> String {
    let mut out = String::from(
        "# Schema reference\n\nRead from live databases: `make renew` writes this page from the migrations, and a test fails when it is stale. Times are UTC. The two databases \
         never join: a column that names a row of the other one has no foreign key.\n",
    );
    for catalogue in catalogues {
        let _ = writeln!(out, "\n## {}", catalogue.name);
        catalogue.tables().for_each(|(name, table)| write_table(&mut out, name, table));
        catalogue.views().for_each(|(name, view)| write_view(&mut out, name, view));
        let _ = writeln!(out, "\n### Functions\n\n| function | returns | runs as |\n|---|---|---|");
        for (signature, function) in &catalogue.functions {
            let whom = if function.security_definer { "its owner" } else { "its caller" };
            let _ = writeln!(out, "| `{signature}` | {} | {whom} |", cell(&function.returns));
        }
    }
    out.push_str("\n## Where names differ from the schemas these grew from\n\n| was | is | why |\n|---|---|---|\n");
    for (was, is, why) in CHANGES {
        let _ = writeln!(out, "| {was} | {is} | {why} |");
    }
    out
}

fn write_table(out: &mut String, name: &str, table: &Relation) {
    write_head(out, name, table);
    let shown: Vec<&Constraint> = table.constraints.iter().collect();
    list(
        out,
        "Constraints",
        shown.iter().map(|constraint| {
            let comment = constraint.comment.as_deref().map(|comment| format!(" {comment}")).unwrap_or_default();
            format!("`{}`{comment}", constraint.definition)
        }),
    );
    list(
        out,
        "Indexes",
        table.indexes.iter().map(|(index, definition)| format!("`{index}`: `{}`", short_index(definition))),
    );
    list(out, "Triggers", table.triggers.iter().map(|(_, definition)| format!("`{definition}`")));
    let force = match (table.row_security, table.forced) {
        (true, true) => "Row-level security, forced",
        (true, false) => "Row-level security",
        _ => "Policies",
    };
    list(out, force, table.policies.iter().map(|(policy, definition)| format!("`{policy}`: `{definition}`")));
    write_grants(out, table);
}

fn write_view(out: &mut String, name: &str, view: &Relation) {
    write_head(out, name, view);
    write_grants(out, view);
}

fn write_head(out: &mut String, name: &str, relation: &Relation) {
    let kind = if relation.is_view {
        " (view)"
    } else if relation.is_partitioned {
        " (partitioned)"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "\n### {name}{kind}\n\n{}\n\n| column | type | null | default | |\n|---|---|---|---|---|",
        relation.comment.as_deref().unwrap_or_default()
    );
    for column in &relation.columns {
        let null = if column.not_null || relation.is_view { "" } else { "null" };
        let default = match (&column.default, column.generated) {
            (Some(value), true) => format!("generated: `{}`", cell(value)),
            (Some(value), false) => format!("`{}`", cell(value)),
            (None, _) => String::new(),
        };
        let about = column.comment.as_deref().map(cell).unwrap_or_default();
        let _ = writeln!(out, "| {} | {} | {null} | {default} | {about} |", column.name, column.data_type);
    }
}

fn write_grants(out: &mut String, relation: &Relation) {
    let granted = ROLES[..4].iter().filter(|role| relation.grants.contains_key(**role));
    list(out, "Grants", granted.map(|role| format!("{role}: {}", verbs(&relation.grants, role))));
}

fn list(out: &mut String, head: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_some() {
        let _ = writeln!(out, "\n{head}:\n");
        items.for_each(|item| out.push_str(&format!("- {}\n", item.replace('\n', " "))));
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Without what every index says.
fn short_index(definition: &str) -> String {
    let unique = if definition.starts_with("CREATE UNIQUE") { "UNIQUE " } else { "" };
    let from = definition.split_once(" USING ").map_or(definition, |(_, rest)| rest);
    format!("{unique}{from}")
}
