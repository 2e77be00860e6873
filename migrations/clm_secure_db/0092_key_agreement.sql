-- Keys that agree on others by ECDH (NIST SP 800-56A).

ALTER TABLE private_keys
    DROP CONSTRAINT private_keys_key_algorithm_check,
    ADD CONSTRAINT private_keys_key_algorithm_check
        CHECK (key_algorithm IN ('RSA', 'ECDH', 'ECDSA', 'Ed25519', 'Ed448', 'ML-DSA', 'ML-KEM'));
