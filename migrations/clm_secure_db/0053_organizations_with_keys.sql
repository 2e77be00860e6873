-- Which organizations have keys, so that the integrity check can say which of them clm_core_db does not have. Ids, and nothing else of any tenant.

-- Row-level security holds for the owner as well, as which the function runs.
CREATE POLICY owner ON encryption_keys FOR SELECT TO clm_migrate USING (key_type = 'master');

CREATE FUNCTION organizations_with_keys() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT DISTINCT k.organization_id FROM encryption_keys k WHERE k.key_type = 'master' ORDER BY k.organization_id
$$;
COMMENT ON FUNCTION organizations_with_keys() IS 'All organizations that have a key to wrap others, by id.';
REVOKE EXECUTE ON FUNCTION organizations_with_keys() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION organizations_with_keys() TO clm_secure_app;
