-- Servers keep in memory what a login with a SecretID rests on, and look once more under lock whether the rows are there in that revision. A row that
-- was changed behind the service's back keeps its revision: of that they are told.

CREATE TRIGGER changed AFTER UPDATE ON app_roles FOR EACH ROW EXECUTE FUNCTION notify_changed();
-- Logins that are counted are no change: such a SecretID is read each time.
CREATE TRIGGER changed AFTER UPDATE ON app_role_secret_ids FOR EACH ROW
    WHEN ((to_jsonb(OLD) - 'uses_left' - 'updated_at') IS DISTINCT FROM (to_jsonb(NEW) - 'uses_left' - 'updated_at'))
    EXECUTE FUNCTION notify_changed();
