-- Organizations as namespaces: how many keys one may have, and what clients write on it. The row's MAC covers both where they are set.

ALTER TABLE organizations
    ADD COLUMN max_keys        integer CHECK (max_keys >= 0),
    ADD COLUMN custom_metadata jsonb   CHECK (jsonb_typeof(custom_metadata) = 'object');
COMMENT ON COLUMN organizations.max_keys IS 'Most named keys it may have in clm_secure_db; none: any number.';
COMMENT ON COLUMN organizations.custom_metadata IS 'Texts by name, as sys/namespaces keeps them.';
