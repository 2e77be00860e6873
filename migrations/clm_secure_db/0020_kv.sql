-- The KV engine: settings of its mounts, data keys of organizations, and what a secret and its versions must remember.

-- A mount is a row of clm_core_db; its id is this row's.
CREATE TABLE secret_mounts (
    id                           uuid        PRIMARY KEY,
    organization_id              uuid        NOT NULL,
    max_versions                 integer     NOT NULL CHECK (max_versions >= 0),
    cas_required                 boolean     NOT NULL,
    delete_version_after_seconds bigint      NOT NULL CHECK (delete_version_after_seconds >= -1),
    revision                     bigint      NOT NULL CHECK (revision > 0),
    row_mac                      bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at                   timestamptz NOT NULL,
    updated_at                   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX secret_mounts_organization_id ON secret_mounts (organization_id);
COMMENT ON TABLE secret_mounts IS 'Settings of KV mounts; a mount that nobody configured has no row.';
COMMENT ON COLUMN secret_mounts.delete_version_after_seconds IS '0: never, unless the secret says so; -1: never, whatever the secret says.';
CREATE TRIGGER touch BEFORE UPDATE ON secret_mounts FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
ALTER TABLE secret_mounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE secret_mounts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON secret_mounts TO clm_secure_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY backup ON secret_mounts FOR SELECT TO clm_backup USING (true);
CREATE POLICY audit ON secret_mounts FOR SELECT TO clm_auditor USING (true);
GRANT SELECT, INSERT, UPDATE ON secret_mounts TO clm_secure_app;
GRANT SELECT ON secret_mounts TO clm_backup;
GRANT SELECT (id, revision, row_mac) ON secret_mounts TO clm_auditor;

-- A data key of an organization is a key of type data that has no name; the organization key wraps it.
ALTER TABLE encryption_keys
    DROP CONSTRAINT encryption_keys_check,
    ADD CONSTRAINT encryption_keys_unnamed CHECK (named_key_id IS NOT NULL OR key_type = 'master' OR (key_type = 'data' AND storage = 'wrapped')),
    ADD CONSTRAINT encryption_keys_named CHECK (named_key_id IS NULL OR key_type <> 'master');
CREATE UNIQUE INDEX encryption_keys_data_key ON encryption_keys (organization_id, key_version) WHERE key_type = 'data' AND named_key_id IS NULL;
COMMENT ON TABLE encryption_keys IS 'Organization keys (key_type master), which wrap the working keys of one organization, its data keys (data without a name), under which its secrets are encrypted, and versions of symmetric named keys: a blob wrapped in the HSM, or the handle of an object in it.';

ALTER TABLE secrets
    ADD COLUMN oldest_version integer     NOT NULL DEFAULT 0 CHECK (oldest_version >= 0),
    ADD COLUMN written_at     timestamptz NOT NULL,
    DROP CONSTRAINT secrets_delete_version_after_seconds_check,
    ADD CHECK (delete_version_after_seconds >= -1);
COMMENT ON COLUMN secrets.oldest_version IS 'Versions below were dropped for newer ones; 0: none yet.';
COMMENT ON COLUMN secrets.written_at IS 'When a version or a setting was last written.';
-- Names are listed by jumping from one to the next in the order of their bytes.
CREATE INDEX secrets_names ON secrets (organization_id, mount_id, secret_path COLLATE "C") WHERE deleted_at IS NULL;

ALTER TABLE secret_versions
    ADD COLUMN value_hmac bytea CHECK (octet_length(value_hmac) = 32),
    ADD CHECK ((value_hmac IS NULL) = (encrypted_data IS NULL)),
    ALTER COLUMN encrypted_data SET STORAGE EXTERNAL;
COMMENT ON COLUMN secret_versions.value_hmac IS 'HMAC of the value under a key in the HSM, by which records name it.';
