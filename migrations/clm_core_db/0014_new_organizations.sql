-- A new organization is heard of at once: servers read the mounts and policies of those they know.

DROP TRIGGER changed ON organizations;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON organizations FOR EACH ROW EXECUTE FUNCTION notify_changed();
