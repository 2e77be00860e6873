#!/usr/bin/env bash
# Runs a command with a private PostgreSQL cluster: CLM_TEST_DATABASE_URL is its superuser's. Durable as in production; gone afterwards.
set -euo pipefail

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true)
[[ -n $bin ]] || bin=$(dirname "$(readlink -f "$(command -v initdb)")")
# Not /tmp, which may be in memory, and not in the clone, which another user may not enter. Socket paths end at 107 bytes.
directory=$(mktemp -d /var/tmp/clm-pg.XXXXXX)
run=()
if ((EUID == 0)); then
    chown postgres: "$directory"
    run=(setpriv --reuid=postgres --regid=postgres --init-groups --)
fi
stop() {
    (cd / && "${run[@]}" "$bin/pg_ctl" -D "$directory/data" -m immediate -s stop) || true
    rm -rf "$directory"
}
trap stop EXIT
trap 'exit 130' INT TERM
(
    cd /
    "${run[@]}" "$bin/initdb" -D "$directory/data" -U clm_admin -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
    "${run[@]}" "$bin/pg_ctl" -D "$directory/data" -s -w -l "$directory/log" start \
        -o "-c listen_addresses='' -c unix_socket_directories='$directory' -c max_connections=300 -c timezone=UTC"
)
export CLM_TEST_DATABASE_URL="postgresql://clm_admin@localhost/postgres?host=$directory"
psql "$CLM_TEST_DATABASE_URL" -qX -v ON_ERROR_STOP=1 -f "$(dirname "$0")/../migrations/bootstrap.sql"
"$@"
