-- Mounts that were disabled in clm_core_db: nothing is made in them any more, and what was in them is destroyed.

-- No row_mac: a row that somebody adds stops work in a mount, and gives nobody anything.
CREATE TABLE closed_mounts (
    mount_id        uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL,
    change_id       uuid        NOT NULL UNIQUE,
    closed_at       timestamptz NOT NULL
);
CREATE INDEX closed_mounts_organization_id ON closed_mounts (organization_id);
COMMENT ON TABLE closed_mounts IS 'Mounts that clm_core_db has disabled. Written before their keys are destroyed, read before a key is made.';
COMMENT ON COLUMN closed_mounts.mount_id IS 'A mount of clm_core_db, which is no more: no foreign key.';
COMMENT ON COLUMN closed_mounts.change_id IS 'The entry of the outbox of clm_core_db that asked for it: applied twice it is still one.';

ALTER TABLE closed_mounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE closed_mounts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON closed_mounts TO clm_secure_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY backup ON closed_mounts FOR SELECT TO clm_backup USING (true);
GRANT SELECT, INSERT ON closed_mounts TO clm_secure_app;
GRANT SELECT ON closed_mounts TO clm_backup;

-- Keys that rotate by themselves, without looking at all others.
CREATE INDEX named_keys_auto_rotate ON named_keys (organization_id) WHERE auto_rotate_seconds > 0 AND deleted_at IS NULL;
