-- Where API keys are logged in with. No program has written one yet.

ALTER TABLE api_keys ADD COLUMN mount_id uuid NOT NULL;
CREATE INDEX api_keys_mount_id ON api_keys (mount_id);
COMMENT ON COLUMN api_keys.mount_id IS 'The login method.';
COMMENT ON COLUMN api_keys.scopes IS 'Policies of the tokens that it gives.';
