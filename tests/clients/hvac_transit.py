"""What an application does with hvac to its data: encrypting, data keys, HMACs.

hvac itself reads VAULT_ADDR, VAULT_TOKEN and VAULT_CACERT. Prints `done` at the end.
"""

import base64
import hashlib
import hmac

import hvac
from checks import b64, raises
from hvac.exceptions import InternalServerError, InvalidPath, InvalidRequest

MESSAGE = b"pay 100 to Alice"


def data(transit):
    transit.create_key("files", key_type="aes256-gcm96")
    made = transit.encrypt_data("files", plaintext=b64(MESSAGE))["data"]
    assert made["ciphertext"].startswith("vault:v1:") and made["key_version"] == 1, made
    assert transit.decrypt_data("files", made["ciphertext"])["data"]["plaintext"] == b64(MESSAGE)
    bound = transit.encrypt_data("files", plaintext=b64(MESSAGE), associated_data=b64(b"order 7"))["data"]["ciphertext"]
    opened = transit.decrypt_data("files", bound, associated_data=b64(b"order 7"))["data"]["plaintext"]
    assert opened == b64(MESSAGE)
    errors = raises(InvalidRequest, transit.decrypt_data, "files", bound, associated_data=b64(b"order 8"))
    assert errors == ["cipher: message authentication failed"], errors

    batch = [{"plaintext": b64(MESSAGE), "reference": "a"}, {"plaintext": b64(b"x")}]
    made = transit.encrypt_data("made-by-encrypting", batch_input=batch)["data"]["batch_results"]
    assert [item["reference"] for item in made] == ["a", ""], made
    assert transit.read_key("made-by-encrypting")["data"]["type"] == "aes256-gcm96"
    opened = transit.decrypt_data("made-by-encrypting", batch_input=[{"ciphertext": item["ciphertext"]} for item in made])
    assert [item["plaintext"] for item in opened["data"]["batch_results"]] == [b64(MESSAGE), b64(b"x")]

    old = made[0]["ciphertext"]
    transit.rotate_key("made-by-encrypting")
    new = transit.rewrap_data("made-by-encrypting", ciphertext=old)["data"]["ciphertext"]
    assert new.startswith("vault:v2:"), new
    transit.update_key_configuration("made-by-encrypting", min_decryption_version=2)
    assert transit.decrypt_data("made-by-encrypting", new)["data"]["plaintext"] == b64(MESSAGE)
    raises(InvalidRequest, transit.decrypt_data, "made-by-encrypting", old)


def derived(transit):
    transit.create_key("people", key_type="aes256-gcm96", derived=True, convergent_encryption=True)
    alice = b64(b"alice")
    first, second = (
        transit.encrypt_data("people", plaintext=b64(MESSAGE), context=alice)["data"]["ciphertext"] for _ in range(2)
    )
    assert first == second
    assert transit.decrypt_data("people", first, context=alice)["data"]["plaintext"] == b64(MESSAGE)
    raises(InvalidRequest, transit.decrypt_data, "people", first, context=b64(b"bob"))
    raises(InvalidRequest, transit.encrypt_data, "people", plaintext=b64(MESSAGE))


def data_keys(transit):
    for bits in [128, 256, 512]:
        made = transit.generate_data_key("files", key_type="plaintext", bits=bits)["data"]
        assert len(base64.b64decode(made["plaintext"])) == bits // 8
        opened = transit.decrypt_data("files", made["ciphertext"])["data"]["plaintext"]
        assert opened == made["plaintext"]
    wrapped = transit.generate_data_key("files", key_type="wrapped")["data"]
    assert "plaintext" not in wrapped and wrapped["ciphertext"].startswith("vault:v1:"), wrapped


def hmacs(transit):
    transit.create_key("seals", key_type="ecdsa-p256", exportable=True)
    key = base64.b64decode(transit.export_key("seals", key_type="hmac-key")["data"]["keys"]["1"])
    for algorithm, name in [("sha2-224", "sha224"), ("sha2-256", "sha256"), ("sha2-384", "sha384"), ("sha2-512", "sha512")]:
        made = transit.generate_hmac("seals", hash_input=b64(MESSAGE), algorithm=algorithm)["data"]["hmac"]
        assert made == "vault:v1:" + b64(hmac.digest(key, MESSAGE, getattr(hashlib, name))), algorithm
        options = {"hmac": made, "hash_algorithm": algorithm}
        assert transit.verify_signed_data("seals", b64(MESSAGE), **options)["data"]["valid"] is True
        assert transit.verify_signed_data("seals", b64(b"x"), **options)["data"]["valid"] is False


def backups(transit):
    transit.create_key("kept", key_type="aes256-gcm96", exportable=True, allow_plaintext_backup=True)
    made = transit.encrypt_data("kept", plaintext=b64(MESSAGE))["data"]["ciphertext"]
    backup = transit.backup_key("kept")["data"]["backup"]
    assert transit.restore_key(backup, name="again").status_code == 204
    assert transit.decrypt_data("again", made)["data"]["plaintext"] == b64(MESSAGE)
    # As hvac's own tests have it.
    raises(InternalServerError, transit.restore_key, backup)
    assert transit.restore_key(backup, force=True).status_code == 204


def trimmed(transit):
    transit.rotate_key("files")
    transit.rotate_key("files")
    transit.update_key_configuration("files", min_decryption_version=2, min_encryption_version=3)
    assert transit.trim_key("files", min_version=2)["data"]["min_available_version"] == 2
    assert sorted(transit.read_key("files")["data"]["keys"]) == ["2", "3"]
    raises(InvalidRequest, transit.update_key_configuration, "files", min_decryption_version=1)


def tools(transit):
    made = transit.generate_random_bytes(n_bytes=24, output_format="hex")["data"]["random_bytes"]
    assert len(bytes.fromhex(made)) == 24
    for algorithm, name in [("sha2-224", "sha224"), ("sha2-256", "sha256"), ("sha2-384", "sha384"), ("sha2-512", "sha512")]:
        sum = transit.hash_data(b64(MESSAGE), algorithm=algorithm, output_format="base64")["data"]["sum"]
        assert sum == b64(hashlib.new(name, MESSAGE).digest()), algorithm


def exports(transit):
    transit.create_key("shown", key_type="aes256-gcm96", exportable=True)
    transit.rotate_key("shown")
    keys = transit.export_key("shown", key_type="encryption-key")["data"]["keys"]
    assert sorted(keys) == ["1", "2"] and all(len(base64.b64decode(key)) == 32 for key in keys.values()), keys
    assert list(transit.export_key("shown", key_type="encryption-key", version="latest")["data"]["keys"]) == ["2"]
    raises(InvalidRequest, transit.export_key, "files", key_type="encryption-key")
    errors = raises(InternalServerError, transit.backup_key, "shown")
    assert "plaintext backup is disallowed on the policy" in errors[0], errors
    assert transit.update_key_configuration("shown", deletion_allowed=True)["data"]["deletion_allowed"] is True
    assert transit.delete_key("shown").status_code == 204
    raises(InvalidPath, transit.export_key, "shown", key_type="encryption-key")


def main():
    transit = hvac.Client().secrets.transit
    data(transit)
    derived(transit)
    data_keys(transit)
    hmacs(transit)
    backups(transit)
    tools(transit)
    exports(transit)
    trimmed(transit)
    print("done")


main()
