-- Who used which version of a key last, so that it is known what stops when one is disabled. Written now and then, never per use: the log has each.

-- No row_mac: nothing is allowed or refused because of these rows.
CREATE TABLE key_callers (
    named_key_id    uuid        NOT NULL REFERENCES named_keys (id),
    version         integer     NOT NULL CHECK (version > 0),
    accessor        text        NOT NULL,
    organization_id uuid        NOT NULL,
    display_name    text        NOT NULL,
    protected       bigint      NOT NULL CHECK (protected >= 0),
    processed       bigint      NOT NULL CHECK (processed >= 0),
    protected_at    timestamptz,
    processed_at    timestamptz,
    last_used_at    timestamptz NOT NULL,
    PRIMARY KEY (named_key_id, version, accessor)
);
CREATE INDEX key_callers_organization_id ON key_callers (organization_id);
COMMENT ON TABLE key_callers IS 'Tokens that used versions of keys, the last of each version; older ones are counted under the empty accessor.';
COMMENT ON COLUMN key_callers.accessor IS 'Of a token of clm_core_db; empty: all that are not named.';
COMMENT ON COLUMN key_callers.protected IS 'Inputs encrypted, signed, or of which a MAC was made.';
COMMENT ON COLUMN key_callers.processed IS 'Inputs decrypted or verified.';

ALTER TABLE key_callers ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_callers FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON key_callers TO clm_secure_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY backup ON key_callers FOR SELECT TO clm_backup USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON key_callers TO clm_secure_app;
GRANT SELECT ON key_callers TO clm_backup;
