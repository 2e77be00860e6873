-- How long, how often and for how much each version of a key protects (NIST SP 800-57 part 1, 5.3). 0: no limit of the key's own.

ALTER TABLE named_keys
    ADD COLUMN originator_usage_seconds bigint NOT NULL DEFAULT 0 CHECK (originator_usage_seconds >= 0),
    ADD COLUMN recipient_usage_seconds  bigint NOT NULL DEFAULT 0 CHECK (recipient_usage_seconds >= 0),
    ADD COLUMN max_uses                 bigint NOT NULL DEFAULT 0 CHECK (max_uses >= 0),
    ADD COLUMN max_bytes                bigint NOT NULL DEFAULT 0 CHECK (max_bytes >= 0),
    ADD COLUMN activated_at             timestamptz,
    ADD CHECK (recipient_usage_seconds = 0 OR (originator_usage_seconds > 0 AND recipient_usage_seconds >= originator_usage_seconds));
COMMENT ON COLUMN named_keys.originator_usage_seconds IS 'So long a version encrypts and signs, from when it was made or the key was activated (5.3.5).';
COMMENT ON COLUMN named_keys.recipient_usage_seconds IS 'So long a version decrypts and verifies, from the same moment.';
COMMENT ON COLUMN named_keys.max_uses IS 'So many inputs a version encrypts, signs or makes MACs of.';
COMMENT ON COLUMN named_keys.max_bytes IS 'So many bytes of input.';
COMMENT ON COLUMN named_keys.activated_at IS 'When a key that was made in the state pre_activation became active.';

-- Versions of pairs count as well, and bytes beside uses.
ALTER TABLE key_usage
    ALTER COLUMN encryption_key_id DROP NOT NULL,
    ADD COLUMN private_key_id uuid UNIQUE REFERENCES private_keys (id),
    ADD COLUMN reserved_bytes bigint NOT NULL DEFAULT 0 CHECK (reserved_bytes >= 0),
    DROP CONSTRAINT key_usage_reserved_check,
    ADD CONSTRAINT key_usage_reserved_check CHECK (reserved >= 0),
    ADD CHECK ((encryption_key_id IS NULL) <> (private_key_id IS NULL));
COMMENT ON TABLE key_usage IS 'Encryptions by AES-GCM, and uses and bytes of keys that have limits; of versions that were used.';
COMMENT ON COLUMN key_usage.private_key_id IS 'The version, of a pair.';
COMMENT ON COLUMN key_usage.reserved IS 'So many uses were made, or may yet be by a server that has taken them; by AES-GCM 2^32 are the most (NIST SP 800-38D, 8.3).';
COMMENT ON COLUMN key_usage.reserved_bytes IS 'The same of bytes, for keys with max_bytes.';

-- From when a version's periods count; of versions made before this, created_at.
ALTER TABLE encryption_keys ADD COLUMN activated_at timestamptz;
ALTER TABLE private_keys ADD COLUMN activated_at timestamptz;
COMMENT ON COLUMN encryption_keys.activated_at IS 'When it began to be used: what its usage periods are counted from. Of a version, within row_mac.';
COMMENT ON COLUMN private_keys.activated_at IS 'When it began to be used: what its usage periods are counted from.';
