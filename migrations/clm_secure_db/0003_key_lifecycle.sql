-- What the life of a key adds: material in the row itself, its use, its rotation, and its state in four words.

ALTER TABLE encryption_keys
    ADD COLUMN encrypted_key_material bytea,
    ADD CHECK (rotation_schedule_days > 0),
    ADD CHECK (key_wrap_algorithm IN ('AES-KWP'));
CREATE INDEX encryption_keys_key_state ON encryption_keys (key_state) WHERE deleted_at IS NULL;
CREATE INDEX encryption_keys_key_type ON encryption_keys (key_type) WHERE deleted_at IS NULL;
COMMENT ON COLUMN encryption_keys.encrypted_key_material IS 'A working key wrapped by its organization key. Organization keys have a blob per token instead, in key_wrappings.';

-- AES-KWP, which the service uses, has neither nonce nor tag: the two columns are for tokens that wrap by AES-GCM.
ALTER TABLE private_keys
    ADD COLUMN encryption_iv       bytea,
    ADD COLUMN encryption_auth_tag bytea,
    ADD COLUMN access_policy       jsonb       CHECK (jsonb_typeof(access_policy) = 'object'),
    ADD COLUMN last_accessed_at    timestamptz,
    ADD COLUMN access_count        bigint      NOT NULL DEFAULT 0 CHECK (access_count >= 0),
    ADD CHECK (encryption_algorithm IN ('AES-KWP', 'AES-256-GCM')),
    ADD CHECK (encryption_algorithm <> 'AES-KWP' OR (encryption_iv IS NULL AND encryption_auth_tag IS NULL)),
    ADD CHECK (encryption_algorithm <> 'AES-256-GCM' OR encrypted_key_material IS NULL OR (octet_length(encryption_iv) = 12 AND octet_length(encryption_auth_tag) = 16)),
    ADD CHECK (key_format IN ('PKCS8'));
COMMENT ON COLUMN private_keys.access_policy IS 'Narrows what access policies allow: {"allowed_operations":["sign"],"allowed_user_ids":[…]}. The service neither writes nor asks it yet; when it does, row_mac covers it.';
COMMENT ON COLUMN private_keys.access_count IS 'Like last_accessed_at outside row_mac and written now and then, never per use: the log has each use.';

-- A use concerns no cache.
DROP TRIGGER private_keys_changed ON private_keys;
CREATE TRIGGER private_keys_changed AFTER INSERT OR DELETE ON private_keys FOR EACH ROW EXECUTE FUNCTION notify_changed();
CREATE TRIGGER private_keys_updated AFTER UPDATE ON private_keys FOR EACH ROW
    WHEN ((to_jsonb(OLD) - 'last_accessed_at' - 'access_count' - 'updated_at') IS DISTINCT FROM (to_jsonb(NEW) - 'last_accessed_at' - 'access_count' - 'updated_at'))
    EXECUTE FUNCTION notify_changed();

CREATE TABLE key_rotation_history (
    id                    uuid        PRIMARY KEY,
    organization_id       uuid        NOT NULL,
    old_key_id            uuid        NOT NULL REFERENCES encryption_keys (id),
    new_key_id            uuid        REFERENCES encryption_keys (id),
    rotation_type         text        NOT NULL CHECK (rotation_type IN ('scheduled', 'emergency', 'compromise', 'manual')),
    rotation_reason       text,
    items_re_encrypted    bigint      NOT NULL DEFAULT 0 CHECK (items_re_encrypted >= 0),
    rotation_started_at   timestamptz NOT NULL,
    rotation_completed_at timestamptz,
    rotation_status       text        NOT NULL CHECK (rotation_status IN ('in_progress', 'completed', 'failed', 'rolled_back')),
    error_message         text,
    initiated_by_user_id  uuid,
    created_at            timestamptz NOT NULL DEFAULT now(),
    CHECK (old_key_id <> new_key_id),
    CHECK (rotation_status <> 'completed' OR new_key_id IS NOT NULL),
    CHECK ((rotation_status = 'in_progress') = (rotation_completed_at IS NULL)),
    CHECK (rotation_started_at <= rotation_completed_at)
);
CREATE UNIQUE INDEX key_rotation_history_one_at_a_time ON key_rotation_history (old_key_id) WHERE rotation_status = 'in_progress';
CREATE INDEX key_rotation_history_old_key_id ON key_rotation_history (old_key_id);
CREATE INDEX key_rotation_history_new_key_id ON key_rotation_history (new_key_id) WHERE new_key_id IS NOT NULL;
CREATE INDEX key_rotation_history_organization_id ON key_rotation_history (organization_id, rotation_started_at DESC);
COMMENT ON TABLE key_rotation_history IS 'Rotations of organization keys and how far each has come; one at a time for a key.';

-- Active protects; rotating is on its way in or out; retired only undoes what it protected; revoked is used no more.
CREATE VIEW encryption_key_statuses WITH (security_invoker = true) AS
SELECT k.id, k.organization_id, k.key_id, k.key_type, k.algorithm, k.key_version, k.key_state,
    CASE
        WHEN k.key_state IN ('compromised', 'destroyed') THEN 'revoked'
        WHEN k.key_state IN ('suspended', 'deactivated') THEN 'retired'
        WHEN k.key_state = 'pre_activation' THEN 'rotating'
        WHEN EXISTS (SELECT FROM key_rotation_history h WHERE h.old_key_id = k.id AND h.rotation_status = 'in_progress') THEN 'rotating'
        ELSE 'active'
    END AS key_status,
    k.rotation_schedule_days, k.last_rotated_at, k.next_rotation_at, k.created_at, k.updated_at
FROM encryption_keys k
WHERE k.deleted_at IS NULL;
COMMENT ON VIEW encryption_key_statuses IS 'Keys without material; their state of SP 800-57 also as active, rotating, retired or revoked.';
