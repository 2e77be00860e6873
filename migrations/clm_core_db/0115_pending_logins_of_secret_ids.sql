-- A login that waits for a second factor ends with the SecretID that it began with: whoever destroys that deletes the login with it.

ALTER TABLE pending_logins ADD COLUMN secret_id_id uuid;
CREATE INDEX pending_logins_secret_id_id ON pending_logins (secret_id_id) WHERE secret_id_id IS NOT NULL;
COMMENT ON COLUMN pending_logins.secret_id_id IS 'Row of app_role_secret_ids that the login used. No foreign key: that row goes with its last use, and this one stays.';
