-- What a failed login of nobody writes: as much as one of somebody, whose failures are counted in users, so that the time tells nothing.

CREATE TABLE failed_logins (
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    bucket          smallint    NOT NULL CHECK (bucket BETWEEN 0 AND 255),
    failures        bigint      NOT NULL CHECK (failures > 0),
    last_failed_at  timestamptz NOT NULL,
    PRIMARY KEY (organization_id, bucket)
);
COMMENT ON TABLE failed_logins IS 'Failed logins with a name that nobody has, or that may not log in now, by a byte of the SHA-256 of the name: few rows, whoever guesses.';

ALTER TABLE failed_logins ENABLE ROW LEVEL SECURITY;
ALTER TABLE failed_logins FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON failed_logins TO clm_core_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY everything ON failed_logins FOR SELECT TO clm_backup, clm_migrate USING (true);
GRANT SELECT, INSERT, UPDATE ON failed_logins TO clm_core_app;
GRANT SELECT ON failed_logins TO clm_backup;
