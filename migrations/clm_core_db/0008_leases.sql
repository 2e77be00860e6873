-- Leases of dynamic secrets. The secret is a row of clm_secure_db: no foreign key.

CREATE TABLE leases (
    id                   uuid        PRIMARY KEY,
    organization_id      uuid        NOT NULL REFERENCES organizations (id),
    lease_id             text        NOT NULL UNIQUE,
    token_id             uuid        REFERENCES tokens (id),
    secret_id            uuid        NOT NULL,
    agent_id             text,
    app_id               text,
    app_cert_fingerprint text,
    issued_at            timestamptz NOT NULL,
    expires_at           timestamptz NOT NULL,
    ttl_seconds          bigint      NOT NULL CHECK (ttl_seconds > 0),
    renewed_count        integer     NOT NULL DEFAULT 0 CHECK (renewed_count >= 0),
    last_renewed_at      timestamptz,
    max_renewals         integer     CHECK (max_renewals >= 0),
    revoked              boolean     NOT NULL DEFAULT false,
    revoked_at           timestamptz,
    revocation_reason    text,
    credentials          jsonb,
    engine_type          text        NOT NULL CHECK (engine_type IN ('postgresql', 'redis', 'aws-iam')),
    engine_metadata      jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(engine_metadata) = 'object'),
    source_ip            inet,
    correlation_id       text,
    revision             bigint      NOT NULL CHECK (revision > 0),
    row_mac              bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    CHECK (issued_at < expires_at),
    CHECK (renewed_count <= max_renewals),
    CHECK ((renewed_count = 0) = (last_renewed_at IS NULL)),
    CHECK (revoked = (revoked_at IS NOT NULL)),
    CHECK (NOT revoked OR credentials IS NULL)
);
CREATE INDEX leases_organization_id ON leases (organization_id);
CREATE INDEX leases_token_id ON leases (token_id) WHERE token_id IS NOT NULL;
CREATE INDEX leases_secret_id ON leases (secret_id);
CREATE INDEX leases_expires_at ON leases (expires_at) WHERE NOT revoked;
CREATE INDEX leases_agent_id ON leases (agent_id, expires_at) WHERE agent_id IS NOT NULL;
COMMENT ON TABLE leases IS 'Credentials made for somebody for a time. Revoked means undone at the engine that made them.';
COMMENT ON COLUMN leases.token_id IS 'Who holds it. The token''s row stays until its leases are gone.';
COMMENT ON COLUMN leases.credentials IS 'Ciphertext under a key of the organization; gone with the revocation.';
COMMENT ON COLUMN leases.engine_metadata IS 'What the engine needs to undo them; no secret.';
COMMENT ON COLUMN leases.max_renewals IS 'Null: no limit.';
