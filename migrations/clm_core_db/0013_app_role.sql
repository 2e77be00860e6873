-- What AppRole needs beyond the seeds: RoleIDs that people choose, addresses and other settings of tokens.

ALTER TABLE app_roles
    DROP CONSTRAINT app_roles_role_id_key,
    ALTER COLUMN role_id TYPE text USING role_id::text,
    ADD UNIQUE (mount_id, role_id),
    ADD COLUMN token_bound_cidr_list cidr[]  NOT NULL DEFAULT '{}',
    ADD COLUMN token_settings        jsonb   NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(token_settings) = 'object'),
    ADD COLUMN local_secret_ids      boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN app_roles.bound_cidr_list IS 'Where a SecretID may be used.';
COMMENT ON COLUMN app_roles.token_bound_cidr_list IS 'Where tokens may be used.';
COMMENT ON COLUMN app_roles.token_settings IS 'What the columns do not say of tokens: uses, period, type, explicit maximum, ….';

-- Tokens bound to addresses are a constraint, too.
DO $$
DECLARE
    old text;
BEGIN
    SELECT conname INTO STRICT old FROM pg_constraint
    WHERE conrelid = 'app_roles'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%bind_secret_id%';
    EXECUTE format('ALTER TABLE app_roles DROP CONSTRAINT %I', old);
END
$$;
ALTER TABLE app_roles ADD CHECK (bind_secret_id OR bound_cidr_list <> '{}' OR token_bound_cidr_list <> '{}');

ALTER TABLE app_role_secret_ids ADD COLUMN token_bound_cidr_list cidr[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN app_role_secret_ids.token_bound_cidr_list IS 'Where tokens made by it may be used, in place of the role''s.';
