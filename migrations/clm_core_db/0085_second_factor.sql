-- A person's second factor: time-based codes (RFC 6238). No program has written one yet.

ALTER TABLE users
    ADD COLUMN mfa_last_step bigint CHECK (mfa_last_step >= 0),
    ADD CHECK (NOT mfa_enabled OR mfa_secret IS NOT NULL);
COMMENT ON COLUMN users.mfa_enabled IS 'The secret was confirmed by a code: logins need one.';
COMMENT ON COLUMN users.mfa_secret IS 'Base64 of the secret, encrypted in the HSM and bound to the row; not confirmed yet while mfa_enabled is false.';
COMMENT ON COLUMN users.mfa_backup_codes IS 'HMAC under an HSM key, hexadecimal, of those that were not used.';
COMMENT ON COLUMN users.mfa_last_step IS 'Time step of the last code that was taken: no earlier one is, and not this one again. Like failed_login_attempts outside row_mac.';
