-- Roles of the service, made once per PostgreSQL cluster by an administrator; running it again changes nothing.
-- None may bypass row-level security; none but clm_migrate owns anything. Give them passwords or certificates as your site does.
DO $$
DECLARE
    role text;
BEGIN
    -- Several installations may start at once.
    PERFORM pg_advisory_xact_lock(hashtext('clm bootstrap'));
    FOREACH role IN ARRAY ARRAY['clm_migrate', 'clm_secure_app', 'clm_core_app', 'clm_auditor', 'clm_backup'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION', role);
        END IF;
    END LOOP;
END
$$;
