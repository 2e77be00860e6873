-- Other names of keys.

CREATE TABLE key_aliases (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL,
    mount_id        uuid        NOT NULL,
    alias           text        NOT NULL CHECK (length(alias) BETWEEN 1 AND 256),
    named_key_id    uuid        NOT NULL REFERENCES named_keys (id),
    revision        bigint      NOT NULL CHECK (revision > 0),
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    deleted_at      timestamptz
);
CREATE UNIQUE INDEX key_aliases_alias ON key_aliases (organization_id, mount_id, alias) WHERE deleted_at IS NULL;
CREATE INDEX key_aliases_named_key_id ON key_aliases (named_key_id);
CREATE TRIGGER key_aliases_updated_at BEFORE UPDATE ON key_aliases FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER key_aliases_changed AFTER INSERT OR UPDATE OR DELETE ON key_aliases FOR EACH ROW EXECUTE FUNCTION notify_changed();
COMMENT ON TABLE key_aliases IS 'Names that stand for keys of the same mount. Whoever uses one must be allowed on the key''s own path, too.';
COMMENT ON COLUMN key_aliases.mount_id IS 'Of clm_core_db: no foreign key.';

ALTER TABLE key_aliases ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_aliases FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON key_aliases TO clm_secure_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY backup ON key_aliases FOR SELECT TO clm_backup USING (true);
CREATE POLICY audit ON key_aliases FOR SELECT TO clm_auditor USING (true);
GRANT SELECT, INSERT, UPDATE ON key_aliases TO clm_secure_app;
GRANT SELECT ON key_aliases TO clm_backup;
GRANT SELECT (id, revision, row_mac) ON key_aliases TO clm_auditor;
