-- A key that was deleted says so in its state, and its transitions are found by the name that it had.

ALTER TABLE named_keys
    DROP CONSTRAINT named_keys_key_state_check,
    ADD CONSTRAINT named_keys_key_state_check
        CHECK (key_state IN ('pre_activation', 'active', 'suspended', 'deactivated', 'compromised', 'destroyed')),
    ADD CHECK (key_state <> 'destroyed' OR deleted_at IS NOT NULL);
CREATE INDEX named_keys_deleted ON named_keys (organization_id, mount_id, name, deleted_at) WHERE deleted_at IS NOT NULL;
