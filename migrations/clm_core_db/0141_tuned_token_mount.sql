-- The login method auth/token can be tuned: from then on it has a row of mounts, as the others have.

COMMENT ON COLUMN auth_roles.mount_id IS 'The login method; auth/token is in no row of mounts until it is tuned.';
COMMENT ON COLUMN entity_aliases.mount_id IS 'The login method; auth/token is in no row of mounts until it is tuned.';
