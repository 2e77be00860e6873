-- Whose lease an entry of the outbox is, as with jobs: who works on it takes it anew in time, and nobody else does.

ALTER TABLE outbox ADD COLUMN leased_by uuid;
COMMENT ON COLUMN outbox.leased_by IS 'The server that is at it: drawn anew with each start. Null with a lease: a server of the release before took it.';
GRANT UPDATE (leased_by) ON outbox TO clm_core_app;
