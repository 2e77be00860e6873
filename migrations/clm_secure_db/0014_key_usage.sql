-- How often a version of an AES-GCM key may still encrypt: servers take encryptions in blocks, so that no call writes a row of its own.

CREATE TABLE key_usage (
    id                uuid        PRIMARY KEY,
    organization_id   uuid        NOT NULL,
    encryption_key_id uuid        NOT NULL UNIQUE REFERENCES encryption_keys (id),
    reserved          bigint      NOT NULL CHECK (reserved BETWEEN 1 AND 4294967296),
    revision          bigint      NOT NULL CHECK (revision > 0),
    row_mac           bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    updated_at        timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER key_usage_updated_at BEFORE UPDATE ON key_usage FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE INDEX key_usage_organization_id ON key_usage (organization_id);
COMMENT ON TABLE key_usage IS 'Encryptions by AES-GCM, of key versions that have encrypted.';
COMMENT ON COLUMN key_usage.encryption_key_id IS 'The version.';
COMMENT ON COLUMN key_usage.reserved IS 'So many were made, or may yet be by a server that has taken them; 2^32 are the most (NIST SP 800-38D, 8.3).';

ALTER TABLE key_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON key_usage TO clm_secure_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY backup ON key_usage FOR SELECT TO clm_backup USING (true);
CREATE POLICY audit ON key_usage FOR SELECT TO clm_auditor USING (true);
GRANT SELECT, INSERT, UPDATE ON key_usage TO clm_secure_app;
GRANT SELECT ON key_usage TO clm_backup;
GRANT SELECT (id, revision, row_mac) ON key_usage TO clm_auditor;
