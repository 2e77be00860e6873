-- Who may do what with the tables before, by the same rules as in 0001: a tenant sees its own rows, nobody deletes.

DO $$
DECLARE
    tenant_table text;
    -- They have updated_at, and their revision and MAC are compared with the log.
    bound_tables text[] := ARRAY['certificates', 'certificate_requests', 'secrets', 'secret_versions'];
BEGIN
    FOREACH tenant_table IN ARRAY bound_tables LOOP
        EXECUTE format('CREATE TRIGGER touch BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION touch_updated_at()', tenant_table);
    END LOOP;
    FOREACH tenant_table IN ARRAY bound_tables || ARRAY['certificate_revocations'] LOOP
        EXECUTE format('GRANT SELECT (id, revision, row_mac) ON %I TO clm_auditor', tenant_table);
        EXECUTE format('CREATE POLICY audit ON %I FOR SELECT TO clm_auditor USING (true)', tenant_table);
    END LOOP;
    FOREACH tenant_table IN ARRAY bound_tables || ARRAY['certificate_revocations', 'key_rotation_history'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant ON %I TO clm_secure_app USING (organization_id = nullif(current_setting(''clm.organization_id'', true), '''')::uuid)', tenant_table);
        EXECUTE format('CREATE POLICY backup ON %I FOR SELECT TO clm_backup USING (true)', tenant_table);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO clm_secure_app', tenant_table);
        EXECUTE format('GRANT SELECT ON %I TO clm_backup', tenant_table);
    END LOOP;
END
$$;
GRANT UPDATE ON certificates, certificate_requests, secrets, secret_versions TO clm_secure_app;
GRANT UPDATE (crl_entry_added, crl_sequence_number, ocsp_status_updated, revision, row_mac) ON certificate_revocations TO clm_secure_app;
GRANT UPDATE (new_key_id, items_re_encrypted, rotation_completed_at, rotation_status, error_message) ON key_rotation_history TO clm_secure_app;
GRANT SELECT ON encryption_key_statuses, active_certificates, expiring_certificates TO clm_secure_app;

-- What PostgreSQL gives to everybody: connecting, temporary tables, and running whatever function is made.
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO clm_secure_app, clm_auditor, clm_backup', current_database());
END
$$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
