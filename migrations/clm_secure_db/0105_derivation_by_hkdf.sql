-- Keys of contexts are derived by HKDF (RFC 5869) where the token has it; the row records which function.

ALTER TABLE named_keys
    DROP CONSTRAINT named_keys_kdf_check,
    ADD CONSTRAINT named_keys_kdf_check CHECK (kdf IN ('aes_ecb_encrypt_data', 'hkdf_sha256'));
