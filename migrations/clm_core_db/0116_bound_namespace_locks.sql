-- That a namespace is locked is said in its organization's row as well, under that row's MAC: who deletes the lock's own row opens nothing.

ALTER TABLE organizations ADD COLUMN api_locked boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN organizations.api_locked IS 'The namespace answers nothing until it is unlocked. The key for that is in system_entries, of kind namespace_lock; without that row a root token unlocks.';
