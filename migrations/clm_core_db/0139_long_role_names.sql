-- A role of AppRole has a name of up to 4096 bytes, more than an entry of a B-tree holds: that there is one of a name in a mount is held by its
-- digest, and a name is found by its hash. The unique index keeps the name of the rule that it is in place of.

CREATE FUNCTION text_sha256(content text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN sha256(convert_to(content, 'UTF8'));
COMMENT ON FUNCTION text_sha256(text) IS 'A text''s digest, for unique indexes over texts of any length. Immutable because the database is UTF-8.';
REVOKE EXECUTE ON FUNCTION text_sha256(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION text_sha256(text) TO clm_core_app;

ALTER TABLE app_roles DROP CONSTRAINT app_roles_mount_id_role_name_key;
CREATE UNIQUE INDEX app_roles_mount_id_role_name_key ON app_roles (mount_id, text_sha256(role_name));
CREATE INDEX app_roles_role_name ON app_roles USING hash (role_name);
ALTER TABLE app_roles ADD CHECK (octet_length(role_name) <= 4096);
