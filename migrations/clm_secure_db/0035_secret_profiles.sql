-- What secrets are beside their versions: tags to find them by, an end, and who makes the next value when it is time.

ALTER TABLE secrets
    ADD COLUMN tags             text[]      NOT NULL DEFAULT '{}' CHECK (array_position(tags, NULL) IS NULL),
    ADD COLUMN expires_at       timestamptz,
    ADD COLUMN generator        jsonb       CHECK (jsonb_typeof(generator) = 'object'),
    ADD COLUMN public_key       text,
    ADD COLUMN next_rotation_at timestamptz,
    ADD CHECK (rotation_enabled = (next_rotation_at IS NOT NULL));
COMMENT ON COLUMN secrets.metadata IS 'By people, for people: custom metadata of the KV engine.';
COMMENT ON COLUMN secrets.rotation_schedule IS 'A cron expression, in UTC.';
COMMENT ON COLUMN secrets.last_rotated_at IS 'When a version was last written while it was to be rotated.';
COMMENT ON COLUMN secrets.expires_at IS 'From when on all its versions are shown as deleted.';
COMMENT ON COLUMN secrets.generator IS 'What the service makes of it by itself when it is due: {"type":"password",…} or {"type":"key_pair",…}; none: people are told.';
COMMENT ON COLUMN secrets.public_key IS 'Of the key pair that was made last, PEM.';
COMMENT ON COLUMN secrets.next_rotation_at IS 'The first time of its schedule that nothing was done about yet.';
CREATE INDEX secrets_next_rotation_at ON secrets (organization_id, next_rotation_at) WHERE rotation_enabled AND deleted_at IS NULL;
CREATE INDEX secrets_tags ON secrets USING gin (tags) WHERE deleted_at IS NULL;
