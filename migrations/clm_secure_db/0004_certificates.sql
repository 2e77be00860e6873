-- Certificates, requests for them, and their revocation. Users, policies, workflows and mounts are rows of clm_core_db: no foreign keys.

CREATE TABLE certificates (
    id                        uuid        PRIMARY KEY,
    organization_id           uuid        NOT NULL,
    mount_id                  uuid,
    certificate_id            text        NOT NULL,
    common_name               text,
    organization              text,
    organizational_unit       text,
    certificate_type          text        NOT NULL CHECK (certificate_type IN ('root', 'intermediate', 'leaf', 'client', 'server', 'code_signing', 'email')),
    issuer_certificate_id     uuid        REFERENCES certificates (id),
    pem_encoded_cert          text,
    der_encoded_cert          bytea,
    certificate_chain         text[]      NOT NULL DEFAULT '{}',
    serial_number             text        NOT NULL CHECK (serial_number ~ '^([0-9a-f]{2})+$'),
    thumbprint_sha256         text        CHECK (thumbprint_sha256 ~ '^[0-9a-f]{64}$'),
    thumbprint_sha1           text        CHECK (thumbprint_sha1 ~ '^[0-9a-f]{40}$'),
    subject_key_identifier    text,
    authority_key_identifier  text,
    issuer_dn                 text        NOT NULL,
    subject_dn                text        NOT NULL,
    subject_alternative_names jsonb       NOT NULL DEFAULT '[]',
    key_usage                 text[]      NOT NULL DEFAULT '{}',
    key_algorithm             text        NOT NULL,
    key_size                  integer     CHECK (key_size > 0),
    signature_algorithm       text        NOT NULL,
    not_before                timestamptz NOT NULL,
    not_after                 timestamptz NOT NULL,
    status                    text        NOT NULL CHECK (status IN ('pending', 'active', 'expiring', 'expired', 'revoked', 'suspended')),
    revocation_reason         text        CHECK (revocation_reason IN ('unspecified', 'key_compromise', 'ca_compromise', 'affiliation_changed', 'superseded', 'cessation_of_operation', 'certificate_hold', 'remove_from_crl', 'privilege_withdrawn', 'aa_compromise')),
    revoked_at                timestamptz,
    encryption_key_id         uuid        REFERENCES encryption_keys (id),
    is_encrypted              boolean     NOT NULL DEFAULT false,
    encryption_algorithm      text        CHECK (encryption_algorithm IN ('AES-256-GCM')),
    owner_user_id             uuid,
    policy_id                 uuid,
    workflow_id               uuid,
    entity_type               text        CHECK (entity_type IN ('agent', 'app', 'admin')),
    entity_id                 text,
    metadata                  jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    revision                  bigint      NOT NULL CHECK (revision > 0),
    row_mac                   bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_by_user_id        uuid,
    created_at                timestamptz NOT NULL,
    updated_at                timestamptz NOT NULL DEFAULT now(),
    deleted_at                timestamptz,
    UNIQUE (organization_id, certificate_id),
    UNIQUE (organization_id, thumbprint_sha256),
    UNIQUE (issuer_certificate_id, serial_number),
    CHECK (not_before < not_after),
    CHECK (status = 'pending' OR (pem_encoded_cert IS NOT NULL AND der_encoded_cert IS NOT NULL AND thumbprint_sha256 IS NOT NULL)),
    CHECK ((status IN ('revoked', 'suspended')) = (revoked_at IS NOT NULL)),
    CHECK ((revoked_at IS NULL) = (revocation_reason IS NULL)),
    CHECK (is_encrypted = (encryption_key_id IS NOT NULL AND encryption_algorithm IS NOT NULL)),
    CHECK ((entity_type IS NULL) = (entity_id IS NULL))
);
CREATE INDEX certificates_status ON certificates (organization_id, status) WHERE deleted_at IS NULL;
CREATE INDEX certificates_certificate_type ON certificates (organization_id, certificate_type) WHERE deleted_at IS NULL;
CREATE INDEX certificates_common_name ON certificates (organization_id, common_name) WHERE deleted_at IS NULL;
CREATE INDEX certificates_serial_number ON certificates (organization_id, serial_number);
CREATE INDEX certificates_not_after ON certificates (not_after) WHERE deleted_at IS NULL AND status IN ('active', 'expiring');
CREATE INDEX certificates_owner_user_id ON certificates (owner_user_id) WHERE owner_user_id IS NOT NULL;
CREATE INDEX certificates_policy_id ON certificates (policy_id) WHERE policy_id IS NOT NULL;
CREATE INDEX certificates_workflow_id ON certificates (workflow_id) WHERE workflow_id IS NOT NULL;
CREATE INDEX certificates_mount_id ON certificates (mount_id) WHERE mount_id IS NOT NULL;
CREATE INDEX certificates_entity ON certificates (organization_id, entity_type, entity_id) WHERE entity_id IS NOT NULL;
CREATE INDEX certificates_encryption_key_id ON certificates (encryption_key_id) WHERE encryption_key_id IS NOT NULL;
COMMENT ON TABLE certificates IS 'Certificates, our own authorities'' and imported ones; serial numbers and thumbprints in lower-case hex.';
COMMENT ON COLUMN certificates.status IS 'Pending: checked and its serial number taken, not signed yet. Suspended: on hold.';
COMMENT ON COLUMN certificates.issuer_certificate_id IS 'The authority of ours that signed it; null when another did.';
COMMENT ON COLUMN certificates.entity_id IS 'Which agent, app or administrator proves itself by it.';

ALTER TABLE private_keys ADD FOREIGN KEY (certificate_id) REFERENCES certificates (id);

CREATE TABLE certificate_requests (
    id                        uuid        PRIMARY KEY,
    organization_id           uuid        NOT NULL,
    request_id                text        NOT NULL,
    pem_encoded_csr           text        NOT NULL,
    der_encoded_csr           bytea       NOT NULL,
    common_name               text,
    subject_dn                text        NOT NULL,
    subject_alternative_names jsonb       NOT NULL DEFAULT '[]',
    key_algorithm             text        NOT NULL CHECK (key_algorithm IN ('RSA', 'ECDSA', 'Ed25519', 'Ed448')),
    key_size                  integer     CHECK (key_size > 0),
    requested_validity_days   integer     NOT NULL CHECK (requested_validity_days > 0),
    certificate_type          text        NOT NULL CHECK (certificate_type IN ('root', 'intermediate', 'leaf', 'client', 'server', 'code_signing', 'email')),
    status                    text        NOT NULL CHECK (status IN ('pending', 'approved', 'rejected', 'fulfilled', 'expired', 'cancelled')),
    rejection_reason          text,
    issued_certificate_id     uuid        REFERENCES certificates (id),
    requester_user_id         uuid,
    approver_user_id          uuid,
    policy_id                 uuid,
    workflow_id               uuid,
    revision                  bigint      NOT NULL CHECK (revision > 0),
    row_mac                   bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    requested_at              timestamptz NOT NULL,
    approved_at               timestamptz,
    fulfilled_at              timestamptz,
    created_at                timestamptz NOT NULL DEFAULT now(),
    updated_at                timestamptz NOT NULL DEFAULT now(),
    deleted_at                timestamptz,
    UNIQUE (organization_id, request_id),
    CHECK ((status = 'rejected') = (rejection_reason IS NOT NULL)),
    CHECK (status NOT IN ('approved', 'fulfilled') OR approved_at IS NOT NULL),
    CHECK ((status = 'fulfilled') = (issued_certificate_id IS NOT NULL AND fulfilled_at IS NOT NULL))
);
CREATE INDEX certificate_requests_status ON certificate_requests (organization_id, status, requested_at) WHERE deleted_at IS NULL;
CREATE INDEX certificate_requests_issued_certificate_id ON certificate_requests (issued_certificate_id) WHERE issued_certificate_id IS NOT NULL;
CREATE INDEX certificate_requests_requester_user_id ON certificate_requests (requester_user_id) WHERE requester_user_id IS NOT NULL;
CREATE INDEX certificate_requests_approver_user_id ON certificate_requests (approver_user_id) WHERE approver_user_id IS NOT NULL;
CREATE INDEX certificate_requests_policy_id ON certificate_requests (policy_id) WHERE policy_id IS NOT NULL;
CREATE INDEX certificate_requests_workflow_id ON certificate_requests (workflow_id) WHERE workflow_id IS NOT NULL;
COMMENT ON TABLE certificate_requests IS 'Signing requests, from asking to the certificate.';

CREATE TABLE certificate_revocations (
    id                  uuid        PRIMARY KEY,
    organization_id     uuid        NOT NULL,
    certificate_id      uuid        NOT NULL REFERENCES certificates (id),
    revocation_date     timestamptz NOT NULL,
    revocation_reason   text        NOT NULL CHECK (revocation_reason IN ('unspecified', 'key_compromise', 'ca_compromise', 'affiliation_changed', 'superseded', 'cessation_of_operation', 'certificate_hold', 'remove_from_crl', 'privilege_withdrawn', 'aa_compromise')),
    invalidity_date     timestamptz,
    crl_entry_added     boolean     NOT NULL DEFAULT false,
    crl_sequence_number bigint      CHECK (crl_sequence_number >= 0),
    ocsp_status_updated boolean     NOT NULL DEFAULT false,
    revoked_by_user_id  uuid,
    revision            bigint      NOT NULL CHECK (revision > 0),
    row_mac             bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at          timestamptz NOT NULL DEFAULT now(),
    CHECK (NOT crl_entry_added OR crl_sequence_number IS NOT NULL)
);
CREATE INDEX certificate_revocations_certificate_id ON certificate_revocations (certificate_id);
CREATE UNIQUE INDEX certificate_revocations_final ON certificate_revocations (certificate_id) WHERE revocation_reason NOT IN ('certificate_hold', 'remove_from_crl');
CREATE INDEX certificate_revocations_organization_id ON certificate_revocations (organization_id, revocation_date DESC);
COMMENT ON TABLE certificate_revocations IS 'Revocations; of a certificate once and for all, but for a hold and its end.';
COMMENT ON COLUMN certificate_revocations.crl_sequence_number IS 'CRL number in which it appeared first.';

-- The service may write only what was published, and that only forward.
CREATE FUNCTION keep_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.crl_entry_added AND NOT NEW.crl_entry_added) OR (OLD.ocsp_status_updated AND NOT NEW.ocsp_status_updated)
        OR NEW.crl_sequence_number IS DISTINCT FROM coalesce(OLD.crl_sequence_number, NEW.crl_sequence_number) THEN
        RAISE EXCEPTION 'a revocation is never taken back' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep BEFORE UPDATE ON certificate_revocations FOR EACH ROW EXECUTE FUNCTION keep_revocation();

CREATE VIEW active_certificates WITH (security_invoker = true) AS
SELECT id, organization_id, mount_id, certificate_id, common_name, certificate_type, serial_number, thumbprint_sha256, issuer_dn, subject_dn,
    subject_alternative_names, key_algorithm, key_size, signature_algorithm, not_before, not_after, status, owner_user_id, policy_id, created_at, updated_at
FROM certificates
WHERE status IN ('active', 'expiring') AND deleted_at IS NULL;
COMMENT ON VIEW active_certificates IS 'Certificates in force, without their bytes.';

CREATE VIEW expiring_certificates WITH (security_invoker = true) AS
SELECT a.*, floor(extract(epoch FROM a.not_after - now()) / 86400)::integer AS days_until_expiry
FROM active_certificates a
WHERE a.not_after BETWEEN now() AND now() + interval '30 days';
COMMENT ON VIEW expiring_certificates IS 'Certificates in force that end within 30 days.';
