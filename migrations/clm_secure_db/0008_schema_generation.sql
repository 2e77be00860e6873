-- Which release's schema this is. A program of generation N works on N and N + 1 (docs/decisions/0004-schema-generation.md): the first
-- migration of a release that changes the schema replaces this function by one that gives the next number.
CREATE FUNCTION schema_generation() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
COMMENT ON FUNCTION schema_generation() IS 'The generation of this schema: programs of it and of the one before work here.';
REVOKE EXECUTE ON FUNCTION schema_generation() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schema_generation() TO clm_secure_app;
