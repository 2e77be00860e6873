-- What sys/ keeps: how the seal was split, audit devices, quotas and the like. One table, because they are few, small and alike: a name and a document.

CREATE TABLE system_entries (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    kind            text        NOT NULL CHECK (kind IN ('audit_device', 'audited_header', 'cors', 'password_policy', 'quota_configuration', 'rate_limit', 'seal')),
    name            text        NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 512),
    document        text        NOT NULL CHECK (jsonb_typeof(document::jsonb) = 'object'),
    revision        bigint      NOT NULL CHECK (revision > 0),
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, kind, name)
);
COMMENT ON TABLE system_entries IS 'Settings that are made through sys/ and hold for all servers: few and small, read into memory when one changes.';
COMMENT ON COLUMN system_entries.document IS 'JSON, as text: what the MAC covers. Of kind seal: threshold and number of shares, what recognises the secret that they give, and the PIN under that secret.';

ALTER TABLE system_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE system_entries FORCE ROW LEVEL SECURITY;
DO $$
DECLARE
    own text := '(organization_id = nullif(current_setting(''clm.organization_id'', true), '''')::uuid)';
BEGIN
    EXECUTE format('CREATE POLICY tenant_select ON system_entries FOR SELECT TO clm_core_app USING %s', own);
    EXECUTE format('CREATE POLICY tenant_insert ON system_entries FOR INSERT TO clm_core_app WITH CHECK %s', own);
    EXECUTE format('CREATE POLICY tenant_update ON system_entries FOR UPDATE TO clm_core_app USING %s', own);
    -- Without its seal's entry a deployment could not be opened again.
    EXECUTE format('CREATE POLICY tenant_delete ON system_entries FOR DELETE TO clm_core_app USING (%s AND kind <> ''seal'')', own);
END
$$;
CREATE POLICY everything ON system_entries FOR SELECT TO clm_backup, clm_auditor, clm_migrate USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON system_entries TO clm_core_app;
GRANT SELECT (id, organization_id, revision, row_mac) ON system_entries TO clm_auditor;
GRANT SELECT ON system_entries TO clm_backup;
CREATE TRIGGER touch BEFORE UPDATE ON system_entries FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON system_entries FOR EACH ROW EXECUTE FUNCTION notify_changed();
