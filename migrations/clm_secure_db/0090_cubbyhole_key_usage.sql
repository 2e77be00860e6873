-- Encryptions by keys for what tokens keep count as those by data keys do, and a server that did not make the newest is told of it.

ALTER TABLE key_usage
    ADD COLUMN cubbyhole_key_id uuid UNIQUE REFERENCES cubbyhole_keys (id),
    DROP CONSTRAINT key_usage_check,
    ADD CONSTRAINT key_usage_check CHECK (num_nonnulls(encryption_key_id, private_key_id, cubbyhole_key_id) = 1);
COMMENT ON COLUMN key_usage.cubbyhole_key_id IS 'The version, of a cubbyhole key.';

CREATE TRIGGER cubbyhole_keys_changed AFTER INSERT OR UPDATE OR DELETE ON cubbyhole_keys FOR EACH ROW EXECUTE FUNCTION notify_changed();
