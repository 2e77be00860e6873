-- Keys of FIPS 204 (ML-DSA) and FIPS 203 (ML-KEM), on tokens that make them.

ALTER TABLE private_keys
    DROP CONSTRAINT private_keys_key_algorithm_check,
    ADD CONSTRAINT private_keys_key_algorithm_check
        CHECK (key_algorithm IN ('RSA', 'ECDSA', 'Ed25519', 'Ed448', 'ML-DSA', 'ML-KEM'));
COMMENT ON COLUMN private_keys.key_size IS 'Bits; of ML-DSA and ML-KEM the number of the parameter set.';
