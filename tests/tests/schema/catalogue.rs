//! What is in a database, read from its catalogue.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query};
use std::collections::BTreeMap;
use tests::TestDatabase;

/// One database.
pub(crate) struct Catalogue {
    /// Its name in a deployment.
    pub(crate) name: &'static str,
    /// The service's role that works on it.
    pub(crate) app: &'static str,
    /// By name; partitions are left out, sqlx's own table is there.
    pub(crate) relations: BTreeMap<String, Relation>,
    /// By signature.
    pub(crate) functions: BTreeMap<String, Function>,
    /// On the database and its schema.
    pub(crate) surroundings: BTreeMap<&'static str, Grants>,
}

/// Verb, and the columns it is narrowed to; none: all.
pub(crate) type Verbs = BTreeMap<String, Vec<String>>;
/// By role; PUBLIC is everybody.
pub(crate) type Grants = BTreeMap<String, Verbs>;

/// A table or view.
#[derive(Default)]
pub(crate) struct Relation {
    pub(crate) is_view: bool,
    pub(crate) is_partitioned: bool,
    pub(crate) comment: Option<String>,
    pub(crate) options: Vec<String>,
    pub(crate) row_security: bool,
    pub(crate) forced: bool,
    pub(crate) columns: Vec<Column>,
    pub(crate) constraints: Vec<Constraint>,
    /// Name and definition.
    pub(crate) indexes: Vec<(String, String)>,
    /// Name, and the rest of the statement that would make it.
    pub(crate) policies: Vec<(String, String)>,
    /// Name, and the statement that made it.
    pub(crate) triggers: Vec<(String, String)>,
    pub(crate) grants: Grants,
}

pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) data_type: String,
    pub(crate) not_null: bool,
    pub(crate) default: Option<String>,
    pub(crate) generated: bool,
    pub(crate) comment: Option<String>,
}

pub(crate) struct Constraint {
    pub(crate) name: String,
    /// `c`heck, `f`oreign key, `p`rimary key, `u`nique.
    pub(crate) kind: String,
    pub(crate) definition: String,
    pub(crate) columns: Vec<String>,
    /// The table that a foreign key names.
    pub(crate) references: Option<String>,
    pub(crate) comment: Option<String>,
    /// Whether an index begins with a foreign key's columns.
    pub(crate) indexed: bool,
}

#[derive(Default)]
pub(crate) struct Function {
    pub(crate) security_definer: bool,
    pub(crate) settings: Vec<String>,
    pub(crate) returns: String,
    pub(crate) grants: Grants,
}

impl Relation {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The tenant's column, if its rows belong to one.
    pub(crate) fn tenant_column(&self, name: &str) -> Option<&'static str> {
        match name {
            "organizations" => Some("id"),
            _ => self.column("organization_id").map(|_| "organization_id"),
        }
    }

    pub(crate) fn has_trigger(&self, function: &str) -> bool {
        self.triggers.iter().any(|(_, definition)| definition.ends_with(&format!("EXECUTE FUNCTION {function}()")))
    }

    /// The columns for which the role has the verb; `None`: not at all.
    pub(crate) fn granted(&self, role: &str, verb: &str) -> Option<Vec<String>> {
        let columns = self.grants.get(role)?.get(verb)?;
        Some(if columns.is_empty() {
            self.columns.iter().map(|column| column.name.clone()).collect()
        } else {
            columns.clone()
        })
    }
}

impl Catalogue {
    pub(crate) async fn read((name, app, database): (&'static str, &'static str, &TestDatabase)) -> Self {
        let mut connection = database.superuser().await.unwrap();
        let mut found =
            Self { name, app, relations: BTreeMap::new(), functions: BTreeMap::new(), surroundings: BTreeMap::new() };
        found.read_relations(&mut connection).await;
        found.read_columns(&mut connection).await;
        found.read_constraints(&mut connection).await;
        found.read_lists(&mut connection).await;
        found.read_relation_grants(&mut connection).await;
        found.read_functions(&mut connection).await;
        found.read_surroundings(&mut connection).await;
        found
    }

    /// Without sqlx's own.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&String, &Relation)> {
        self.relations.iter().filter(|(name, relation)| !relation.is_view && *name != "_sqlx_migrations")
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = (&String, &Relation)> {
        self.relations.iter().filter(|(_, relation)| relation.is_view)
    }

    async fn read_relations(&mut self, connection: &mut PgConnection) {
        let rows = query(
            "SELECT relname::text, relkind = 'v', relkind = 'p', obj_description(oid, 'pg_class'), coalesce(reloptions, '{}'), relrowsecurity, relforcerowsecurity \
             FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT relispartition",
        );
        for row in rows.fetch_all(connection).await.unwrap() {
            let relation = Relation {
                is_view: row.get(1),
                is_partitioned: row.get(2),
                comment: row.get(3),
                options: row.get(4),
                row_security: row.get(5),
                forced: row.get(6),
                ..Relation::default()
            };
            self.relations.insert(row.get(0), relation);
        }
    }

    async fn read_columns(&mut self, connection: &mut PgConnection) {
        let rows = query(
            "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attgenerated <> '', \
             col_description(c.oid, a.attnum) \
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
             WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum",
        );
        for row in rows.fetch_all(connection).await.unwrap() {
            let Some(relation) = self.relations.get_mut(row.get::<&str, _>(0)) else { continue };
            relation.columns.push(Column {
                name: row.get(1),
                data_type: row.get(2),
                not_null: row.get(3),
                default: row.get(4),
                generated: row.get(5),
                comment: row.get(6),
            });
        }
    }

    async fn read_constraints(&mut self, connection: &mut PgConnection) {
        let rows = query(
            "SELECT c.relname::text, k.conname::text, k.contype::text, pg_get_constraintdef(k.oid), \
             ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(number, place) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number ORDER BY u.place), \
             CASE WHEN k.contype = 'f' THEN k.confrelid::regclass::text END, obj_description(k.oid, 'pg_constraint'), \
             EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey \
                AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = '(' || (SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = k.conkey[1]) || ' IS NOT NULL)')) \
             FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE c.relnamespace = 'public'::regnamespace AND k.contype IN ('c', 'f', 'p', 'u') \
             ORDER BY c.relname, position(k.contype::text IN 'pufc'), k.conname",
        );
        for row in rows.fetch_all(connection).await.unwrap() {
            let Some(relation) = self.relations.get_mut(row.get::<&str, _>(0)) else { continue };
            relation.constraints.push(Constraint {
                name: row.get(1),
                kind: row.get(2),
                definition: row.get(3),
                columns: row.get(4),
                references: row.get(5),
                comment: row.get(6),
                indexed: row.get(7),
            });
        }
    }

    async fn read_lists(&mut self, connection: &mut PgConnection) {
        let indexes = "SELECT tablename::text, indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2";
        let triggers = "SELECT c.relname::text, t.tgname::text, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
                        WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace ORDER BY 1, 2";
        let policies = "SELECT tablename::text, policyname::text, concat('FOR ', cmd, ' TO ', array_to_string(roles, ', '), ' USING ' || qual, ' WITH CHECK ' || with_check) \
                        FROM pg_policies WHERE schemaname = 'public' ORDER BY 1, 2";
        for (index, statement) in [indexes, triggers, policies].into_iter().enumerate() {
            for row in query(statement).fetch_all(&mut *connection).await.unwrap() {
                let Some(relation) = self.relations.get_mut(row.get::<&str, _>(0)) else { continue };
                let list =
                    [&mut relation.indexes, &mut relation.triggers, &mut relation.policies].into_iter().nth(index);
                list.unwrap().push((row.get(1), row.get(2)));
            }
        }
    }

    async fn read_relation_grants(&mut self, connection: &mut PgConnection) {
        let rows = query(
            "SELECT c.relname::text, coalesce(r.rolname, 'PUBLIC')::text, g.privilege_type, g.column_name::text FROM ( \
                 SELECT c.oid, x.grantee, x.privilege_type, NULL::name AS column_name FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) x \
                 UNION ALL SELECT a.attrelid, x.grantee, x.privilege_type, a.attname FROM pg_attribute a, aclexplode(a.attacl) x WHERE NOT a.attisdropped \
             ) g JOIN pg_class c ON c.oid = g.oid LEFT JOIN pg_roles r ON r.oid = g.grantee WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
             AND NOT c.relispartition ORDER BY g.column_name NULLS FIRST",
        );
        for row in rows.fetch_all(connection).await.unwrap() {
            let relation = self.relations.get_mut(row.get::<&str, _>(0)).unwrap();
            let verbs = relation.grants.entry(row.get(1)).or_default();
            match row.get::<Option<String>, _>(3) {
                None => drop(verbs.insert(row.get(2), Vec::new())),
                // Narrower than the verb on all columns, which came first.
                Some(column) => match verbs.get_mut(row.get::<&str, _>(2)) {
                    None => drop(verbs.insert(row.get(2), vec![column])),
                    Some(columns) if columns.is_empty() => {}
                    Some(columns) => columns.push(column),
                },
            }
        }
    }

    async fn read_functions(&mut self, connection: &mut PgConnection) {
        let rows = query(
            "SELECT p.oid::regprocedure::text, p.prosecdef, coalesce(p.proconfig, '{}'), pg_get_function_result(p.oid), coalesce(r.rolname, 'PUBLIC')::text, x.privilege_type \
             FROM pg_proc p LEFT JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x ON true LEFT JOIN pg_roles r ON r.oid = x.grantee \
             WHERE p.pronamespace = 'public'::regnamespace",
        );
        for row in rows.fetch_all(connection).await.unwrap() {
            let function = self.functions.entry(row.get(0)).or_default();
            (function.security_definer, function.settings, function.returns) = (row.get(1), row.get(2), row.get(3));
            if let Some(verb) = row.get::<Option<String>, _>(5) {
                function.grants.entry(row.get(4)).or_default().insert(verb, Vec::new());
            }
        }
    }

    async fn read_surroundings(&mut self, connection: &mut PgConnection) {
        let database = "SELECT coalesce(r.rolname, 'PUBLIC')::text, x.privilege_type FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x \
                        LEFT JOIN pg_roles r ON r.oid = x.grantee WHERE d.datname = current_database()";
        let schema = "SELECT coalesce(r.rolname, 'PUBLIC')::text, x.privilege_type FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) x \
                      LEFT JOIN pg_roles r ON r.oid = x.grantee WHERE n.nspname = 'public'";
        for (what, statement) in [("the database", database), ("schema public", schema)] {
            let grants = self.surroundings.entry(what).or_default();
            for row in query(statement).fetch_all(&mut *connection).await.unwrap() {
                grants.entry(row.get(0)).or_default().insert(row.get(1), Vec::new());
            }
        }
    }
}
