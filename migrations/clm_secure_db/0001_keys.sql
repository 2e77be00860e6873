-- Keys: handles and wrapped blobs. Nothing here is usable without the HSM.
--
-- Every row of an organization carries its revision and a MAC made with an HSM key; the service refuses a row whose MAC does not fit.

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO clm_secure_app, clm_auditor, clm_backup;

CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

-- Tells every server that a row changed, also when somebody changes it behind the service's back.
CREATE FUNCTION notify_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed record;
BEGIN
    changed := coalesce(NEW, OLD);
    PERFORM pg_notify('clm_secure_changed', TG_TABLE_NAME);
    RETURN changed;
END
$$;

-- Tokens that hold a root key, and which objects on them are ours.
CREATE TABLE hsm_tokens (
    id             uuid        PRIMARY KEY,
    label          text        NOT NULL,
    serial_number  text        NOT NULL UNIQUE,
    manufacturer   text        NOT NULL,
    model          text        NOT NULL,
    root_key_id    uuid        NOT NULL,
    root_version   integer     NOT NULL CHECK (root_version > 0),
    mac_key_id     uuid        NOT NULL,
    audit_key_id   uuid        NOT NULL,
    audit_public_key bytea     NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE hsm_tokens IS 'Tokens of this deployment; the ids are CKA_IDs of objects on them.';
CREATE TRIGGER hsm_tokens_updated_at BEFORE UPDATE ON hsm_tokens FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

-- Organization keys (key_type master); later also symmetric working keys. The seeds' table.
CREATE TABLE encryption_keys (
    id                     uuid        PRIMARY KEY,
    organization_id        uuid        NOT NULL,
    key_id                 text        NOT NULL UNIQUE,
    key_type               text        NOT NULL CHECK (key_type IN ('master', 'data', 'session', 'hmac')),
    algorithm              text        NOT NULL,
    key_state              text        NOT NULL CHECK (key_state IN ('pre_activation', 'active', 'suspended', 'deactivated', 'compromised', 'destroyed')),
    key_version            integer     NOT NULL CHECK (key_version > 0),
    key_wrap_algorithm     text        NOT NULL,
    rotation_schedule_days integer,
    last_rotated_at        timestamptz,
    next_rotation_at       timestamptz,
    revision               bigint      NOT NULL CHECK (revision > 0),
    row_mac                bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_by_user_id     uuid,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL DEFAULT now(),
    deleted_at             timestamptz
);
COMMENT ON TABLE encryption_keys IS 'Organization keys: wrap the working keys of one organization.';
CREATE UNIQUE INDEX encryption_keys_one_master ON encryption_keys (organization_id, key_version) WHERE key_type = 'master';
CREATE INDEX encryption_keys_next_rotation_at ON encryption_keys (next_rotation_at) WHERE next_rotation_at IS NOT NULL;
CREATE TRIGGER encryption_keys_updated_at BEFORE UPDATE ON encryption_keys FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

-- One blob per token: each token has a root key of its own (a root never moves).
CREATE TABLE key_wrappings (
    key_id          uuid        NOT NULL REFERENCES encryption_keys (id),
    token_id        uuid        NOT NULL REFERENCES hsm_tokens (id),
    organization_id uuid        NOT NULL,
    root_version    integer     NOT NULL CHECK (root_version > 0),
    blob            bytea       NOT NULL,
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key_id, token_id)
);
CREATE INDEX key_wrappings_token_id ON key_wrappings (token_id);
COMMENT ON TABLE key_wrappings IS 'Organization keys wrapped under the root key of each token.';

-- Named keys: what a service asks for by mount and name. A name may be used again after deletion.
CREATE TABLE named_keys (
    id                     uuid        PRIMARY KEY,
    organization_id        uuid        NOT NULL,
    mount_id               uuid        NOT NULL,
    name                   text        NOT NULL CHECK (length(name) BETWEEN 1 AND 256),
    key_type               text        NOT NULL,
    latest_version         integer     NOT NULL CHECK (latest_version > 0),
    min_decryption_version integer     NOT NULL CHECK (min_decryption_version > 0),
    min_encryption_version integer     NOT NULL CHECK (min_encryption_version >= 0),
    min_available_version  integer     NOT NULL CHECK (min_available_version >= 0),
    deletion_allowed       boolean     NOT NULL,
    exportable             boolean     NOT NULL,
    allow_plaintext_backup boolean     NOT NULL,
    auto_rotate_seconds    bigint      NOT NULL CHECK (auto_rotate_seconds >= 0),
    revision               bigint      NOT NULL CHECK (revision > 0),
    row_mac                bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL DEFAULT now(),
    deleted_at             timestamptz,
    CHECK (min_decryption_version <= latest_version),
    CHECK (min_encryption_version <= latest_version)
);
CREATE UNIQUE INDEX named_keys_name ON named_keys (organization_id, mount_id, name) WHERE deleted_at IS NULL;
COMMENT ON TABLE named_keys IS 'Named keys and their settings; the material is in their versions.';
CREATE TRIGGER named_keys_updated_at BEFORE UPDATE ON named_keys FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER named_keys_changed AFTER INSERT OR UPDATE OR DELETE ON named_keys FOR EACH ROW EXECUTE FUNCTION notify_changed();

-- Versions of asymmetric keys. The seeds' table; certificate_id is for keys that belong to one certificate.
CREATE TABLE private_keys (
    id                     uuid        PRIMARY KEY,
    organization_id        uuid        NOT NULL,
    named_key_id           uuid        NOT NULL REFERENCES named_keys (id),
    version                integer     NOT NULL CHECK (version > 0),
    certificate_id         uuid        UNIQUE,
    key_algorithm          text        NOT NULL CHECK (key_algorithm IN ('RSA', 'ECDSA', 'Ed25519', 'Ed448')),
    key_size               integer,
    curve_name             text,
    key_format             text        NOT NULL DEFAULT 'PKCS8',
    storage                text        NOT NULL CHECK (storage IN ('wrapped', 'token')),
    encrypted_key_material bytea,
    encryption_key_id      uuid        REFERENCES encryption_keys (id),
    encryption_algorithm   text        NOT NULL DEFAULT 'AES-KWP',
    is_exportable          boolean     NOT NULL,
    is_hsm_backed          boolean     NOT NULL DEFAULT true,
    hsm_key_id             uuid,
    hsm_token_id           uuid        REFERENCES hsm_tokens (id),
    public_key             bytea       NOT NULL,
    key_state              text        NOT NULL CHECK (key_state IN ('pre_activation', 'active', 'suspended', 'deactivated', 'compromised', 'destroyed')),
    revision               bigint      NOT NULL CHECK (revision > 0),
    row_mac                bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_by_user_id     uuid,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL DEFAULT now(),
    deleted_at             timestamptz,
    UNIQUE (named_key_id, version),
    CHECK (storage <> 'token' OR hsm_key_id IS NOT NULL),
    CHECK (storage <> 'wrapped' OR key_state = 'destroyed' OR (encrypted_key_material IS NOT NULL AND encryption_key_id IS NOT NULL))
);
CREATE INDEX private_keys_encryption_key_id ON private_keys (encryption_key_id);
CREATE INDEX private_keys_hsm_token_id ON private_keys (hsm_token_id) WHERE hsm_token_id IS NOT NULL;
COMMENT ON TABLE private_keys IS 'Versions of asymmetric keys: a blob wrapped in the HSM, or the handle of an object in it.';
CREATE TRIGGER private_keys_updated_at BEFORE UPDATE ON private_keys FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER private_keys_changed AFTER INSERT OR UPDATE OR DELETE ON private_keys FOR EACH ROW EXECUTE FUNCTION notify_changed();

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['encryption_keys', 'key_wrappings', 'named_keys', 'private_keys'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant ON %I TO clm_secure_app USING (organization_id = nullif(current_setting(''clm.organization_id'', true), '''')::uuid)', tenant_table);
        EXECUTE format('CREATE POLICY backup ON %I FOR SELECT TO clm_backup USING (true)', tenant_table);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO clm_secure_app', tenant_table);
        EXECUTE format('GRANT SELECT ON %I TO clm_backup', tenant_table);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE ON hsm_tokens TO clm_secure_app;
GRANT SELECT ON hsm_tokens TO clm_backup, clm_auditor;
-- The auditor compares revisions and MACs with the log; blobs are not for reading.
GRANT SELECT (id, revision, row_mac) ON encryption_keys, named_keys, private_keys TO clm_auditor;
CREATE POLICY audit ON encryption_keys FOR SELECT TO clm_auditor USING (true);
CREATE POLICY audit ON named_keys FOR SELECT TO clm_auditor USING (true);
CREATE POLICY audit ON private_keys FOR SELECT TO clm_auditor USING (true);
