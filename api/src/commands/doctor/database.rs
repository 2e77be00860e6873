//! The two databases: reachable, of the right schema, durable, and no role may more than its work.

use super::finding::Finding;
use super::{PATIENCE, clock};
use crate::settings::{Database, Settings, Urls};
use anyhow::Result;
use audit_log::examine::{self, Examination};
use clm_core::clock::SystemClock;
use keyvault::RegisteredToken;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use tokio::time::timeout;

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    name: &'static str,
    section: &'static str,
    settings: fn(&Settings) -> Option<&Database>,
    /// Under the sections `[migration]` and `[auditor]`.
    url: fn(&Urls) -> &SecretString,
    app: &'static str,
    grants: &'static str,
}

/// Both.
pub(super) const SIDES: [Side; 2] = [
    Side {
        name: "clm_secure_db",
        section: "secure_database",
        settings: |settings| settings.secure_database.as_ref(),
        url: |urls| &urls.secure_url,
        app: "clm_secure_app",
        grants: keyvault::GRANTS,
    },
    Side {
        name: "clm_core_db",
        section: "core_database",
        settings: |settings| settings.core_database.as_ref(),
        url: |urls| &urls.core_url,
        app: "clm_core_app",
        grants: clm_core::GRANTS,
    },
];

/// What is known of one.
#[derive(Debug, Default)]
pub(super) struct Examined {
    pub(super) findings: Vec<Finding>,
    /// In clm_secure_db only: the tokens that this deployment's keys stand on.
    pub(super) tokens: Option<Vec<RegisteredToken>>,
}

pub(super) async fn examine(settings: &Settings, side: &Side, time: &SystemClock) -> Examined {
    let mut examined = Examined::default();
    let url = match (side.settings)(settings).map(|database| database.url(side.section)) {
        Some(Ok(url)) => url,
        Some(Err(error)) => {
            examined.findings.push(side.failed("connection", format!("{error:#}: correct the settings")));
            return examined;
        }
        None => {
            let says = format!("the settings have no section [{}]: set its url", side.section);
            examined.findings.push(side.failed("connection", says));
            return examined;
        }
    };
    let pooled = (side.settings)(settings).is_some_and(|database| database.pooler);
    match side.connect(&url, pooled, &format!("{}.url", side.section)).await {
        Err(says) => examined.findings.push(side.failed("connection", says)),
        Ok(mut connection) => match timeout(PATIENCE, side.look(&mut connection, time, &mut examined)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let says = format!("cannot be read: {error}. See PostgreSQL's log, and run `clm migrate`");
                examined.findings.push(side.failed("schema", says));
            }
            Err(_) => examined
                .findings
                .push(side.failed("connection", "connects, but does not answer: see to its load and locks".into())),
        },
    }
    let other = (side.settings)(settings).and_then(|database| database.listen_url.as_ref());
    if let Some(url) = other
        && let Err(says) = side.connect(url, false, &format!("{}.listen_url", side.section)).await
    {
        examined.findings.push(side.failed("listen", says));
    }
    side.other_roles(settings, &mut examined.findings).await;
    examined
}

impl Side {
    fn ok(&self, check: &str, says: String) -> Finding {
        Finding::ok(format!("{}.{check}", self.name), says)
    }

    fn failed(&self, check: &str, says: String) -> Finding {
        Finding::failed(format!("{}.{check}", self.name), says)
    }

    /// Connects, or says what to see to; `setting` is where the URL was said.
    async fn connect(&self, url: &SecretString, pooled: bool, setting: &str) -> Result<PgConnection, String> {
        let error = match timeout(PATIENCE, examine::connect(url.expose_secret(), pooled)).await {
            Ok(Ok(connection)) => return Ok(connection),
            // PostgreSQL's own words, which hold no password; the URL might.
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        Err(format!(
            "{} is not reachable ({error}): check {setting}, that PostgreSQL runs, and that it lets this role in (pg_hba.conf)",
            self.name
        ))
    }

    async fn look(
        &self,
        connection: &mut PgConnection,
        time: &SystemClock,
        examined: &mut Examined,
    ) -> Result<(), sqlx::Error> {
        let findings = &mut examined.findings;
        findings.push(self.ok("connection", "reachable".into()));
        findings.push(clock::skew(connection, self.name, time).await?);
        let lossy = examine::not_durable(connection).await?;
        for (name, setting) in &lossy {
            findings.push(self.failed(name, format!("PostgreSQL runs with {name} = {setting}, so that a crash could lose acknowledged records, and the service does not start: set {name} = on in postgresql.conf (or for the role) and reload")));
        }
        if lossy.is_empty() {
            findings.push(self.ok("durability", "fsync, full_page_writes and synchronous_commit are on".into()));
        }
        let schema = if self.name == "clm_secure_db" {
            keyvault::check_schema(connection).await.map_err(|error| error.to_string())
        } else {
            clm_core::schema_check(connection).await.map_err(|error| error.to_string())
        };
        if let Err(says) = schema {
            // Its tables are not those that the rest asks about.
            findings.push(self.failed("schema", says));
            return Ok(());
        }
        findings.push(self.ok("schema", "of this program's version".into()));
        let found = examine::examine(connection, self.grants, self.app).await?;
        findings.extend(self.role("grants", &found));
        if found.missing.is_empty() && examine::has_stray_records(connection).await? {
            let says = "records are in the audit log's DEFAULT partition: a clock jumped, or a month has no partition; see docs/OPERATIONS.md, \"The audit logs\"";
            findings.push(Finding::warning(format!("{}.audit_partition", self.name), says));
        }
        if self.name == "clm_secure_db" && found.missing.is_empty() {
            examined.tokens = Some(RegisteredToken::all(connection).await?);
        }
        Ok(())
    }

    /// Nothing but its grants may bound what a role does, and they must be what its work needs.
    fn role(&self, check: &str, found: &Examination) -> Vec<Finding> {
        let role = &found.role;
        for (power, text) in [
            (
                found.superuser,
                "is a superuser, whom nothing in the database stops: use a role made by migrations/bootstrap.sql, or ALTER ROLE … NOSUPERUSER",
            ),
            (
                found.bypasses_row_security,
                "bypasses row-level security, which keeps organizations apart: ALTER ROLE … NOBYPASSRLS",
            ),
            (
                found.owns_tables,
                "owns tables, so that it could change what it may only append to: let clm_migrate own the database and everything in it",
            ),
        ] {
            if power {
                return vec![self.failed(check, format!("{role} {text}"))];
            }
        }
        let mut findings = Vec::new();
        for (statements, what) in [
            (&found.missing, "may less than its work needs"),
            (
                &found.excess,
                "may more than its work needs, so that the log could be changed by whoever breaks into the service",
            ),
        ] {
            if !statements.is_empty() {
                findings.push(self.failed(check, format!("{role} {what}; as clm_migrate: {}", statements.join("; "))));
            }
        }
        if findings.is_empty() {
            findings.push(self.ok(
                check,
                format!("{role} may do its work and nothing more; it cannot change or delete audit records"),
            ));
        }
        findings
    }

    async fn other_roles(&self, settings: &Settings, findings: &mut Vec<Finding>) {
        if let Some(urls) = &settings.migration {
            findings.push(match self.connect((self.url)(urls), false, "[migration]").await {
                Err(says) => self.failed("migration", says),
                Ok(mut connection) => match timeout(PATIENCE, examine::may_migrate(&mut connection)).await {
                    Ok(Ok(true)) => self.ok("migration", "the migration role owns the schema".into()),
                    Ok(Ok(false)) => self.failed("migration", "the migration role does not own the schema: connect as clm_migrate, which owns database and tables".into()),
                    Ok(Err(error)) => self.failed("migration", format!("cannot be asked: {error}; see PostgreSQL's log")),
                    Err(_) => self.failed("migration", "does not answer: see to the database's load and locks".into()),
                },
            });
        }
        let Some(urls) = &settings.auditor else { return };
        match self.connect((self.url)(urls), false, "[auditor]").await {
            Err(says) => findings.push(self.failed("auditor", says)),
            Ok(mut connection) => {
                match timeout(PATIENCE, examine::examine(&mut connection, self.grants, "clm_auditor")).await {
                    Ok(Ok(found)) => findings.extend(self.role("auditor", &found)),
                    Ok(Err(error)) => {
                        findings.push(self.failed("auditor", format!("cannot be asked: {error}; see PostgreSQL's log")))
                    }
                    Err(_) => findings
                        .push(self.failed("auditor", "does not answer: see to the database's load and locks".into())),
                }
            }
        }
    }
}
