-- Symmetric working keys beside the organization keys, and an HMAC key beside every version.

ALTER TABLE encryption_keys
    ADD COLUMN named_key_id           uuid REFERENCES named_keys (id),
    ADD COLUMN storage                text CHECK (storage IN ('wrapped', 'token')),
    ADD COLUMN hmac_key_material      bytea,
    ADD COLUMN encryption_key_id      uuid REFERENCES encryption_keys (id),
    ADD COLUMN is_exportable          boolean,
    ADD COLUMN hsm_key_id             uuid,
    ADD COLUMN hsm_token_id           uuid REFERENCES hsm_tokens (id),
    ADD CHECK ((key_type = 'master') = (named_key_id IS NULL)),
    ADD CHECK (named_key_id IS NULL OR (storage IS NOT NULL AND is_exportable IS NOT NULL)),
    ADD CHECK (storage <> 'token' OR hsm_key_id IS NOT NULL),
    ADD CHECK (storage <> 'wrapped' OR key_state = 'destroyed' OR (encrypted_key_material IS NOT NULL AND encryption_key_id IS NOT NULL));
COMMENT ON TABLE encryption_keys IS 'Organization keys (key_type master), which wrap the working keys of one organization, and versions of symmetric named keys: a blob wrapped in the HSM, or the handle of an object in it.';
CREATE UNIQUE INDEX encryption_keys_named_key_version ON encryption_keys (named_key_id, key_version) WHERE named_key_id IS NOT NULL;
CREATE INDEX encryption_keys_encryption_key_id ON encryption_keys (encryption_key_id) WHERE encryption_key_id IS NOT NULL;
CREATE INDEX encryption_keys_hsm_token_id ON encryption_keys (hsm_token_id) WHERE hsm_token_id IS NOT NULL;
CREATE TRIGGER encryption_keys_changed AFTER INSERT OR UPDATE OR DELETE ON encryption_keys FOR EACH ROW EXECUTE FUNCTION notify_changed();

ALTER TABLE private_keys ADD COLUMN hmac_key_material bytea;
COMMENT ON COLUMN private_keys.hmac_key_material IS 'The HMAC key beside this version, wrapped by encryption_key_id.';
COMMENT ON COLUMN encryption_keys.hmac_key_material IS 'The HMAC key beside this version, wrapped by encryption_key_id; none beside keys of type hmac, which are one.';

-- key_size: bytes of keys of type hmac. kdf: how the keys of contexts are derived, for derived keys.
ALTER TABLE named_keys
    ADD COLUMN key_size              integer CHECK (key_size BETWEEN 32 AND 512),
    ADD COLUMN kdf                   text CHECK (kdf IN ('aes_ecb_encrypt_data')),
    ADD COLUMN convergent_encryption boolean NOT NULL DEFAULT false,
    ADD CHECK (NOT convergent_encryption OR kdf IS NOT NULL);
