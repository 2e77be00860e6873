"""What an operator of several organizations does with hvac: namespaces, and an administrator in each.

hvac itself reads VAULT_ADDR and VAULT_TOKEN. The service is initialised and unsealed. Prints `done` at the end.
"""

import hvac
from checks import raises
from hvac.exceptions import Forbidden, InvalidPath

POLICY = """path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }"""


def made(root, name):
    root.sys.create_namespace(path=name)
    inside = hvac.Client(namespace=name)
    inside.sys.create_or_update_policy(name="admin", policy=POLICY)
    inside.sys.enable_auth_method(method_type="userpass")
    inside.auth.userpass.create_or_update_user(username=f"{name}-admin", password="a good one", policies="admin")
    admin = hvac.Client(namespace=name, token="")
    admin.auth.userpass.login(username=f"{name}-admin", password="a good one")
    return admin


root = hvac.Client()
team, other = made(root, "team"), made(root, "other")
listed = root.sys.list_namespaces()["data"]
assert listed["keys"] == ["other/", "team/"], listed
assert listed["key_info"]["team/"]["path"] == "team/", listed

for client in (team, other):
    client.sys.enable_secrets_engine(backend_type="transit")
    client.secrets.transit.create_key(name="orders", key_type="ecdsa-p256")
signed = team.secrets.transit.sign_data(name="orders", hash_input="YQ==")["data"]["signature"]
for client, valid in ((team, True), (other, False)):
    verified = client.secrets.transit.verify_signed_data(name="orders", hash_input="YQ==", signature=signed)
    assert verified["data"]["valid"] is valid, verified
assert "transit/" in team.sys.list_mounted_secrets_engines()["data"]
assert team.auth.token.lookup_self()["data"]["namespace_path"] == "team/"

# The administrator of one has nothing in the other, nor in the root namespace.
for namespace in ("other", None):
    stranger = hvac.Client(namespace=namespace, token=team.token)
    raises(Forbidden, stranger.secrets.transit.read_key, name="orders")
    raises(Forbidden, stranger.sys.list_namespaces)

root.sys.delete_namespace(path="other")
assert root.sys.list_namespaces()["data"]["keys"] == ["team/"]
raises(InvalidPath, other.secrets.transit.read_key, name="orders")
print("done")
