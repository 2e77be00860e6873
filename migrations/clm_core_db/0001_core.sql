-- Who may do what: organizations, tokens, policies, mounts.
--
-- Rows of tokens, policies and mounts carry a MAC made with an HSM key, checked before they give authority: SQL alone admits nobody.

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO clm_core_app, clm_auditor, clm_backup;

CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

-- Tells every server that authority changed, also when somebody changes it behind the service's back.
CREATE FUNCTION notify_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('clm_core_changed', TG_TABLE_NAME);
    RETURN coalesce(NEW, OLD);
END
$$;

CREATE TABLE organizations (
    id         uuid        PRIMARY KEY,
    org_name   text        NOT NULL,
    org_code   text        NOT NULL UNIQUE,
    status     text        NOT NULL CHECK (status IN ('active', 'suspended', 'inactive')),
    settings   jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
COMMENT ON TABLE organizations IS 'Tenants; organization root owns the root namespace.';
CREATE TRIGGER organizations_updated_at BEFORE UPDATE ON organizations FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

CREATE TABLE tokens (
    id               uuid        PRIMARY KEY,
    organization_id  uuid        NOT NULL REFERENCES organizations (id),
    token_hmac       bytea       NOT NULL UNIQUE CHECK (octet_length(token_hmac) = 32),
    accessor         text        NOT NULL UNIQUE,
    parent_id        uuid        REFERENCES tokens (id) ON DELETE SET NULL,
    orphan           boolean     NOT NULL,
    policies         text[]      NOT NULL,
    display_name     text        NOT NULL,
    meta             jsonb,
    path             text        NOT NULL,
    renewable        boolean     NOT NULL,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz,
    creation_ttl     bigint      NOT NULL CHECK (creation_ttl >= 0),
    explicit_max_ttl bigint      NOT NULL CHECK (explicit_max_ttl >= 0),
    period           bigint      NOT NULL CHECK (period >= 0),
    num_uses         integer     NOT NULL CHECK (num_uses >= 0),
    uses_left        integer     CHECK (uses_left >= 0),
    last_renewed_at  timestamptz,
    revision         bigint      NOT NULL CHECK (revision > 0),
    row_mac          bytea       NOT NULL CHECK (octet_length(row_mac) = 32)
);
CREATE INDEX tokens_organization_id ON tokens (organization_id);
CREATE INDEX tokens_parent_id ON tokens (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX tokens_expires_at ON tokens (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE tokens IS 'Live tokens, by HMAC under an HSM key; uses_left is a counter outside the MAC.';
CREATE TRIGGER tokens_changed AFTER UPDATE OF policies, expires_at, row_mac, token_hmac OR DELETE ON tokens FOR EACH ROW EXECUTE FUNCTION notify_changed();

CREATE TABLE access_policies (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    name            text        NOT NULL,
    document        text        NOT NULL,
    revision        bigint      NOT NULL CHECK (revision > 0),
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, name)
);
COMMENT ON TABLE access_policies IS 'Access policies as they were written, byte for byte.';
CREATE TRIGGER access_policies_updated_at BEFORE UPDATE ON access_policies FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER access_policies_changed AFTER INSERT OR UPDATE OR DELETE ON access_policies FOR EACH ROW EXECUTE FUNCTION notify_changed();

CREATE TABLE mounts (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    path            text        NOT NULL CHECK (path ~ '^.+/$'),
    engine          text        NOT NULL,
    accessor        text        NOT NULL UNIQUE,
    description     text        NOT NULL,
    options         jsonb       NOT NULL DEFAULT '{}',
    revision        bigint      NOT NULL CHECK (revision > 0),
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, path)
);
COMMENT ON TABLE mounts IS 'Which path shows which engine.';
CREATE TRIGGER mounts_updated_at BEFORE UPDATE ON mounts FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER mounts_changed AFTER INSERT OR UPDATE OR DELETE ON mounts FOR EACH ROW EXECUTE FUNCTION notify_changed();

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['tokens', 'access_policies', 'mounts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant ON %I TO clm_core_app USING (organization_id = nullif(current_setting(''clm.organization_id'', true), '''')::uuid)', tenant_table);
        EXECUTE format('CREATE POLICY backup ON %I FOR SELECT TO clm_backup USING (true)', tenant_table);
        EXECUTE format('GRANT SELECT ON %I TO clm_backup', tenant_table);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO clm_core_app', tenant_table);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE ON organizations TO clm_core_app;
GRANT SELECT ON organizations TO clm_backup, clm_auditor;
