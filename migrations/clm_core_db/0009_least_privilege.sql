-- Who may do what with the tables before, by the same rules as in 0001: a tenant sees its own rows; what has an end may be deleted
-- after it, what an administrator deletes at once, and nothing else.

DO $$
DECLARE
    tenant_table text;
    own text := '(organization_id = nullif(current_setting(''clm.organization_id'', true), '''')::uuid)';
    -- Their revision and MAC are compared with the log.
    bound_tables text[] := ARRAY['roles', 'user_roles', 'user_organizations', 'api_keys', 'sessions', 'policies', 'app_roles', 'app_role_secret_ids',
        'workflows', 'workflow_instances', 'workflow_steps', 'leases'];
    -- When a row of them may go.
    ends jsonb := jsonb_build_object(
        'sessions', '(NOT is_active OR expires_at <= now())',
        -- Not by its time alone: an expired lease whose credential still works must not be forgotten.
        'leases', 'revoked',
        -- Administrators delete these, like a mount or an access policy.
        'app_roles', 'true',
        'app_role_secret_ids', 'true');
BEGIN
    FOREACH tenant_table IN ARRAY bound_tables || ARRAY['certificate_metadata', 'notifications'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant_select ON %I FOR SELECT TO clm_core_app USING %s', tenant_table, own);
        EXECUTE format('CREATE POLICY tenant_insert ON %I FOR INSERT TO clm_core_app WITH CHECK %s', tenant_table, own);
        EXECUTE format('CREATE POLICY tenant_update ON %I FOR UPDATE TO clm_core_app USING %s', tenant_table, own);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO clm_core_app', tenant_table);
        IF ends ? tenant_table THEN
            EXECUTE format('CREATE POLICY tenant_delete ON %I FOR DELETE TO clm_core_app USING (%s AND %s)', tenant_table, own, ends ->> tenant_table);
            EXECUTE format('GRANT DELETE ON %I TO clm_core_app', tenant_table);
        END IF;
        EXECUTE format('CREATE POLICY everything ON %I FOR SELECT TO clm_backup, clm_auditor, clm_migrate USING (true)', tenant_table);
        EXECUTE format('GRANT SELECT ON %I TO clm_backup', tenant_table);
    END LOOP;
    FOREACH tenant_table IN ARRAY bound_tables || ARRAY['users'] LOOP
        EXECUTE format('GRANT SELECT (id, organization_id, revision, row_mac) ON %I TO clm_auditor', tenant_table);
    END LOOP;
    FOREACH tenant_table IN ARRAY ARRAY['roles', 'policies', 'app_roles', 'app_role_secret_ids', 'workflows', 'workflow_instances', 'certificate_metadata', 'leases'] LOOP
        EXECUTE format('CREATE TRIGGER touch BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION touch_updated_at()', tenant_table);
    END LOOP;
END
$$;
GRANT SELECT ON active_users_with_roles, pending_approvals, certificate_summary TO clm_core_app;

-- Said in 0004: why these have no index.
DO $$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT c.conrelid::regclass AS owner, c.conname FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
        WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND c.confrelid = 'users'::regclass
            AND a.attname IN ('created_by_user_id', 'assigned_by_user_id', 'revoked_by_user_id', 'approved_by_user_id', 'executed_by_user_id')
            AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = a.attnum)
    LOOP
        EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L', key.conname, key.owner,
            'No index: users are never deleted, and who did it is asked of the log.');
    END LOOP;
END
$$;

-- What PostgreSQL gives to everybody: connecting, temporary tables, and running whatever function is made.
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO clm_core_app, clm_auditor, clm_backup', current_database());
END
$$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
