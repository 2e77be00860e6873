-- Organizations and the inventory carry revision and MAC like whatever else gives authority: a tenant that SQL made, or made active again, is
-- served nothing.

ALTER TABLE organizations
    ADD COLUMN revision bigint NOT NULL DEFAULT 1 CHECK (revision > 0),
    ADD COLUMN row_mac  bytea  NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(row_mac) = 32);
COMMENT ON COLUMN organizations.row_mac IS 'Over all columns but created_at and updated_at. Zeros: written before there were MACs, or by SQL. The service binds organization root once, which is on record, and refuses all others.';

-- No program has written a row of it yet, and the release before never does.
ALTER TABLE certificate_metadata
    ADD COLUMN revision bigint NOT NULL DEFAULT 1 CHECK (revision > 0),
    ADD COLUMN row_mac  bytea  NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(row_mac) = 32);
ALTER TABLE certificate_metadata ALTER COLUMN revision DROP DEFAULT, ALTER COLUMN row_mac DROP DEFAULT;
GRANT SELECT (id, organization_id, revision, row_mac) ON certificate_metadata TO clm_auditor;

-- Those that were deleted, by organization: few, and asked for by themselves.
CREATE INDEX roles_deleted ON roles (organization_id, role_code) WHERE deleted_at IS NOT NULL;
CREATE INDEX policies_deleted ON policies (organization_id, policy_code) WHERE deleted_at IS NOT NULL;
CREATE INDEX workflows_deleted ON workflows (organization_id, workflow_code) WHERE deleted_at IS NOT NULL;
CREATE INDEX certificate_metadata_deleted ON certificate_metadata (organization_id, certificate_id) WHERE deleted_at IS NOT NULL;

-- Which organization a code names: asked before it is known for whom to speak. The names are no secret from the service.
CREATE FUNCTION organization_codes() RETURNS TABLE (id uuid, org_code text, is_deleted boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT o.id, o.org_code, o.deleted_at IS NOT NULL FROM organizations o ORDER BY o.org_code
$$;
COMMENT ON FUNCTION organization_codes() IS 'All organizations by code, those too that were deleted.';
REVOKE EXECUTE ON FUNCTION organization_codes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION organization_codes() TO clm_core_app;
