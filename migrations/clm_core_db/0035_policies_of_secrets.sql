-- Whom policies of kind secrets are for, now that they are.

COMMENT ON COLUMN access_policies.entity_bindings IS 'user:ID and app_role:ID: a document of kind secrets is for their tokens, whether or not these name it; empty: for whoever carries its name.';
COMMENT ON COLUMN access_policies.max_ttl_seconds IS 'A document of kind secrets counts for tokens so long after they were made.';
COMMENT ON COLUMN access_policies.deny_policy IS 'A document of kind secrets that forbids what it names, whatever others grant.';
