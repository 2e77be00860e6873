-- Logins that wait for what comes from elsewhere: for a browser that was sent to an OpenID provider. Any server can finish one, and only one does.

CREATE TABLE pending_logins (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES organizations (id),
    mount_id        uuid        NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('oidc')),
    handle_hmac     bytea       NOT NULL UNIQUE CHECK (octet_length(handle_hmac) = 32),
    content         bytea       NOT NULL,
    expires_at      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pending_logins_organization_id ON pending_logins (organization_id, expires_at);
CREATE INDEX pending_logins_mount_id ON pending_logins (mount_id);
COMMENT ON TABLE pending_logins IS 'Logins that wait for what comes from elsewhere. A row gives nobody anything; it is deleted when somebody comes back with its handle, or soon after its end.';
COMMENT ON COLUMN pending_logins.mount_id IS 'The login method.';
COMMENT ON COLUMN pending_logins.handle_hmac IS 'HMAC under an HSM key of what is to be shown to go on: the `state` of an OpenID login.';
COMMENT ON COLUMN pending_logins.content IS 'Encrypted in the HSM and bound to all other columns but created_at: a row that is not ours cannot be opened, so it needs no MAC beside that.';

ALTER TABLE pending_logins ENABLE ROW LEVEL SECURITY;
ALTER TABLE pending_logins FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON pending_logins TO clm_core_app USING (organization_id = nullif(current_setting('clm.organization_id', true), '')::uuid);
CREATE POLICY everything ON pending_logins FOR SELECT TO clm_backup, clm_migrate USING (true);
GRANT SELECT, INSERT, DELETE ON pending_logins TO clm_core_app;
GRANT SELECT ON pending_logins TO clm_backup;
