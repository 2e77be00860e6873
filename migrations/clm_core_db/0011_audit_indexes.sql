-- Indexes for readers of the audit log, on closed months only: in the hot partition each would cost every record.
--
-- Adds the first one that is missing and says its name; NULL: none is, or another server is adding one. Each call is a transaction of its
-- own, so that whoever is interrupted goes on where it was. A month is closed a week after its end: CREATE INDEX lets nobody write to that
-- one partition meanwhile, and by then no clock that is merely wrong does.
CREATE FUNCTION index_closed_audit_partition(today date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '2s' AS $$
DECLARE
    missing record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('clm audit indexes')) THEN
        RETURN NULL;
    END IF;
    SELECT p.relname AS partition, p.relname || '_' || i.suffix AS index, i.definition INTO missing
    FROM pg_inherits h
    JOIN pg_class p ON p.oid = h.inhrelid
    CROSS JOIN (VALUES
        (1, 'type', '(event_type)'),
        (2, 'category', '(event_category)'),
        (3, 'user', '(user_id)'),
        (4, 'resource', '(resource_type, resource_id)'),
        (5, 'timestamp', '(event_timestamp DESC)'),
        (6, 'severity', '(severity) WHERE severity IN (''error'', ''critical'')')
    ) AS i(place, suffix, definition)
    WHERE h.inhparent = 'public.audit_log'::regclass
      AND p.relname ~ '^audit_log_[0-9]{4}_[0-9]{2}$'
      AND to_date(right(p.relname, 7), 'YYYY_MM') + interval '1 month 7 days' <= today
      AND to_regclass(format('public.%I', p.relname || '_' || i.suffix)) IS NULL
    ORDER BY p.relname, i.place
    LIMIT 1;
    IF missing IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('CREATE INDEX %I ON public.%I ', missing.index, missing.partition) || missing.definition;
    RETURN missing.index;
END
$$;
COMMENT ON FUNCTION index_closed_audit_partition(date) IS 'Adds one missing index to a closed month of the audit log.';

REVOKE EXECUTE ON FUNCTION index_closed_audit_partition(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION index_closed_audit_partition(date) TO clm_core_app;
