-- What people see of certificates, and what they are told. The certificates are rows of clm_secure_db: no foreign keys.

CREATE TABLE certificate_metadata (
    id               uuid        PRIMARY KEY,
    organization_id  uuid        NOT NULL REFERENCES organizations (id),
    certificate_id   uuid        NOT NULL UNIQUE,
    common_name      text,
    certificate_type text        NOT NULL CHECK (certificate_type IN ('root', 'intermediate', 'leaf', 'client', 'server', 'code_signing', 'email')),
    status           text        NOT NULL CHECK (status IN ('pending', 'active', 'expiring', 'expired', 'revoked', 'suspended')),
    not_before       timestamptz NOT NULL,
    not_after        timestamptz NOT NULL,
    owner_user_id    uuid        REFERENCES users (id),
    tags             text[]      NOT NULL DEFAULT '{}',
    category         text,
    environment      text        CHECK (environment IN ('production', 'staging', 'development', 'testing')),
    custom_fields    jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(custom_fields) = 'object'),
    notes            text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    deleted_at       timestamptz,
    CHECK (not_before < not_after)
);
CREATE INDEX certificate_metadata_status ON certificate_metadata (organization_id, status) WHERE deleted_at IS NULL;
CREATE INDEX certificate_metadata_not_after ON certificate_metadata (organization_id, not_after) WHERE deleted_at IS NULL;
CREATE INDEX certificate_metadata_common_name ON certificate_metadata (organization_id, common_name) WHERE deleted_at IS NULL;
CREATE INDEX certificate_metadata_owner_user_id ON certificate_metadata (owner_user_id) WHERE owner_user_id IS NOT NULL;
CREATE INDEX certificate_metadata_tags ON certificate_metadata USING gin (tags);
COMMENT ON TABLE certificate_metadata IS 'The inventory: what clm_secure_db says of a certificate, and what people say of it. Nothing is allowed by it.';

CREATE TABLE notifications (
    id                    uuid        PRIMARY KEY,
    organization_id       uuid        NOT NULL REFERENCES organizations (id),
    user_id               uuid        REFERENCES users (id),
    notification_type     text        NOT NULL,
    title                 text        NOT NULL,
    message               text        NOT NULL,
    notification_data     jsonb       NOT NULL DEFAULT '{}',
    priority              text        NOT NULL CHECK (priority IN ('low', 'normal', 'high', 'critical')),
    is_read               boolean     NOT NULL DEFAULT false,
    read_at               timestamptz,
    delivery_channels     text[]      NOT NULL DEFAULT '{in_app}' CHECK (delivery_channels <@ ARRAY['in_app', 'email', 'sms', 'webhook']),
    email_sent            boolean     NOT NULL DEFAULT false,
    email_sent_at         timestamptz,
    action_url            text,
    related_resource_type text,
    related_resource_id   uuid,
    created_at            timestamptz NOT NULL DEFAULT now(),
    expires_at            timestamptz,
    CHECK (is_read = (read_at IS NOT NULL)),
    CHECK (email_sent = (email_sent_at IS NOT NULL))
);
CREATE INDEX notifications_organization_id ON notifications (organization_id, created_at DESC);
CREATE INDEX notifications_user_id ON notifications (user_id, created_at DESC) WHERE user_id IS NOT NULL;
CREATE INDEX notifications_unread ON notifications (user_id) WHERE NOT is_read;
COMMENT ON TABLE notifications IS 'What people are told; without a user, all of the organization.';

CREATE VIEW certificate_summary WITH (security_invoker = true) AS
SELECT m.id, m.organization_id, o.org_code, o.org_name, m.certificate_id, m.common_name, m.certificate_type, m.status, m.environment, m.category, m.tags,
    m.not_before, m.not_after, floor(extract(epoch FROM m.not_after - now()) / 86400)::integer AS days_until_expiry,
    m.owner_user_id, u.username AS owner_username, u.email AS owner_email
FROM certificate_metadata m
JOIN organizations o ON o.id = m.organization_id
LEFT JOIN users u ON u.id = m.owner_user_id
WHERE m.deleted_at IS NULL;
COMMENT ON VIEW certificate_summary IS 'The inventory with owner, organization and days left.';
