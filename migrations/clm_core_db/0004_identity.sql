-- People and what they may do: roles, memberships, API keys, sessions. Whatever gives authority carries its revision and its MAC.
--
-- Rows of users are never deleted and their ids never change, and nobody asks who did something by these tables (the log tells):
-- foreign keys that only name who made, gave or took something have no index, and a comment that says so.

-- No program has written a user yet: there is no row that would lack its MAC.
ALTER TABLE users
    ADD COLUMN revision bigint NOT NULL CHECK (revision > 0),
    ADD COLUMN row_mac  bytea  NOT NULL CHECK (octet_length(row_mac) = 32);
CREATE INDEX users_status ON users (organization_id, status) WHERE deleted_at IS NULL;
COMMENT ON COLUMN users.row_mac IS 'Not over failed_login_attempts, last_login_at, last_login_ip and last_activity_at.';

CREATE TABLE roles (
    id                 uuid        PRIMARY KEY,
    organization_id    uuid        NOT NULL REFERENCES organizations (id),
    role_name          text        NOT NULL,
    role_code          text        NOT NULL CHECK (role_code ~ '^[A-Z][A-Z0-9_]*$'),
    description        text,
    permissions        jsonb       NOT NULL CHECK (jsonb_typeof(permissions) = 'object'),
    parent_role_id     uuid        REFERENCES roles (id) CHECK (parent_role_id <> id),
    is_system_role     boolean     NOT NULL DEFAULT false,
    is_active          boolean     NOT NULL DEFAULT true,
    revision           bigint      NOT NULL CHECK (revision > 0),
    row_mac            bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_by_user_id uuid        REFERENCES users (id),
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    deleted_at         timestamptz,
    UNIQUE (organization_id, role_code),
    CHECK (NOT is_system_role OR deleted_at IS NULL)
);
CREATE INDEX roles_parent_role_id ON roles (parent_role_id) WHERE parent_role_id IS NOT NULL;
COMMENT ON TABLE roles IS 'Sets of permissions; the service gives each organization the six system roles, which cannot be deleted.';
COMMENT ON COLUMN roles.permissions IS 'Verbs by resource: {"certificates":["read","create"],…}.';

CREATE FUNCTION keep_system_role() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.is_system_role AND (TG_OP = 'DELETE' OR NOT NEW.is_system_role OR NEW.role_code <> OLD.role_code OR NEW.organization_id <> OLD.organization_id) THEN
        RAISE EXCEPTION 'role % is a system role: it stays', OLD.role_code USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$;
CREATE TRIGGER keep_system BEFORE UPDATE OR DELETE ON roles FOR EACH ROW EXECUTE FUNCTION keep_system_role();

CREATE TABLE user_roles (
    id                  uuid        PRIMARY KEY,
    organization_id     uuid        NOT NULL REFERENCES organizations (id),
    user_id             uuid        NOT NULL REFERENCES users (id),
    role_id             uuid        NOT NULL REFERENCES roles (id),
    valid_from          timestamptz NOT NULL,
    valid_until         timestamptz,
    assigned_by_user_id uuid        REFERENCES users (id),
    assigned_at         timestamptz NOT NULL,
    revoked_at          timestamptz,
    revoked_by_user_id  uuid        REFERENCES users (id),
    revision            bigint      NOT NULL CHECK (revision > 0),
    row_mac             bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    UNIQUE (user_id, role_id),
    CHECK (valid_from < valid_until),
    CHECK (revoked_by_user_id IS NULL OR revoked_at IS NOT NULL)
);
CREATE INDEX user_roles_organization_id ON user_roles (organization_id);
CREATE INDEX user_roles_role_id ON user_roles (role_id);
COMMENT ON TABLE user_roles IS 'Who has which role, and for how long.';

CREATE TABLE user_organizations (
    id              uuid        PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users (id),
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    is_primary      boolean     NOT NULL DEFAULT false,
    joined_at       timestamptz NOT NULL,
    left_at         timestamptz,
    revision        bigint      NOT NULL CHECK (revision > 0),
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    UNIQUE (user_id, organization_id),
    CHECK (joined_at <= left_at)
);
CREATE UNIQUE INDEX user_organizations_one_primary ON user_organizations (user_id) WHERE is_primary AND left_at IS NULL;
CREATE INDEX user_organizations_organization_id ON user_organizations (organization_id);
COMMENT ON TABLE user_organizations IS 'Which organizations a person belongs to.';

CREATE TABLE api_keys (
    id                 uuid        PRIMARY KEY,
    organization_id    uuid        NOT NULL REFERENCES organizations (id),
    user_id            uuid        NOT NULL REFERENCES users (id),
    key_name           text        NOT NULL,
    key_hash           bytea       NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    key_prefix         text        NOT NULL CHECK (char_length(key_prefix) BETWEEN 1 AND 16),
    scopes             text[]      NOT NULL DEFAULT '{}',
    is_active          boolean     NOT NULL DEFAULT true,
    last_used_at       timestamptz,
    last_used_ip       inet,
    usage_count        bigint      NOT NULL DEFAULT 0 CHECK (usage_count >= 0),
    expires_at         timestamptz,
    created_at         timestamptz NOT NULL,
    revoked_at         timestamptz,
    revoked_by_user_id uuid        REFERENCES users (id),
    revision           bigint      NOT NULL CHECK (revision > 0),
    row_mac            bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    CHECK (revoked_at IS NULL OR NOT is_active)
);
CREATE INDEX api_keys_organization_id ON api_keys (organization_id);
CREATE INDEX api_keys_user_id ON api_keys (user_id);
CREATE INDEX api_keys_expires_at ON api_keys (expires_at) WHERE is_active AND expires_at IS NOT NULL;
COMMENT ON TABLE api_keys IS 'Keys of programs that act for a person, by HMAC under an HSM key; the key itself is shown once.';
COMMENT ON COLUMN api_keys.row_mac IS 'Not over last_used_at, last_used_ip and usage_count.';

CREATE TABLE sessions (
    id                  uuid        PRIMARY KEY,
    organization_id     uuid        NOT NULL REFERENCES organizations (id),
    user_id             uuid        NOT NULL REFERENCES users (id),
    session_id          text        NOT NULL UNIQUE,
    session_hash        bytea       NOT NULL UNIQUE CHECK (octet_length(session_hash) = 32),
    session_data        jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(session_data) = 'object'),
    ip_address          inet,
    user_agent          text,
    created_at          timestamptz NOT NULL,
    last_activity_at    timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL,
    is_active           boolean     NOT NULL DEFAULT true,
    invalidated_at      timestamptz,
    invalidation_reason text,
    revision            bigint      NOT NULL CHECK (revision > 0),
    row_mac             bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    CHECK (is_active = (invalidated_at IS NULL)),
    CHECK (created_at < expires_at)
);
CREATE INDEX sessions_organization_id ON sessions (organization_id);
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);
COMMENT ON TABLE sessions IS 'Logins of people. session_id names one in the log and opens nothing; what opens it is kept as HMAC.';
COMMENT ON COLUMN sessions.row_mac IS 'Not over session_data and last_activity_at.';

CREATE VIEW active_users_with_roles WITH (security_invoker = true) AS
SELECT u.id, u.organization_id, u.username, u.email, u.display_name, u.last_login_at, u.mfa_enabled,
    coalesce(array_agg(r.role_code ORDER BY r.role_code) FILTER (WHERE r.id IS NOT NULL), '{}') AS role_codes
FROM users u
LEFT JOIN user_roles a ON a.user_id = u.id AND a.revoked_at IS NULL AND a.valid_from <= now() AND (a.valid_until IS NULL OR now() < a.valid_until)
LEFT JOIN roles r ON r.id = a.role_id AND r.is_active AND r.deleted_at IS NULL
WHERE u.status = 'active' AND u.deleted_at IS NULL
GROUP BY u.id;
COMMENT ON VIEW active_users_with_roles IS 'People who may log in, and the roles that they have at this moment.';
