-- What an authority gave for a key, kept with it.

ALTER TABLE private_keys ADD COLUMN certificate_chain text;
COMMENT ON COLUMN private_keys.certificate_chain IS 'PEM: the certificate of this version, then those of its issuers.';
