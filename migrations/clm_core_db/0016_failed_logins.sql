-- When wrong passwords are forgotten again.

ALTER TABLE users ADD COLUMN last_failed_login_at timestamptz;
COMMENT ON COLUMN users.last_failed_login_at IS 'Like failed_login_attempts outside row_mac: a wrong password needs no HSM.';
