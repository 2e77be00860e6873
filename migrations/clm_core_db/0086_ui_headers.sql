-- Headers of answers below ui/, kept where sys/ keeps its settings.

ALTER TABLE system_entries DROP CONSTRAINT system_entries_kind_check;
ALTER TABLE system_entries ADD CONSTRAINT system_entries_kind_check
    CHECK (kind IN ('audit_device', 'audited_header', 'cors', 'password_policy', 'quota_configuration', 'rate_limit', 'seal', 'ui_header'));
