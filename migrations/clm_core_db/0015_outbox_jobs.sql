-- What the other database has still to do, and work that comes again and again.

CREATE TABLE outbox (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    kind            text        NOT NULL CHECK (kind IN ('mount.close')),
    resource_id     uuid        NOT NULL,
    created_at      timestamptz NOT NULL,
    attempts        integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    leased_until    timestamptz,
    last_error      text,
    revision        bigint      NOT NULL CHECK (revision > 0),
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32)
);
CREATE INDEX outbox_organization_id ON outbox (organization_id, id);
CREATE INDEX outbox_next_attempt_at ON outbox (next_attempt_at);
COMMENT ON TABLE outbox IS 'Changes that were made here and that clm_secure_db has still to follow. Written in the transaction of the change, deleted when the other side has followed.';
COMMENT ON COLUMN outbox.resource_id IS 'What it is about, by kind: the mount.';
COMMENT ON COLUMN outbox.attempts IS 'Progress, like the three columns after it: not covered by row_mac.';
COMMENT ON COLUMN outbox.leased_until IS 'By the clock of the database: until then one server is at it, and no other takes it.';
COMMENT ON COLUMN outbox.last_error IS 'Why the last attempt failed; no secret.';

ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;
DO $$
DECLARE
    own text := '(organization_id = nullif(current_setting(''clm.organization_id'', true), '''')::uuid)';
BEGIN
    EXECUTE format('CREATE POLICY tenant_select ON outbox FOR SELECT TO clm_core_app USING %s', own);
    EXECUTE format('CREATE POLICY tenant_insert ON outbox FOR INSERT TO clm_core_app WITH CHECK %s', own);
    EXECUTE format('CREATE POLICY tenant_update ON outbox FOR UPDATE TO clm_core_app USING %s', own);
    -- What nobody has tried is not done.
    EXECUTE format('CREATE POLICY tenant_delete ON outbox FOR DELETE TO clm_core_app USING (%s AND attempts > 0)', own);
END
$$;
CREATE POLICY everything ON outbox FOR SELECT TO clm_backup, clm_auditor, clm_migrate USING (true);
GRANT SELECT, INSERT, DELETE, UPDATE (attempts, next_attempt_at, leased_until, last_error) ON outbox TO clm_core_app;
GRANT SELECT (id, organization_id, revision, row_mac) ON outbox TO clm_auditor;
GRANT SELECT ON outbox TO clm_backup;

-- Whose entries are due: asked for all tenants at once, so that an idle service asks one question.
CREATE FUNCTION organizations_with_due_entries() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT DISTINCT organization_id FROM outbox WHERE next_attempt_at <= now() AND (leased_until IS NULL OR leased_until <= now())
$$;
REVOKE EXECUTE ON FUNCTION organizations_with_due_entries() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION organizations_with_due_entries() TO clm_core_app;

-- Of the deployment, not of a tenant: each job goes through the organizations by itself.
CREATE TABLE jobs (
    name             text        PRIMARY KEY,
    next_run_at      timestamptz NOT NULL,
    leased_by        uuid,
    leased_until     timestamptz,
    runs             bigint      NOT NULL DEFAULT 0 CHECK (runs >= 0),
    last_started_at  timestamptz,
    last_finished_at timestamptz,
    last_error       text,
    CHECK ((leased_by IS NULL) = (leased_until IS NULL))
);
COMMENT ON TABLE jobs IS 'Work that comes again and again, a row each: one server at a time does it, by a lease.';
COMMENT ON COLUMN jobs.leased_by IS 'The server that is at it: drawn anew with each start.';
COMMENT ON COLUMN jobs.leased_until IS 'By the clock of the database. After it another server may begin, and what the first one then says is not written.';
COMMENT ON COLUMN jobs.last_error IS 'Why the last run failed; no secret.';
GRANT SELECT, INSERT, UPDATE ON jobs TO clm_core_app;
GRANT SELECT ON jobs TO clm_backup;
