-- Keys that callers bring: whole ones, and public halves alone.

ALTER TABLE named_keys
    ADD COLUMN imported_key                boolean NOT NULL DEFAULT false,
    ADD COLUMN imported_key_allow_rotation boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN named_keys.imported_key IS 'Its versions come from outside, until it is rotated.';

ALTER TABLE private_keys
    DROP CONSTRAINT private_keys_storage_check,
    ADD CONSTRAINT private_keys_storage_check CHECK (storage IN ('public', 'token', 'wrapped')),
    ADD CHECK (storage <> 'public' OR (encrypted_key_material IS NULL AND hsm_key_id IS NULL));
COMMENT ON COLUMN private_keys.storage IS 'wrapped: a blob. token: an object in the HSM. public: the public half alone, until its private one is imported.';
