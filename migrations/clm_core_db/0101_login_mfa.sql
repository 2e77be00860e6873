-- A second factor for every login method: how factors and rules are kept, whose secret is whose, and logins that wait for a code.

ALTER TABLE system_entries DROP CONSTRAINT system_entries_kind_check;
ALTER TABLE system_entries ADD CONSTRAINT system_entries_kind_check
    CHECK (kind IN ('audit_device', 'audited_header', 'cors', 'login_enforcement', 'mfa_method', 'password_policy', 'quota_configuration', 'rate_limit', 'seal', 'ui_header'));

ALTER TABLE pending_logins DROP CONSTRAINT pending_logins_kind_check;
ALTER TABLE pending_logins ADD CONSTRAINT pending_logins_kind_check CHECK (kind IN ('mfa', 'oidc'));
COMMENT ON COLUMN pending_logins.handle_hmac IS 'HMAC under an HSM key of what is to be shown to go on: the `state` of an OpenID login, the `mfa_request_id` of one that waits for a code.';

CREATE TABLE mfa_secrets (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    entity_id       uuid        NOT NULL REFERENCES entities (id),
    method_id       uuid        NOT NULL REFERENCES system_entries (id),
    secret          bytea       NOT NULL,
    last_step       bigint      CHECK (last_step >= 0),
    failed_attempts integer     NOT NULL DEFAULT 0 CHECK (failed_attempts >= 0),
    last_failed_at  timestamptz,
    revision        bigint      NOT NULL CHECK (revision > 0),
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (entity_id, method_id)
);
CREATE INDEX mfa_secrets_organization_id ON mfa_secrets (organization_id);
CREATE INDEX mfa_secrets_method_id ON mfa_secrets (method_id);
COMMENT ON TABLE mfa_secrets IS 'Secrets of entities for codes by time (RFC 6238), one for each method.';
COMMENT ON COLUMN mfa_secrets.secret IS 'The secret and what its codes are like, encrypted in the HSM and bound to the row.';
COMMENT ON COLUMN mfa_secrets.last_step IS 'Time step of the last code that was taken: no earlier one is, and not this one again. Like failed_attempts outside row_mac.';

ALTER TABLE mfa_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE mfa_secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mfa_secrets TO clm_core_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY everything ON mfa_secrets FOR SELECT TO clm_backup, clm_auditor, clm_migrate USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON mfa_secrets TO clm_core_app;
GRANT SELECT ON mfa_secrets TO clm_backup;
GRANT SELECT (id, organization_id, revision, row_mac) ON mfa_secrets TO clm_auditor;
