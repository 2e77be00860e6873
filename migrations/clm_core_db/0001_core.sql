-- Who may do what: organizations, users, tokens, policies, mounts.
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

-- Tells every server what changed, also when somebody changes it behind the service's back: "table organization id".
CREATE FUNCTION notify_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := to_jsonb(coalesce(NEW, OLD));
BEGIN
    PERFORM pg_notify('clm_core_changed', concat_ws(' ', TG_TABLE_NAME, coalesce(changed ->> 'organization_id', changed ->> 'id'), changed ->> 'id'));
    RETURN NULL;
END
$$;

CREATE TABLE organizations (
    id                      uuid        PRIMARY KEY,
    org_name                text        NOT NULL,
    org_code                text        NOT NULL UNIQUE,
    description             text,
    website                 text,
    industry                text,
    primary_contact_user_id uuid,
    billing_email           text,
    support_email           text,
    settings                jsonb       NOT NULL DEFAULT '{}',
    status                  text        NOT NULL CHECK (status IN ('active', 'suspended', 'inactive')),
    license_type            text,
    license_expires_at      timestamptz,
    max_users               integer     CHECK (max_users >= 0),
    max_certificates        integer     CHECK (max_certificates >= 0),
    created_by_user_id      uuid,
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    deleted_at              timestamptz
);
COMMENT ON TABLE organizations IS 'Tenants; organization root owns the root namespace. The tokens of one that is not active are refused.';
COMMENT ON COLUMN organizations.id IS 'What organization_id is elsewhere.';

CREATE TABLE users (
    id                    uuid        PRIMARY KEY,
    organization_id       uuid        NOT NULL REFERENCES organizations (id),
    username              text        NOT NULL UNIQUE,
    email                 text        NOT NULL UNIQUE CHECK (email ~ '^[^@\s]+@[^@\s]+$'),
    password_hash         text,
    password_changed_at   timestamptz,
    must_change_password  boolean     NOT NULL DEFAULT false,
    first_name            text,
    last_name             text,
    display_name          text,
    phone_number          text,
    status                text        NOT NULL CHECK (status IN ('active', 'inactive', 'locked', 'suspended')),
    email_verified        boolean     NOT NULL DEFAULT false,
    email_verified_at     timestamptz,
    mfa_enabled           boolean     NOT NULL DEFAULT false,
    mfa_secret            text,
    mfa_backup_codes      text[],
    failed_login_attempts integer     NOT NULL DEFAULT 0 CHECK (failed_login_attempts >= 0),
    last_login_at         timestamptz,
    last_login_ip         inet,
    last_activity_at      timestamptz,
    api_access_enabled    boolean     NOT NULL DEFAULT false,
    created_by_user_id    uuid        REFERENCES users (id),
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    deleted_at            timestamptz
);
CREATE INDEX users_organization_id ON users (organization_id);
CREATE INDEX users_created_by_user_id ON users (created_by_user_id) WHERE created_by_user_id IS NOT NULL;
COMMENT ON TABLE users IS 'People. password_hash is a PHC string: its salt is in it.';

ALTER TABLE organizations
    ADD FOREIGN KEY (primary_contact_user_id) REFERENCES users (id),
    ADD FOREIGN KEY (created_by_user_id) REFERENCES users (id);
CREATE INDEX organizations_primary_contact_user_id ON organizations (primary_contact_user_id) WHERE primary_contact_user_id IS NOT NULL;
CREATE INDEX organizations_created_by_user_id ON organizations (created_by_user_id) WHERE created_by_user_id IS NOT NULL;

CREATE TABLE tokens (
    id               uuid        PRIMARY KEY,
    organization_id  uuid        NOT NULL REFERENCES organizations (id),
    user_id          uuid        REFERENCES users (id),
    token_hmac       bytea       NOT NULL UNIQUE CHECK (octet_length(token_hmac) = 32),
    accessor         text        NOT NULL UNIQUE,
    parent_id        uuid        REFERENCES tokens (id),
    type             text        NOT NULL CHECK (type IN ('service')),
    policies         text[]      NOT NULL,
    display_name     text        NOT NULL,
    meta             jsonb,
    path             text        NOT NULL,
    creation_time    timestamptz NOT NULL,
    creation_ttl     bigint      NOT NULL CHECK (creation_ttl >= 0),
    lease_ttl        bigint      NOT NULL CHECK (lease_ttl >= 0),
    period           bigint      NOT NULL CHECK (period >= 0),
    explicit_max_ttl bigint      NOT NULL CHECK (explicit_max_ttl >= 0),
    expire_time      timestamptz,
    last_renewal     timestamptz,
    num_uses         integer     NOT NULL CHECK (num_uses >= 0),
    uses_left        integer     CHECK (uses_left BETWEEN 0 AND num_uses),
    renewable        boolean     NOT NULL,
    orphan           boolean     NOT NULL,
    bound_cidrs      cidr[]      NOT NULL,
    revoked_at       timestamptz,
    revision         bigint      NOT NULL CHECK (revision > 0),
    row_mac          bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CHECK ((num_uses = 0) = (uses_left IS NULL)),
    CHECK (NOT orphan OR parent_id IS NULL)
);
CREATE INDEX tokens_organization_id ON tokens (organization_id);
CREATE INDEX tokens_user_id ON tokens (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX tokens_parent_id ON tokens (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX tokens_revoked_at ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX tokens_expire_time ON tokens (expire_time) WHERE expire_time IS NOT NULL;
COMMENT ON TABLE tokens IS 'Tokens by HMAC under an HSM key; the text is nowhere. Durations in seconds, 0 meaning none.';
COMMENT ON COLUMN tokens.uses_left IS 'Counts down to 0, never above num_uses; the one column outside row_mac, so that a use needs no HSM.';
COMMENT ON COLUMN tokens.revoked_at IS 'A revoked row has lost its HMAC and its MAC: clearing this brings nothing back.';

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

CREATE TABLE mounts (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    class           text        NOT NULL CHECK (class IN ('secret', 'auth')),
    path            text        NOT NULL CHECK (path ~ '[^/]/$'),
    type            text        NOT NULL,
    accessor        text        NOT NULL UNIQUE,
    description     text        NOT NULL,
    options         jsonb,
    config          jsonb       NOT NULL,
    local           boolean     NOT NULL,
    seal_wrap       boolean     NOT NULL,
    revision        bigint      NOT NULL CHECK (revision > 0),
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, class, path)
);
COMMENT ON TABLE mounts IS 'Which path shows which engine; id is the mount''s uuid and what its keys belong to.';

DO $$
DECLARE
    changing text;
BEGIN
    FOREACH changing IN ARRAY ARRAY['organizations', 'users', 'tokens', 'access_policies', 'mounts'] LOOP
        EXECUTE format('CREATE TRIGGER touch BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION touch_updated_at()', changing);
    END LOOP;
    FOREACH changing IN ARRAY ARRAY['access_policies', 'mounts'] LOOP
        EXECUTE format('CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION notify_changed()', changing);
    END LOOP;
END
$$;
CREATE TRIGGER changed AFTER UPDATE OR DELETE ON organizations FOR EACH ROW EXECUTE FUNCTION notify_changed();
-- A new token is in no cache, and a counted use concerns none.
CREATE TRIGGER removed AFTER DELETE ON tokens FOR EACH ROW EXECUTE FUNCTION notify_changed();
CREATE TRIGGER changed AFTER UPDATE ON tokens FOR EACH ROW
    WHEN ((to_jsonb(OLD) - 'uses_left' - 'updated_at') IS DISTINCT FROM (to_jsonb(NEW) - 'uses_left' - 'updated_at'))
    EXECUTE FUNCTION notify_changed();

-- A tenant sees its own rows, whatever the program asks.
DO $$
DECLARE
    tenant_table text;
    tenant_column text;
    own text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['organizations', 'users', 'tokens', 'access_policies', 'mounts'] LOOP
        tenant_column := CASE tenant_table WHEN 'organizations' THEN 'id' ELSE 'organization_id' END;
        own := format('(%I = nullif(current_setting(''clm.organization_id'', true), '''')::uuid)', tenant_column);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant_select ON %I FOR SELECT TO clm_core_app USING %s', tenant_table, own);
        EXECUTE format('CREATE POLICY tenant_insert ON %I FOR INSERT TO clm_core_app WITH CHECK %s', tenant_table, own);
        EXECUTE format('CREATE POLICY tenant_update ON %I FOR UPDATE TO clm_core_app USING %s', tenant_table, own);
        IF tenant_table IN ('access_policies', 'mounts') THEN
            EXECUTE format('CREATE POLICY tenant_delete ON %I FOR DELETE TO clm_core_app USING %s', tenant_table, own);
        ELSIF tenant_table = 'tokens' THEN
            EXECUTE format('CREATE POLICY tenant_delete_ended ON %I FOR DELETE TO clm_core_app USING (%s AND (revoked_at IS NOT NULL OR uses_left = 0 OR expire_time <= now()))', tenant_table, own);
        END IF;
        EXECUTE format('CREATE POLICY everything ON %I FOR SELECT TO clm_backup, clm_auditor, clm_migrate USING (true)', tenant_table);
        EXECUTE format('GRANT SELECT ON %I TO clm_backup', tenant_table);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO clm_core_app', tenant_table);
    END LOOP;
END
$$;
GRANT DELETE ON tokens, access_policies, mounts TO clm_core_app;
GRANT SELECT ON organizations TO clm_auditor;
-- The verifier compares revision and MAC of rows with the audit; it reads nothing else of them.
GRANT SELECT (id, organization_id, revision, row_mac) ON tokens, access_policies, mounts TO clm_auditor;

-- Whose token is it? Asked before the tenant is known, so it is the one look across tenants: by an HMAC that only the HSM can make.
-- chain_expire_time: the first end among the token and its ancestors, with whom it dies.
CREATE FUNCTION find_token(hmac bytea)
RETURNS TABLE (token tokens, chain_expire_time timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    WITH RECURSIVE chain AS (
        SELECT t.id, t.parent_id, t.expire_time FROM tokens t WHERE t.token_hmac = hmac AND t.revoked_at IS NULL
        UNION
        SELECT p.id, p.parent_id, p.expire_time FROM tokens p JOIN chain c ON p.id = c.parent_id
    )
    SELECT t, (SELECT min(c.expire_time) FROM chain c)
    FROM tokens t JOIN organizations o ON o.id = t.organization_id
    WHERE t.token_hmac = hmac AND t.revoked_at IS NULL AND o.status = 'active' AND o.deleted_at IS NULL
$$;

-- Tenants to load mounts for; their ids are no secret from the service.
CREATE FUNCTION active_organizations() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT id FROM organizations WHERE status = 'active' AND deleted_at IS NULL ORDER BY id
$$;
REVOKE EXECUTE ON FUNCTION find_token(bytea), active_organizations() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_token(bytea), active_organizations() TO clm_core_app;
