-- Roles that tokens are made through.

ALTER TABLE tokens
    ADD COLUMN role    text,
    ADD COLUMN max_ttl bigint NOT NULL DEFAULT 0 CHECK (max_ttl >= 0);
COMMENT ON COLUMN tokens.role IS 'Name of the token role it was made through.';
COMMENT ON COLUMN tokens.max_ttl IS 'Renewals never bring it past this age, seconds; 0: the mount''s. Set by login methods.';

CREATE TABLE auth_roles (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    mount_id        uuid        NOT NULL,
    name            text        NOT NULL,
    config          jsonb       NOT NULL,
    revision        bigint      NOT NULL CHECK (revision > 0),
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, mount_id, name)
);
COMMENT ON TABLE auth_roles IS 'Roles of auth/token and of login methods: what tokens made through them are like.';
COMMENT ON COLUMN auth_roles.mount_id IS 'The login method; auth/token is in no row of mounts.';

CREATE TRIGGER touch BEFORE UPDATE ON auth_roles FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
ALTER TABLE auth_roles ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth_roles FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON auth_roles TO clm_core_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY everything ON auth_roles FOR SELECT TO clm_backup, clm_auditor, clm_migrate USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON auth_roles TO clm_core_app;
GRANT SELECT ON auth_roles TO clm_backup;
GRANT SELECT (id, organization_id, revision, row_mac) ON auth_roles TO clm_auditor;

-- What clients are told of a move that they ask about later; nothing rests on it.
CREATE TABLE mount_moves (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    from_path       text        NOT NULL,
    to_path         text        NOT NULL,
    moved_at        timestamptz NOT NULL
);
CREATE INDEX mount_moves_organization_id ON mount_moves (organization_id);
COMMENT ON TABLE mount_moves IS 'Finished moves of mounts; of logins with auth/ in front.';
ALTER TABLE mount_moves ENABLE ROW LEVEL SECURITY;
ALTER TABLE mount_moves FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mount_moves TO clm_core_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY everything ON mount_moves FOR SELECT TO clm_backup, clm_migrate USING (true);
GRANT SELECT, INSERT ON mount_moves TO clm_core_app;
GRANT SELECT ON mount_moves TO clm_backup;
