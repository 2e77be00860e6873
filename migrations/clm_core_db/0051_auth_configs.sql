-- What a login method as a whole is told: whom it believes, and where it asks.

CREATE TABLE auth_configs (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    mount_id        uuid        NOT NULL UNIQUE,
    config          jsonb       NOT NULL CHECK (jsonb_typeof(config) = 'object'),
    revision        bigint      NOT NULL CHECK (revision > 0),
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX auth_configs_organization_id ON auth_configs (organization_id);
COMMENT ON TABLE auth_configs IS 'Settings of login methods, one row a mount; secrets among them are encrypted in the HSM.';

CREATE TRIGGER touch BEFORE UPDATE ON auth_configs FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
ALTER TABLE auth_configs ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth_configs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON auth_configs TO clm_core_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY everything ON auth_configs FOR SELECT TO clm_backup, clm_auditor, clm_migrate USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON auth_configs TO clm_core_app;
GRANT SELECT ON auth_configs TO clm_backup;
GRANT SELECT (id, organization_id, revision, row_mac) ON auth_configs TO clm_auditor;
