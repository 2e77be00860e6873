-- Secrets: other people's passwords, encrypted under a key of their organization. A mount is a row of clm_core_db.

CREATE TABLE secrets (
    id                           uuid        PRIMARY KEY,
    organization_id              uuid        NOT NULL,
    mount_id                     uuid        NOT NULL,
    secret_path                  text        NOT NULL CHECK (char_length(secret_path) BETWEEN 1 AND 500),
    secret_type                  text        NOT NULL CHECK (secret_type IN ('static', 'dynamic_role')),
    version                      integer     NOT NULL CHECK (version >= 0),
    max_versions                 integer     NOT NULL DEFAULT 0 CHECK (max_versions >= 0),
    cas_required                 boolean     NOT NULL DEFAULT false,
    delete_version_after_seconds bigint      NOT NULL DEFAULT 0 CHECK (delete_version_after_seconds >= 0),
    metadata                     jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    description                  text,
    rotation_enabled             boolean     NOT NULL DEFAULT false,
    rotation_schedule            text,
    last_rotated_at              timestamptz,
    revision                     bigint      NOT NULL CHECK (revision > 0),
    row_mac                      bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_by_user_id           uuid,
    created_at                   timestamptz NOT NULL,
    updated_at                   timestamptz NOT NULL DEFAULT now(),
    deleted_at                   timestamptz,
    CHECK (secret_path !~ '[[:cntrl:]]' AND secret_path !~ '(^|/)\.{0,2}(/|$)'),
    CHECK (NOT rotation_enabled OR rotation_schedule IS NOT NULL)
);
CREATE UNIQUE INDEX secrets_secret_path ON secrets (organization_id, mount_id, secret_path) WHERE deleted_at IS NULL;
CREATE INDEX secrets_rotation ON secrets (last_rotated_at) WHERE rotation_enabled AND deleted_at IS NULL;
COMMENT ON TABLE secrets IS 'Secrets by path, and the settings of each; what they hold is in their versions.';
COMMENT ON COLUMN secrets.secret_path IS 'prod.db.postgres.billing-db.password, or parts between slashes; none empty, "." or "..".';
COMMENT ON COLUMN secrets.version IS 'The newest; 0: none yet.';
COMMENT ON COLUMN secrets.rotation_schedule IS 'A cron expression.';

CREATE TABLE secret_versions (
    id                   uuid        PRIMARY KEY,
    organization_id      uuid        NOT NULL,
    secret_id            uuid        NOT NULL REFERENCES secrets (id),
    version              integer     NOT NULL CHECK (version > 0),
    encrypted_data       bytea,
    encryption_key_id    uuid        NOT NULL REFERENCES encryption_keys (id),
    encryption_algorithm text        NOT NULL DEFAULT 'AES-256-GCM' CHECK (encryption_algorithm IN ('AES-256-GCM')),
    revision             bigint      NOT NULL CHECK (revision > 0),
    row_mac              bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_by_user_id   uuid,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL DEFAULT now(),
    deleted_at           timestamptz,
    destroyed_at         timestamptz,
    UNIQUE (secret_id, version),
    CHECK ((destroyed_at IS NULL) = (encrypted_data IS NOT NULL))
);
CREATE INDEX secret_versions_encryption_key_id ON secret_versions (encryption_key_id);
CREATE INDEX secret_versions_deleted_at ON secret_versions (deleted_at) WHERE deleted_at IS NOT NULL AND destroyed_at IS NULL;
COMMENT ON TABLE secret_versions IS 'Versions of secrets: nonce, ciphertext and tag. A deleted one can come back; a destroyed one has lost its ciphertext.';
COMMENT ON COLUMN secret_versions.deleted_at IS 'From when on it is not shown; may lie ahead.';
