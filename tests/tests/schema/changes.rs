//! Names of the schemas that these grew from, and what became of each that is not here under its own name.

/// What it was, what it is, why.
pub(crate) const CHANGES: &[(&str, &str, &str)] = &[
    ("every table: tenant", "`organization_id NOT NULL`", "row-level security by organization, in both databases"),
    (
        "unique codes and ids that a tenant chooses (`role_code`, `policy_code`, `workflow_code`, `instance_code`, `certificate_id`, `request_id`, `thumbprint_sha256`)",
        "unique in an organization",
        "a tenant must neither learn nor block another's names",
    ),
    (
        "rows that give authority or hold keys",
        "`revision`, `row_mac`",
        "SQL alone gives nobody access, and an older self is found",
    ),
    (
        "`encryption_keys.key_status` (active, rotating, retired, revoked)",
        "`key_state` (NIST SP 800-57), the four words in view `encryption_key_statuses`",
        "the standard's states say what a key may still do",
    ),
    (
        "`encryption_keys.encrypted_key_material` of master keys",
        "`key_wrappings`",
        "each token has a root key of its own, so an organization key has one blob per token",
    ),
    (
        "`private_keys.hsm_slot_id`",
        "`private_keys.hsm_token_id`",
        "slot numbers change with the reader; a token's row does not",
    ),
    (
        "`private_keys.is_hsm_backed` implies `hsm_key_id`",
        "`storage = 'token'` implies it",
        "a wrapped key is made and used in the HSM without being an object there",
    ),
    (
        "`private_keys.encryption_algorithm` AES-256-GCM",
        "AES-KWP by default; nonce and tag only with AES-256-GCM",
        "keys are wrapped inside the HSM by NIST SP 800-38F, which has neither",
    ),
    (
        "`secure_audit_log.event_id`, `audit_log.event_id` unique",
        "unique by writing: (chain_id, seq)",
        "a unique key would need the partition's column, and each index costs every record",
    ),
    ("indexes of the audit logs", "on closed partitions", "the hot partition has its primary key and a BRIN alone"),
    (
        "`audit_log.session_id`, `username`, `resource_name`, `changes_before`, `changes_after`, `change_summary`",
        "generated from `event_data`",
        "what is hashed is `event_data`; the columns cannot differ from it",
    ),
    ("`users.password_salt`", "in `password_hash`", "a PHC string holds its salt"),
    ("`api_keys.key_hash`, `secret_id_hash`", "HMAC under an HSM key", "who reads the table cannot try guesses"),
    (
        "`sessions.session_id` as what opens a session",
        "`session_hash` opens, `session_id` names",
        "the audit log shows `session_id`",
    ),
    (
        "rows of `sessions`",
        "none: what a person's login gives is a row of `tokens`, with `user_id`",
        "a token is looked up, renewed and ended as all others are; records name it by its accessor",
    ),
    ("six seeded rows of `roles`", "made by the service for each organization", "a migration cannot make a MAC"),
    (
        "SecretHub `secrets`",
        "`secrets` and `secret_versions` in clm_secure_db",
        "versions are kept; `destroy` clears one ciphertext",
    ),
    (
        "SecretHub `secrets.secret_path`: reverse domain, unique",
        "also parts between slashes; unique in a mount",
        "paths of the KV engine",
    ),
    (
        "SecretHub `policies`",
        "`access_policies` with `document_kind = 'secrets'`; `policy_document` is generated",
        "the name is taken by rules for certificates; both kinds of access policy share the names that tokens carry",
    ),
    ("SecretHub `roles`", "`app_roles`", "the name is taken by people's roles"),
    (
        "SecretHub `roles.secret_id_hash`, `secret_id_accessor`",
        "`app_role_secret_ids`",
        "a role may have many SecretIDs",
    ),
    (
        "SecretHub `certificates.certificate_pem`, `fingerprint`, `subject`, `issuer`, `valid_from`, `valid_until`",
        "`pem_encoded_cert`, `thumbprint_sha256`, `subject_dn`, `issuer_dn`, `not_before`, `not_after`",
        "one table of certificates",
    ),
    (
        "SecretHub `certificates.cert_type`",
        "`certificate_type` root, intermediate, client; agent, app, admin in `entity_type`",
        "one table of certificates",
    ),
    ("SecretHub `certificates.private_key_encrypted`", "`private_keys`", "keys are in one table"),
    ("SecretHub `certificates.revoked`", "`status`", "one word instead of two that could differ"),
    ("SecretHub `leases`", "`leases` in clm_core_db, with `token_id`", "a lease ends with its token"),
    (
        "SecretHub `audit_logs.sequence_number`, `timestamp`, `current_hash`",
        "`seq`, `event_timestamp`, `record_hash`, per chain",
        "each writer has a chain, so that replicas do not wait for each other",
    ),
    (
        "SecretHub `audit_logs.signature`",
        "`audit_checkpoints.signature`",
        "one signature over the heads of all chains instead of one a record",
    ),
    (
        "SecretHub `audit_logs.access_granted`, `denial_reason`, `policy_matched`",
        "`action_result` or `result`, `error_message`, `event_data`",
        "one log for both",
    ),
    (
        "SecretHub `audit_logs`: agent, app, secret, lease, host and Kubernetes columns",
        "`event_data`",
        "rarely there; hashed like all else",
    ),
];
