-- The audit log: append-only for the service's own role, hash-chained, one chain a writer.
--
-- Hot partition: primary key and BRIN only; event_id has no unique index (a unique key would need the partition column, and
-- each B-tree costs every record). Indexes for readers are added to closed partitions by a job.
-- Nothing here stops the owner or a superuser, and no trigger would: what they change, the hash chain and the signed checkpoints tell.

CREATE TABLE audit_log (
    chain_id         uuid        NOT NULL,
    seq              bigint      NOT NULL CHECK (seq > 0),
    previous_hash    bytea       NOT NULL CHECK (octet_length(previous_hash) = 32),
    record_hash      bytea       NOT NULL CHECK (octet_length(record_hash) = 32),
    encoding_version smallint    NOT NULL,
    event_id         uuid        NOT NULL,
    event_type       text        NOT NULL,
    event_category   text        NOT NULL CHECK (event_category IN ('authentication', 'authorization', 'certificate', 'policy', 'workflow', 'user_management', 'system')),
    severity         text        NOT NULL CHECK (severity IN ('info', 'warning', 'error', 'critical')),
    organization_id  uuid        NOT NULL,
    resource_type    text        NOT NULL,
    resource_id      text,
    action           text        NOT NULL,
    action_result    text        NOT NULL CHECK (action_result IN ('success', 'failure', 'partial')),
    error_message    text,
    result_sha256    bytea       CHECK (octet_length(result_sha256) = 32),
    request_id       uuid        NOT NULL,
    user_id          uuid,
    accessor         text,
    ip_address       inet,
    user_agent       text,
    event_data       jsonb       NOT NULL,
    event_timestamp  timestamptz NOT NULL,
    -- What is rarely there is in event_data, which is hashed; these show it under its own name.
    session_id       text        GENERATED ALWAYS AS (event_data ->> 'session_id') STORED,
    username         text        GENERATED ALWAYS AS (event_data ->> 'username') STORED,
    resource_name    text        GENERATED ALWAYS AS (event_data ->> 'resource_name') STORED,
    changes_before   jsonb       GENERATED ALWAYS AS (event_data -> 'changes_before') STORED,
    changes_after    jsonb       GENERATED ALWAYS AS (event_data -> 'changes_after') STORED,
    change_summary   text        GENERATED ALWAYS AS (event_data ->> 'change_summary') STORED,
    PRIMARY KEY (chain_id, seq, event_timestamp)
) PARTITION BY RANGE (event_timestamp);
CREATE INDEX audit_log_event_timestamp ON audit_log USING brin (event_timestamp);
COMMENT ON TABLE audit_log IS 'What was done, by whom, with what outcome; hash-chained per writer.';

-- A clock that jumps must never stop signing: what no month takes, this one does (and an alarm says so).
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;

-- Makes the partitions from one month back to three ahead; says how many. The service's role may run it and nothing else of DDL.
-- A partition is made aside and attached, which stops no writer; a long-running reader makes this give up after two seconds, and
-- the service asks again later.
CREATE FUNCTION ensure_audit_partitions(today date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '2s' AS $$
DECLARE
    month date;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('clm audit partitions'));
    FOR step IN -1..3 LOOP
        month := (date_trunc('month', today) + make_interval(months => step))::date;
        partition := 'audit_log_' || to_char(month, 'YYYY_MM');
        IF to_regclass(format('public.%I', partition)) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_log INCLUDING ALL)', partition);
                EXECUTE format('ALTER TABLE public.audit_log ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', partition,
                    to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00');
                EXECUTE format('GRANT SELECT ON public.%I TO clm_backup', partition);
                made := made + 1;
            EXCEPTION WHEN check_violation THEN
                -- A clock that jumped has put records of this month into the default partition: they stay there, as all of the month will.
                RAISE WARNING 'records of % are in audit_log_default, so that month gets no partition of its own', to_char(month, 'YYYY-MM');
            END;
        END IF;
    END LOOP;
    RETURN made;
END
$$;

-- Whether the alarm is to be raised. The service's role reads no partition by itself.
CREATE FUNCTION audit_default_partition_in_use() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT EXISTS (SELECT FROM public.audit_log_default)
$$;

SELECT ensure_audit_partitions((now() AT TIME ZONE 'UTC')::date);

-- Who writes a chain: fenced, so that a writer that lost its lease inserts nothing.
CREATE TABLE audit_chains (
    chain_id     uuid        PRIMARY KEY,
    owner        uuid        NOT NULL,
    fence        bigint      NOT NULL,
    seq          bigint      NOT NULL,
    hash         bytea       NOT NULL CHECK (octet_length(hash) = 32),
    leased_until timestamptz NOT NULL
);
COMMENT ON TABLE audit_chains IS 'Heads of the chains and the lease of their writers.';

-- Heads of all chains, signed by an HSM key: cutting off a tail is found too.
CREATE TABLE audit_checkpoints (
    id          uuid        PRIMARY KEY,
    created_at  timestamptz NOT NULL,
    heads       bytea       NOT NULL,
    merkle_root bytea       NOT NULL CHECK (octet_length(merkle_root) = 32),
    signature   bytea       NOT NULL,
    public_key  bytea       NOT NULL
);
COMMENT ON TABLE audit_checkpoints IS 'Signed Merkle roots over the heads of all chains.';

-- One group commit serves many organizations, so inserts are free of the tenant; reading is not.
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY append ON audit_log FOR INSERT TO clm_core_app WITH CHECK (true);
CREATE POLICY tenant ON audit_log FOR SELECT TO clm_core_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY everything ON audit_log FOR SELECT TO clm_auditor, clm_backup USING (true);

GRANT SELECT, INSERT ON audit_log TO clm_core_app;
GRANT SELECT, INSERT, UPDATE ON audit_chains TO clm_core_app;
GRANT SELECT, INSERT ON audit_checkpoints TO clm_core_app;
REVOKE EXECUTE ON FUNCTION ensure_audit_partitions(date), audit_default_partition_in_use() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_audit_partitions(date), audit_default_partition_in_use() TO clm_core_app;
GRANT SELECT ON audit_log, audit_chains, audit_checkpoints TO clm_auditor, clm_backup;
-- pg_dump reads each partition by itself.
GRANT SELECT ON audit_log_default TO clm_backup;
