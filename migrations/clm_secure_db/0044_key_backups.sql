-- When a key was last backed up and restored, and how many versions it had then.

ALTER TABLE named_keys
    ADD COLUMN backed_up_at     timestamptz,
    ADD COLUMN backup_version   integer CHECK (backup_version > 0),
    ADD COLUMN restored_at      timestamptz,
    ADD COLUMN restored_version integer CHECK (restored_version > 0),
    ADD CHECK ((backed_up_at IS NULL) = (backup_version IS NULL)),
    ADD CHECK ((restored_at IS NULL) = (restored_version IS NULL));
COMMENT ON COLUMN named_keys.backup_version IS 'Its newest version at backed_up_at.';
COMMENT ON COLUMN named_keys.restored_version IS 'Its newest version at restored_at.';
