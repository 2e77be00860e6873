-- Versions of the program that have worked here, and namespaces that are locked: kept where sys/ keeps its settings.

ALTER TABLE system_entries DROP CONSTRAINT system_entries_kind_check;
ALTER TABLE system_entries ADD CONSTRAINT system_entries_kind_check CHECK (kind IN
    ('audit_device', 'audited_header', 'cors', 'login_enforcement', 'mfa_method', 'namespace_lock', 'password_policy', 'quota_configuration', 'rate_limit',
     'seal', 'ui_header', 'version'));
