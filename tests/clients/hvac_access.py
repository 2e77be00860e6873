"""Who may do what, with hvac: tokens and their roles, AppRole.

hvac itself reads VAULT_ADDR, VAULT_TOKEN and VAULT_CACERT. Prints `done` at the end.
"""

import hvac
from checks import raises
from hvac.exceptions import Forbidden, InternalServerError, InvalidPath, InvalidRequest

READ_MOUNTS = 'path "sys/mounts" { capabilities = ["read"] }'


def token_roles(client):
    tokens = client.auth.token
    raises(InvalidPath, tokens.list_roles)
    role = {"allowed_policies": "reader,other", "orphan": True, "token_period": "1h", "path_suffix": "sfx"}
    assert tokens.create_or_update_role("reader", **role).status_code == 204
    shown = tokens.read_role("reader")["data"]
    assert shown["allowed_policies"] == ["other", "reader"] and shown["orphan"] is True, shown
    assert tokens.list_roles()["data"]["keys"] == ["reader"]
    made = tokens.create(role_name="reader", policies=["reader"])["auth"]
    assert made["policies"] == ["default", "reader"] and made["orphan"] is True
    reader = hvac.Client(token=made["client_token"])
    assert reader.sys.list_mounted_secrets_engines()["data"]
    assert reader.auth.token.lookup_self()["data"]["role"] == "reader"
    raises(InvalidRequest, tokens.create, role_name="reader", policies=["third"])
    tokens.delete_role("reader")
    raises(InvalidPath, tokens.read_role, "reader")


def tokens(client):
    tokens = client.auth.token
    made = tokens.create(policies=["reader"], ttl="1h", num_uses=3, renewable=True)["auth"]
    limited = hvac.Client(token=made["client_token"])
    for _ in range(3):
        limited.sys.list_mounted_secrets_engines()
    raises(Forbidden, limited.sys.list_mounted_secrets_engines)

    batch = tokens.create(policies=["reader"], type="batch", ttl="1h")["auth"]
    assert batch["token_type"] == "batch" and batch["accessor"] == "" and batch["renewable"] is False
    assert hvac.Client(token=batch["client_token"]).sys.list_mounted_secrets_engines()["data"]
    raises(InvalidRequest, tokens.renew, batch["client_token"])
    raises(InvalidRequest, tokens.revoke, batch["client_token"])

    parent = tokens.create(policies=["maker"], ttl="1h")["auth"]["client_token"]
    child = hvac.Client(token=parent).auth.token.create(ttl="30m")["auth"]
    orphan = hvac.Client(token=parent).auth.token.create_orphan(ttl="30m")["auth"]
    assert orphan["orphan"] is True and child["orphan"] is False
    assert child["accessor"] in tokens.list_accessors()["data"]["keys"]
    assert tokens.lookup_accessor(child["accessor"])["data"]["id"] == ""
    assert tokens.renew_accessor(child["accessor"], increment="10m")["auth"]["client_token"] == ""
    assert tokens.renew(child["client_token"], increment="20m")["auth"]["lease_duration"] == 1200
    tokens.revoke(parent)
    assert hvac.Client(token=child["client_token"]).is_authenticated() is False
    assert hvac.Client(token=orphan["client_token"]).is_authenticated() is True
    tokens.revoke_accessor(orphan["accessor"])
    assert hvac.Client(token=orphan["client_token"]).is_authenticated() is False
    raises(InvalidRequest, tokens.lookup_accessor, "nobody")
    assert tokens.tidy().status_code == 202


def approle(client):
    client.sys.enable_auth_method("approle", path="programs", description="programs")
    methods = client.sys.list_auth_methods()["data"]
    assert methods["programs/"]["type"] == "approle" and methods["programs/"]["description"] == "programs"
    client.sys.tune_auth_method("programs", default_lease_ttl="30m")
    assert client.sys.read_auth_method_tuning("programs")["data"]["default_lease_ttl"] == 1800

    app, mount = client.auth.approle, {"mount_point": "programs"}
    raises(InvalidPath, app.list_roles, **mount)
    made = app.create_or_update_approle(
        "builder", token_policies=["reader"], token_ttl="20m", secret_id_num_uses=3, secret_id_ttl="1h", **mount
    )
    assert made.status_code == 204
    assert app.list_roles(**mount)["data"]["keys"] == ["builder"]
    assert app.read_role("builder", **mount)["data"]["token_policies"] == ["reader"]
    role_id = app.read_role_id("builder", **mount)["data"]["role_id"]
    app.update_role_id("builder", "builder-1", **mount)
    assert app.read_role_id("builder", **mount)["data"]["role_id"] == "builder-1" != role_id

    secret = app.generate_secret_id("builder", metadata={"desk": "7"}, cidr_list=["127.0.0.0/8", "::1/128"], **mount)["data"]
    seen = app.read_secret_id("builder", secret["secret_id"], **mount)["data"]
    assert seen["metadata"] == {"desk": "7"} and seen["secret_id_num_uses"] == 3
    accessor = secret["secret_id_accessor"]
    assert app.list_secret_id_accessors("builder", **mount)["data"]["keys"] == [accessor]
    assert app.read_secret_id_accessor("builder", accessor, **mount)["data"]["secret_id_accessor"] == accessor

    program = hvac.Client(token="")
    auth = program.auth.approle.login("builder-1", secret["secret_id"], use_token=True, **mount)["auth"]
    assert auth["policies"] == ["default", "reader"] and auth["metadata"] == {"desk": "7", "role_name": "builder"}
    assert auth["lease_duration"] == 1200
    assert program.sys.list_mounted_secrets_engines()["data"]
    assert program.auth.token.lookup_self()["data"]["path"] == "auth/programs/login"
    errors = raises(InvalidRequest, program.auth.approle.login, "builder-1", "wrong", use_token=False, **mount)
    assert errors == ["invalid role or secret ID"]
    assert raises(InvalidRequest, program.auth.approle.login, "nobody", "wrong", use_token=False, **mount) == errors

    assert app.create_custom_secret_id("builder", "by-hand", **mount)["data"]["secret_id"] == "by-hand"
    assert app.destroy_secret_id("builder", "by-hand", **mount).status_code == 204
    assert app.destroy_secret_id_accessor("builder", accessor, **mount).status_code == 204
    raises(InvalidPath, app.read_secret_id_accessor, "builder", accessor, **mount)
    raises(InvalidRequest, program.auth.approle.login, "builder-1", secret["secret_id"], use_token=False, **mount)
    assert app.delete_role("builder", **mount).status_code == 204
    raises(InternalServerError, app.read_secret_id_accessor, "builder", accessor, **mount)

    client.sys.disable_auth_method("programs")
    assert "programs/" not in client.sys.list_auth_methods()["data"]
    assert program.is_authenticated() is False


def main():
    client = hvac.Client()
    client.sys.create_or_update_policy("reader", READ_MOUNTS)
    maker = 'path "auth/token/create" { capabilities = ["update"] } path "auth/token/create-orphan" { capabilities = ["update"] }'
    client.sys.create_or_update_policy("maker", maker)
    token_roles(client)
    tokens(client)
    approle(client)
    print("done")


main()
