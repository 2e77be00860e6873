-- What certificates and keys must be like (policies), who may reach which path (access_policies), and programs that log in (app_roles).

CREATE TABLE policies (
    id                    uuid        PRIMARY KEY,
    organization_id       uuid        NOT NULL REFERENCES organizations (id),
    policy_name           text        NOT NULL,
    policy_code           text        NOT NULL,
    policy_type           text        NOT NULL CHECK (policy_type IN ('certificate', 'key_management', 'access_control', 'compliance', 'issuance')),
    description           text,
    policy_rules          jsonb       NOT NULL CHECK (jsonb_typeof(policy_rules) = 'object'),
    applies_to_cert_types text[]      NOT NULL DEFAULT '{}' CHECK (applies_to_cert_types <@ ARRAY['root', 'intermediate', 'leaf', 'client', 'server', 'code_signing', 'email']),
    status                text        NOT NULL CHECK (status IN ('draft', 'active', 'inactive', 'archived')),
    version               integer     NOT NULL CHECK (version > 0),
    enforcement_level     text        NOT NULL CHECK (enforcement_level IN ('mandatory', 'advisory', 'audit_only')),
    effective_from        timestamptz,
    effective_until       timestamptz,
    compliance_frameworks text[]      NOT NULL DEFAULT '{}',
    approved_by_user_id   uuid        REFERENCES users (id),
    approved_at           timestamptz,
    revision              bigint      NOT NULL CHECK (revision > 0),
    row_mac               bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_by_user_id    uuid        REFERENCES users (id),
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    deleted_at            timestamptz,
    UNIQUE (organization_id, policy_code),
    CHECK (effective_from < effective_until)
);
CREATE INDEX policies_status ON policies (organization_id, policy_type, status) WHERE deleted_at IS NULL;
COMMENT ON TABLE policies IS 'Rules for certificates and keys; an empty applies_to_cert_types means all.';
COMMENT ON COLUMN policies.policy_rules IS '{"max_validity_days":365,"min_key_size":2048,"allowed_algorithms":["RSA","ECDSA"]}';

-- Two kinds of documents under one set of names, which is what tokens carry: text stays as it was written, and is what the MAC covers.
ALTER TABLE access_policies
    ADD COLUMN document_kind   text    NOT NULL DEFAULT 'acl' CHECK (document_kind IN ('acl', 'secrets')),
    ADD COLUMN policy_document jsonb   GENERATED ALWAYS AS (CASE document_kind WHEN 'secrets' THEN document::jsonb END) STORED,
    ADD COLUMN entity_bindings text[]  NOT NULL DEFAULT '{}',
    ADD COLUMN max_ttl_seconds bigint  CHECK (max_ttl_seconds > 0),
    ADD COLUMN deny_policy     boolean NOT NULL DEFAULT false,
    ADD CHECK (document_kind = 'secrets' OR (entity_bindings = '{}' AND max_ttl_seconds IS NULL AND NOT deny_policy)),
    ADD CHECK (policy_document IS NULL OR (jsonb_typeof(policy_document) = 'object' AND policy_document ?& ARRAY['allowed_secrets', 'allowed_operations']));
CREATE INDEX access_policies_policy_document ON access_policies USING gin (policy_document) WHERE document_kind = 'secrets';
CREATE INDEX access_policies_entity_bindings ON access_policies USING gin (entity_bindings) WHERE document_kind = 'secrets';
COMMENT ON COLUMN access_policies.document_kind IS 'acl: paths and capabilities in HCL or JSON. secrets: JSON with allowed_secrets, allowed_operations and conditions.';
COMMENT ON COLUMN access_policies.policy_document IS 'A document of kind secrets, to be searched; made of document by the database, so the two never differ.';
COMMENT ON COLUMN access_policies.entity_bindings IS 'Agents, apps and certificate thumbprints that a document of kind secrets is for; empty: whoever carries its name.';

CREATE TABLE app_roles (
    id                    uuid        PRIMARY KEY,
    organization_id       uuid        NOT NULL REFERENCES organizations (id),
    mount_id              uuid        NOT NULL REFERENCES mounts (id),
    role_id               uuid        NOT NULL UNIQUE,
    role_name             text        NOT NULL,
    policies              text[]      NOT NULL DEFAULT '{}',
    token_policies        text[]      NOT NULL DEFAULT '{}',
    ttl_seconds           bigint      NOT NULL DEFAULT 3600 CHECK (ttl_seconds >= 0),
    max_ttl_seconds       bigint      NOT NULL DEFAULT 86400 CHECK (max_ttl_seconds >= 0),
    bind_secret_id        boolean     NOT NULL DEFAULT true,
    secret_id_num_uses    integer     NOT NULL DEFAULT 0 CHECK (secret_id_num_uses >= 0),
    secret_id_ttl_seconds bigint      NOT NULL DEFAULT 0 CHECK (secret_id_ttl_seconds >= 0),
    bound_cidr_list       cidr[]      NOT NULL DEFAULT '{}',
    metadata              jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    description           text,
    enabled               boolean     NOT NULL DEFAULT true,
    revision              bigint      NOT NULL CHECK (revision > 0),
    row_mac               bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    UNIQUE (mount_id, role_name),
    CHECK (max_ttl_seconds = 0 OR ttl_seconds <= max_ttl_seconds),
    CHECK (bind_secret_id OR bound_cidr_list <> '{}')
);
CREATE INDEX app_roles_organization_id ON app_roles (organization_id);
CREATE INDEX app_roles_policies ON app_roles USING gin (policies);
CREATE INDEX app_roles_token_policies ON app_roles USING gin (token_policies);
COMMENT ON TABLE app_roles IS 'Roles that programs log in with. Durations in seconds; 0: the mount''s default, or no limit of uses.';
COMMENT ON COLUMN app_roles.role_id IS 'What the program says it is; no secret.';

CREATE TABLE app_role_secret_ids (
    id                 uuid        PRIMARY KEY,
    organization_id    uuid        NOT NULL REFERENCES organizations (id),
    app_role_id        uuid        NOT NULL REFERENCES app_roles (id),
    secret_id_hash     bytea       NOT NULL UNIQUE CHECK (octet_length(secret_id_hash) = 32),
    secret_id_accessor text        NOT NULL UNIQUE,
    num_uses           integer     NOT NULL CHECK (num_uses >= 0),
    uses_left          integer     CHECK (uses_left BETWEEN 0 AND num_uses),
    bound_cidr_list    cidr[]      NOT NULL DEFAULT '{}',
    metadata           jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    expires_at         timestamptz,
    revision           bigint      NOT NULL CHECK (revision > 0),
    row_mac            bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CHECK ((num_uses = 0) = (uses_left IS NULL))
);
CREATE INDEX app_role_secret_ids_organization_id ON app_role_secret_ids (organization_id);
CREATE INDEX app_role_secret_ids_app_role_id ON app_role_secret_ids (app_role_id);
CREATE INDEX app_role_secret_ids_expires_at ON app_role_secret_ids (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE app_role_secret_ids IS 'SecretIDs of app roles by HMAC under an HSM key; the text is nowhere. A role may have many.';
COMMENT ON COLUMN app_role_secret_ids.uses_left IS 'Counts down to 0; the one column outside row_mac.';
