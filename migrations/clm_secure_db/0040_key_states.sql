-- States of keys (NIST SP 800-57 part 1, 7) with the facts of each transition, and destruction that waits.

ALTER TABLE named_keys
    ADD COLUMN key_state          text        NOT NULL DEFAULT 'active' CHECK (key_state IN ('pre_activation', 'active', 'suspended', 'deactivated', 'compromised')),
    ADD COLUMN state_changes      integer     NOT NULL DEFAULT 0 CHECK (state_changes >= 0),
    ADD COLUMN soft_deleted       boolean     NOT NULL DEFAULT false,
    ADD COLUMN destroy_at         timestamptz,
    ADD COLUMN objects_removed_at timestamptz,
    ADD CHECK (objects_removed_at IS NULL OR deleted_at IS NOT NULL);
COMMENT ON COLUMN named_keys.key_state IS 'Of the key as a whole; its versions have one each, and both must allow what is asked.';
COMMENT ON COLUMN named_keys.state_changes IS 'So many rows of key_state_changes are its own: one that was taken away is missed.';
COMMENT ON COLUMN named_keys.soft_deleted IS 'It does nothing until it is restored; nothing of it is destroyed.';
COMMENT ON COLUMN named_keys.destroy_at IS 'Then it is destroyed, unless that is cancelled before; until then it does nothing.';
COMMENT ON COLUMN named_keys.objects_removed_at IS 'Of a key that was destroyed when due: the token is rid of its objects, too. Outside row_mac: it says what need not be looked at again.';
-- Keys to be destroyed, and those whose objects are still to be removed, without looking at all others.
CREATE INDEX named_keys_destroy_at ON named_keys (organization_id, destroy_at) WHERE destroy_at IS NOT NULL AND objects_removed_at IS NULL;

CREATE TABLE key_state_changes (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL,
    named_key_id    uuid        NOT NULL REFERENCES named_keys (id),
    position        integer     NOT NULL CHECK (position > 0),
    version         integer     CHECK (version > 0),
    from_state      text        NOT NULL CHECK (from_state IN ('pre_activation', 'active', 'suspended', 'deactivated', 'compromised')),
    to_state        text        NOT NULL CHECK (to_state IN ('active', 'suspended', 'deactivated', 'compromised', 'destroyed')),
    reason          text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 1024),
    changed_by      text        NOT NULL,
    accessor        text,
    user_id         uuid,
    changed_at      timestamptz NOT NULL,
    revision        bigint      NOT NULL CHECK (revision = 1),
    row_mac         bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    UNIQUE (named_key_id, position),
    CHECK (from_state <> to_state)
);
CREATE INDEX key_state_changes_organization_id ON key_state_changes (organization_id);
COMMENT ON TABLE key_state_changes IS 'Transitions of keys and their versions between states: who, when and why. Rows are only added.';
COMMENT ON COLUMN key_state_changes.position IS 'Among the changes of this key, without gaps from 1.';
COMMENT ON COLUMN key_state_changes.version IS 'NULL: the key as a whole.';
COMMENT ON COLUMN key_state_changes.changed_by IS 'Display name of the token that asked.';
COMMENT ON COLUMN key_state_changes.user_id IS 'Of clm_core_db: no foreign key.';

ALTER TABLE key_state_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_state_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON key_state_changes TO clm_secure_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY backup ON key_state_changes FOR SELECT TO clm_backup USING (true);
CREATE POLICY audit ON key_state_changes FOR SELECT TO clm_auditor USING (true);
GRANT SELECT, INSERT ON key_state_changes TO clm_secure_app;
GRANT SELECT ON key_state_changes TO clm_backup;
GRANT SELECT (id, revision, row_mac) ON key_state_changes TO clm_auditor;
