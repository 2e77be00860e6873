-- What tokens keep for themselves, and wrapped answers on their way. A token is a row of clm_core_db: no foreign key.

CREATE TABLE cubbyhole_keys (
    id                     uuid        PRIMARY KEY,
    organization_id        uuid        NOT NULL,
    key_version            integer     NOT NULL CHECK (key_version > 0),
    encrypted_key_material bytea       NOT NULL,
    encryption_key_id      uuid        NOT NULL REFERENCES encryption_keys (id),
    revision               bigint      NOT NULL CHECK (revision > 0),
    row_mac                bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at             timestamptz NOT NULL,
    UNIQUE (organization_id, key_version)
);
CREATE INDEX cubbyhole_keys_encryption_key_id ON cubbyhole_keys (encryption_key_id);
COMMENT ON TABLE cubbyhole_keys IS 'Keys of organizations for what their tokens keep: AES-256, wrapped by the organization key.';

-- No row_mac: the tag (AES-256-GCM) binds the ciphertext to organization, token, path and key, and a row gives no authority.
CREATE TABLE cubbyhole_entries (
    id               uuid        PRIMARY KEY,
    organization_id  uuid        NOT NULL,
    token_id         uuid        NOT NULL,
    path             text        NOT NULL CHECK (length(path) BETWEEN 1 AND 512),
    encrypted_data   bytea       NOT NULL CHECK (octet_length(encrypted_data) >= 28),
    cubbyhole_key_id uuid        NOT NULL REFERENCES cubbyhole_keys (id),
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz,
    UNIQUE (token_id, path)
);
CREATE INDEX cubbyhole_entries_organization_id ON cubbyhole_entries (organization_id, token_id);
CREATE INDEX cubbyhole_entries_cubbyhole_key_id ON cubbyhole_entries (cubbyhole_key_id);
CREATE INDEX cubbyhole_entries_expires_at ON cubbyhole_entries (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE cubbyhole_entries IS 'Entries of tokens'' own storage, and wrapped answers: IV, ciphertext and tag.';
COMMENT ON COLUMN cubbyhole_entries.expires_at IS 'When a wrapped answer ends; others end with their token.';

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['cubbyhole_keys', 'cubbyhole_entries'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant ON %I TO clm_secure_app USING (organization_id = nullif(current_setting(''clm.organization_id'', true), '''')::uuid)', tenant_table);
        EXECUTE format('CREATE POLICY backup ON %I FOR SELECT TO clm_backup USING (true)', tenant_table);
        EXECUTE format('GRANT SELECT ON %I TO clm_backup', tenant_table);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE ON cubbyhole_keys TO clm_secure_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON cubbyhole_entries TO clm_secure_app;
GRANT SELECT (id, revision, row_mac) ON cubbyhole_keys TO clm_auditor;
CREATE POLICY audit ON cubbyhole_keys FOR SELECT TO clm_auditor USING (true);
