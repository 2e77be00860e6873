//! The two logs: the same columns under the seeds' two names for the outcome.

use crate::AuditError;
use audit_chain::{Event, Outcome, Severity};
use std::time::Instant;

/// SQL of one log. All text is ours and constant.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Name of the table.
    pub name: &'static str,
    /// What its events are about; the table has the same list.
    pub categories: &'static [&'static str],
    pub(crate) append: &'static str,
    pub(crate) select: &'static str,
    pub(crate) select_part: &'static str,
    pub(crate) select_bounds: &'static str,
    pub(crate) select_month: &'static str,
    pub(crate) select_detached: &'static str,
}

impl Table {
    /// The event as it will be stored and hashed. One that the table would refuse must not get into a commit with others.
    pub(crate) fn accept(&self, event: Event) -> Result<Event, AuditError> {
        let event = event.timed(Instant::now()).storable();
        if self.categories.contains(&&*event.category) {
            Ok(event)
        } else {
            Err(AuditError::Refused(format!("{} has no category {:?}", self.name, event.category)))
        }
    }
}

macro_rules! columns {
    ($result:literal) => {
        concat!(
            "SELECT chain_id, seq, previous_hash, record_hash, encoding_version, event_id, event_type, event_category, severity, ",
            "organization_id, resource_type, resource_id, action, ",
            $result,
            " AS result, error_message, result_sha256, request_id, user_id, ",
            "accessor, abbrev(ip_address) AS ip_address, user_agent, event_data::text AS event_data, ",
            // What no clock of ours says was edited, and need not be readable.
            "CASE WHEN event_timestamp BETWEEN '0001-01-01 00:00Z' AND '9999-12-31 00:00Z' THEN event_timestamp END AS at FROM "
        )
    };
}

macro_rules! log_table {
    ($name:literal, $result:literal, $categories:expr) => {
        Table {
            name: $name,
            categories: $categories,
            // One statement is one transaction and one round trip. The head moves only for the owner that knows where it stood: a writer
            // that has lost its chain inserts nothing.
            append: concat!(
                "WITH head AS (UPDATE audit_chains SET seq = $1, hash = $2, leased_until = now() + interval '30 seconds' ",
                "WHERE chain_id = $3 AND fence = $4 AND seq = $5 RETURNING chain_id) ",
                "INSERT INTO ", $name, " (chain_id, seq, previous_hash, record_hash, encoding_version, event_id, event_type, event_category, ",
                "severity, organization_id, resource_type, resource_id, action, ", $result, ", error_message, result_sha256, request_id, ",
                "user_id, accessor, ip_address, user_agent, event_data, event_timestamp) ",
                "SELECT head.chain_id, r.seq, r.previous_hash, r.record_hash, $6, r.event_id, r.event_type, r.event_category, r.severity, ",
                "r.organization_id, r.resource_type, r.resource_id, r.action, r.result, r.error_message, r.result_sha256, r.request_id, ",
                "r.user_id, r.accessor, r.ip_address::inet, r.user_agent, r.event_data::jsonb, r.event_timestamp ",
                // Set-returning functions of a SELECT keep no rows; those of a FROM would keep each column's in a store of its own.
                "FROM head, (SELECT ",
                "unnest($7::bigint[]) AS seq, unnest($8::bytea[]) AS previous_hash, unnest($9::bytea[]) AS record_hash, ",
                "unnest($10::uuid[]) AS event_id, unnest($11::text[]) AS event_type, unnest($12::text[]) AS event_category, ",
                "unnest($13::text[]) AS severity, unnest($14::uuid[]) AS organization_id, unnest($15::text[]) AS resource_type, ",
                "unnest($16::text[]) AS resource_id, unnest($17::text[]) AS action, unnest($18::text[]) AS result, ",
                "unnest($19::text[]) AS error_message, unnest($20::bytea[]) AS result_sha256, unnest($21::uuid[]) AS request_id, ",
                "unnest($22::uuid[]) AS user_id, unnest($23::text[]) AS accessor, unnest($24::text[]) AS ip_address, ",
                "unnest($25::text[]) AS user_agent, unnest($26::text[]) AS event_data, ",
                "unnest($27::timestamptz[]) AS event_timestamp) AS r"
            ),
            select: concat!(columns!($result), $name, " ORDER BY chain_id, seq, event_timestamp"),
            select_part: concat!(
                columns!($result), $name, " WHERE chain_id = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq, event_timestamp"
            ),
            // A month ends with the last record that bears its time; clocks of requests are not in the order of numbers, so that one of the
            // next month may be among them. Each record is in one month's stretch, and the stretches follow each other without a gap.
            select_bounds: concat!(
                "WITH bounds AS (SELECT chain_id, min(seq) - 1 AS before, max(seq) FILTER (WHERE event_timestamp < $1) AS start, ",
                "max(seq) FILTER (WHERE event_timestamp < $2) AS last FROM ", $name, " GROUP BY chain_id), ",
                "stretch AS (SELECT chain_id, coalesce(start, before) AS start, coalesce(last, before) AS last FROM bounds) ",
                "SELECT chain_id, start, last, ",
                "coalesce((SELECT p.record_hash FROM ", $name, " p WHERE p.chain_id = s.chain_id AND p.seq = s.start LIMIT 1), ",
                "(SELECT r.previous_hash FROM ", $name, " r WHERE r.chain_id = s.chain_id AND r.seq = s.start + 1 LIMIT 1)) AS start_hash ",
                "FROM stretch s ORDER BY chain_id"
            ),
            select_month: concat!(
                "SELECT chain_id, seq, record_hash FROM ", $name,
                " WHERE event_timestamp >= $1 AND event_timestamp < $2 ORDER BY chain_id, seq"
            ),
            select_detached: concat!(
                columns!($result), $name, " WHERE event_type = 'audit.detach' ORDER BY chain_id, seq, event_timestamp"
            ),
        }
    };
}

/// Keys, certificates, secrets: `clm_secure_db`.
pub const SECURE: Table = log_table!(
    "secure_audit_log",
    "result",
    &["key_access", "cert_access", "key_rotation", "revocation", "csr", "export", "system"]
);
/// People, policies, tokens: `clm_core_db`.
pub const CORE: Table = log_table!(
    "audit_log",
    "action_result",
    &["authentication", "authorization", "certificate", "policy", "workflow", "user_management", "system"]
);

pub(crate) fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Failure => "failure",
        Outcome::Partial => "partial",
        Outcome::Success => "success",
    }
}

pub(crate) fn severity_text(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}
