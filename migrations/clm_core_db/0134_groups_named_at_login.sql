-- A renewal of a token puts its bearer into the external groups that have an alias by now, and takes him out of those that have none any more,
-- as a login does: what the login method said at the last login is kept for that.

ALTER TABLE entity_aliases ADD COLUMN group_names text[];
COMMENT ON COLUMN entity_aliases.group_names IS 'Groups that the login method named at the last login, sorted; NULL: it never named any.';
