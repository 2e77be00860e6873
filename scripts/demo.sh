#!/usr/bin/env bash
# The main job on real parts, from nothing to proof: `make demo`. Ends with 0 only if each step showed what it says; leaves nothing behind.
set -euo pipefail
clm=$(cd "$(dirname "$0")/.." && pwd)/${CARGO_TARGET_DIR:-target}/debug/clm
[[ ${CARGO_TARGET_DIR:-} == /* ]] && clm=$CARGO_TARGET_DIR/debug/clm

work=$(mktemp -d /var/tmp/clm-demo.XXXXXX)
chmod 711 "$work"
state=$work/state
server=
finish() {
    local code=$?
    trap - EXIT
    if [[ -n $server ]] && kill -0 "$server" 2>/dev/null; then
        kill -TERM "$server"
        wait "$server" || true
    fi
    if ((code)); then
        echo "The demo failed (exit code $code). The service's last words:" >&2
        tail -n 15 "$work/log" >&2 || true
    fi
    # A cluster that could not lie in the state directory.
    [[ -s $state/cluster ]] && rm -rf "/var/lib/clm-dev/$(<"$state/cluster")" "/var/lib/clm-dev/$(<"$state/cluster").state"
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
step() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
fail() {
    echo "NOT AS IT SHOULD BE: $1" >&2
    exit 1
}
# vault METHOD PATH [BODY]: sets status; the body is in $work/answer. The token goes through a pipe, not through the list of processes.
vault() {
    status=$(curl -sS -X "$1" -H @<(echo "X-Vault-Token: $VAULT_TOKEN") -o "$work/answer" -w '%{http_code}' ${3:+-d "$3"} "$VAULT_ADDR/v1/$2")
}
field() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1:]: value = value[name]
print(value, end="")' "$@"; }
# sql secure|core STATEMENT: as the cluster's superuser, whom nothing in the database stops.
sql() {
    local url
    url=$(python3 -c 'import sys, tomllib; print(tomllib.load(open(sys.argv[1], "rb"))["migration"][sys.argv[2] + "_url"])' "$state/clm.toml" "$1")
    psql "${url/clm_migrate@/clm_admin@}" -qXAt -v ON_ERROR_STOP=1 -c "$2"
}

step "1. A token, two databases and the service (clm dev)"
: >"$work/ready"
"$clm" dev --state "$state" --listen 127.0.0.1:0 >"$work/ready" 2>"$work/log" &
server=$!
until grep -q '^ready$' "$work/ready"; do
    kill -0 "$server" 2>/dev/null || fail "clm dev ended"
    read -rt 0.1 <> <(:) || true
done
eval "$(head -n 1 "$work/ready")"
export VAULT_ADDR VAULT_TOKEN
root_token=$VAULT_TOKEN
echo "$VAULT_ADDR speaks the Vault API; SoftHSM2 is the token, PostgreSQL $(sql secure 'SHOW server_version' | cut -d' ' -f1) keeps the rest (fsync $(sql secure 'SHOW fsync'))."

step "2. Two keys, made inside the token"
for key in payments:ecdsa-p256 archive:rsa-2048; do
    "$clm" key create --name "${key%:*}" --type "${key#*:}" >"$work/${key%:*}.json"
    python3 -c 'import json, sys; print(json.load(sys.stdin)["keys"]["1"]["public_key"], end="")' <"$work/${key%:*}.json" >"$work/${key%:*}.pem"
    echo "${key%:*}: ${key#*:}"
done

step "3. A token that may sign with these two and do nothing else"
policy='{"policy":"path \"transit/sign/payments\" { capabilities = [\"update\"] }\npath \"transit/sign/archive\" { capabilities = [\"update\"] }"}'
vault PUT sys/policies/acl/signer "$policy"
[[ $status == 204 ]] || fail "the policy was answered $status"
vault PUT auth/token/create '{"policies":["signer"],"no_default_policy":true,"ttl":"1h"}'
VAULT_TOKEN=$(field auth client_token <"$work/answer")
for asked in "GET transit/keys/payments" "PUT transit/verify/payments" "DELETE transit/keys/payments" "GET sys/mounts"; do
    vault "${asked% *}" "${asked#* }"
    [[ $status == 403 ]] || fail "$asked was answered $status"
    echo "$asked: 403 permission denied"
done

step "4. It signs a file; openssl, which knows only the public key, verifies"
printf 'Pay 100 to Alice.\n' >"$work/order"
printf 'Pay 999 to Mallory.\n' >"$work/forged"
for key in payments archive; do
    "$clm" key sign --name "$key" "$work/order" >"$work/$key.signature"
    cut -d: -f3 "$work/$key.signature" | base64 -d >"$work/$key.raw"
    options=()
    [[ $key == archive ]] && options=(-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:auto)
    echo "$key  $(cut -c1-60 "$work/$key.signature")…"
    openssl dgst -sha256 -verify "$work/$key.pem" -signature "$work/$key.raw" "${options[@]}" "$work/order" || fail "openssl refuses the signature by $key"
    if openssl dgst -sha256 -verify "$work/$key.pem" -signature "$work/$key.raw" "${options[@]}" "$work/forged" >/dev/null 2>&1; then
        fail "openssl accepts a forged order"
    fi
done

step "5. The root key cannot leave the token (pkcs11-tool), and the databases hold only wrapped blobs (SQL)"
module=$(python3 -c 'import sys, tomllib; print(tomllib.load(open(sys.argv[1], "rb"))["hsm"]["module"])' "$state/clm.toml")
CLM_DEMO_PIN=$(<"$state/pin") SOFTHSM2_CONF=$state/token/softhsm2.conf \
    pkcs11-tool --module "$module" --token-label clm-dev --login --pin env:CLM_DEMO_PIN --list-objects --type secrkey >"$work/objects" 2>/dev/null ||
    fail "pkcs11-tool cannot list the token's keys"
grep -A4 'AES' "$work/objects" | grep -E 'AES|label|Usage|Access'
grep -A6 'AES' "$work/objects" | grep -q 'Access:.*sensitive.*never extractable' || fail "the root key is extractable"
sql secure "SELECT 'version ' || version || ' of a ' || key_algorithm || ' key: ' || storage || ', blob of ' || length(encrypted_key_material) || ' bytes beginning ' || left(encode(encrypted_key_material, 'hex'), 24) || '…' FROM private_keys"
[[ $(sql secure "SELECT count(*) FROM private_keys WHERE storage = 'wrapped' AND encrypted_key_material IS NOT NULL AND hsm_key_id IS NULL") == 2 ]] || fail "not both keys are wrapped"

step "6. Somebody with the database's password swaps the two keys' blobs"
sql secure "UPDATE private_keys p SET encrypted_key_material = o.encrypted_key_material FROM private_keys o WHERE o.id <> p.id"
refused=
for ((try = 0; try < 200; try++)); do
    vault PUT transit/sign/payments '{"input":"YQ=="}'
    [[ $status == 200 ]] || { refused=1; break; }
done
[[ -n $refused ]] || fail "the service goes on signing with a swapped key"
echo "The service refuses: $status $(<"$work/answer")"
alarms=$(sql secure "SELECT count(*) FROM secure_audit_log WHERE event_type = 'integrity.row_refused' AND severity = 'critical'")
((alarms > 0)) || fail "no alarm was recorded"
echo "And records it: integrity.row_refused, critical ($alarms)."
grep -m1 -o '"alarm":"[^"]*"' "$work/log" || fail "no alarm was logged"

step "7. The audit log holds (clm audit verify)"
"$clm" --config "$state/clm.toml" audit verify --public-key "$state/audit.pem" 2>>"$work/log" || fail "the log does not verify"

step "8. Somebody edits one record; verification names it"
sql secure "UPDATE secure_audit_log SET accessor = 'nobody' WHERE (chain_id, seq) IN (SELECT chain_id, seq FROM secure_audit_log WHERE event_type = 'key.sign' ORDER BY seq LIMIT 1)"
if "$clm" --config "$state/clm.toml" audit verify --public-key "$state/audit.pem" >"$work/found" 2>>"$work/log"; then
    fail "the edited record went unnoticed"
fi
grep 'was edited' "$work/found" || fail "the record is not named: $(<"$work/found")"

step "9. The end"
VAULT_TOKEN=$root_token
children=$(pgrep -P "$server" || true)
kill -TERM "$server"
wait "$server" || fail "the service did not end politely"
server=
for child in $children; do
    ! kill -0 "$child" 2>/dev/null || fail "process $child is still there"
done
echo "Nothing runs on. It works."
