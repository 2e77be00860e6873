#!/usr/bin/env bash
# Installs what is missing for building, testing and the demo: through apt on Debian and Ubuntu; elsewhere it names what is missing.
set -euo pipefail

missing=()
need() { # COMMAND-OR-FILE PACKAGE
    if [[ $1 == /* ]]; then [[ -e $1 ]] || missing+=("$2"); else command -v "$1" >/dev/null || missing+=("$2"); fi
}
softhsm=$(ls /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so 2>/dev/null | head -n 1 || true)
[[ -n ${CLM_SOFTHSM_MODULE:-} || -n $softhsm ]] || missing+=(softhsm2)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing+=(postgresql)
ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || missing+=(faketime)
need pkcs11-tool opensc
need openssl openssl
need gcore gdb
need cc build-essential
need curl curl
need pgrep procps
need setpriv util-linux
need psql postgresql-client
need /usr/sbin/pgbouncer pgbouncer
need python3 python3
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)

if ((${#missing[@]})); then
    if ! command -v apt-get >/dev/null; then
        echo "Missing: ${missing[*]} (Debian package names). Install them with this system's package manager, then run this again." >&2
        exit 1
    fi
    sudo=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || { echo "Missing: ${missing[*]}; installing them takes root or sudo." >&2; exit 1; }
        sudo=(sudo)
    fi
    echo "Installing through apt: ${missing[*]}"
    # The private clusters are ours: installing PostgreSQL must not start one for the system.
    if [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
        "${sudo[@]}" mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | "${sudo[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    # Tests start a pooler of their own; the system's is not wanted.
    if [[ " ${missing[*]} " == *" pgbouncer "* ]]; then
        "${sudo[@]}" systemctl disable --quiet --now pgbouncer 2>/dev/null || true
    fi
fi

command -v cargo >/dev/null || { echo "Rust is missing: install cargo and rustc 1.92 or newer, then run this again." >&2; exit 1; }
