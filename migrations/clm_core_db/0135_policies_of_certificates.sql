-- Policies about secrets can be for whoever logs in with a certificate, too.

COMMENT ON COLUMN access_policies.entity_bindings IS 'user:ID, app_role:ID and certificate:SHA256: a document of kind secrets is for their tokens, whether or not these name it; empty: for whoever carries its name.';
