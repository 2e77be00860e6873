//! The two logs: the same columns under the seeds' two names for the outcome.

use std::borrow::Cow;

/// SQL of one log. All text is ours and constant.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Name of the table.
    pub name: &'static str,
    pub(crate) append: &'static str,
    pub(crate) select: &'static str,
}

macro_rules! log_table {
    ($name:literal, $result:literal) => {
        Table {
            name: $name,
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
                "FROM head, unnest($7::bigint[], $8::bytea[], $9::bytea[], $10::uuid[], $11::text[], $12::text[], $13::text[], $14::uuid[], ",
                "$15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::bytea[], $21::uuid[], $22::uuid[], $23::text[], ",
                "$24::text[], $25::text[], $26::text[], $27::timestamptz[]) ",
                "AS r(seq, previous_hash, record_hash, event_id, event_type, event_category, severity, organization_id, resource_type, ",
                "resource_id, action, result, error_message, result_sha256, request_id, user_id, accessor, ip_address, user_agent, event_data, ",
                "event_timestamp)"
            ),
            select: concat!(
                "SELECT chain_id, seq, previous_hash, record_hash, encoding_version, event_id, event_type, event_category, severity, ",
                "organization_id, resource_type, resource_id, action, ", $result, " AS result, error_message, result_sha256, request_id, user_id, ",
                "accessor, host(ip_address) AS ip_address, user_agent, event_data::text AS event_data, event_timestamp ",
                "FROM ", $name, " ORDER BY chain_id, seq, event_timestamp"
            ),
        }
    };
}

/// Keys, certificates, secrets: `clm_secure_db`.
pub const SECURE: Table = log_table!("secure_audit_log", "result");
/// People, policies, tokens: `clm_core_db`.
pub const CORE: Table = log_table!("audit_log", "action_result");

pub(crate) fn outcome_text(outcome: audit_chain::Outcome) -> &'static str {
    match outcome {
        audit_chain::Outcome::Failure => "failure",
        audit_chain::Outcome::Partial => "partial",
        audit_chain::Outcome::Success => "success",
    }
}

pub(crate) fn severity_text(severity: audit_chain::Severity) -> &'static str {
    match severity {
        audit_chain::Severity::Info => "info",
        audit_chain::Severity::Warning => "warning",
        audit_chain::Severity::Error => "error",
        audit_chain::Severity::Critical => "critical",
    }
}

/// Text columns cannot hold NUL; a client's header or path might.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
