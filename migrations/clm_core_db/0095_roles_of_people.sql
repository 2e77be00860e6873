-- Roles of people act at once: servers forget what the tokens of somebody may do when a role is given or withdrawn, when a role changes, and when
-- the person may log in no more. No program has given a role yet.

-- Of an assignment the person is told, whose tokens it concerns; a role has its own id, under which servers keep whoever has it.
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON user_roles FOR EACH ROW EXECUTE FUNCTION notify_changed_of('user_id');
CREATE TRIGGER changed AFTER UPDATE OR DELETE ON roles FOR EACH ROW EXECUTE FUNCTION notify_changed();
-- Logins and what they count are no change.
CREATE TRIGGER changed AFTER UPDATE ON users FOR EACH ROW
    WHEN (OLD.row_mac IS DISTINCT FROM NEW.row_mac OR OLD.status IS DISTINCT FROM NEW.status OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at)
    EXECUTE FUNCTION notify_changed();

COMMENT ON COLUMN user_roles.valid_from IS 'The role counts from then on,';
COMMENT ON COLUMN user_roles.valid_until IS 'and not any more then: looked at with each request.';
COMMENT ON COLUMN user_roles.revoked_at IS 'Withdrawn then; given anew the row is the same, with its next revision.';
COMMENT ON COLUMN roles.parent_role_id IS 'Whoever has the role also has this one, and all above it; of one that is not active or was deleted nothing.';
