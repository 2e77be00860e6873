#!/usr/bin/env bash
# Has PostgreSQL say what each statement of keyvault and clm-core takes and gives (sqlx), as the service's own roles on the migrated schema, and
# writes it to their .sqlx/, which every other build reads. With --check it changes nothing and fails when .sqlx/ says something else.
set -euo pipefail
cd "$(dirname "$0")/.."
[[ -n ${CLM_TEST_DATABASE_URL:-} ]] || exec scripts/with-postgres.sh "$0" "$@"

url() { # role database
    local url=${CLM_TEST_DATABASE_URL/clm_admin@/$1@}
    echo "${url/\/postgres\?//$2?}"
}
work=$(mktemp -d)
databases=()
clean() {
    rm -rf "$work"
    for database in "${databases[@]}"; do
        psql "$CLM_TEST_DATABASE_URL" -qXc "DROP DATABASE IF EXISTS $database WITH (FORCE)"
    done
}
trap clean EXIT

ask() { # crate, database whose migrations it runs on, role, variable that its sqlx.toml names
    local database="queries_$$_$2" file
    databases+=("$database")
    psql "$CLM_TEST_DATABASE_URL" -qXc "CREATE DATABASE $database OWNER clm_migrate"
    for file in migrations/"$2"/*.sql; do
        psql "$(url clm_migrate "$database")" -qX1 -v ON_ERROR_STOP=1 -f "$file" >/dev/null
    done
    mkdir "$work/$1"
    env "$4=$(url "$3" "$database")" SQLX_OFFLINE_DIR="$work/$1" cargo check --quiet --locked -p "$1"
}
ask keyvault clm_secure_db clm_secure_app CLM_SECURE_DATABASE_URL
ask clm-core clm_core_db clm_core_app CLM_CORE_DATABASE_URL

for crate in keyvault clm-core; do
    if [[ ${1:-} == --check ]]; then
        diff -r "$crate/.sqlx" "$work/$crate" || {
            echo "$crate/.sqlx is not what PostgreSQL says of the statements: run \`make renew\` and commit it" >&2
            exit 1
        }
    else
        rm -rf "$crate/.sqlx"
        cp -r "$work/$crate" "$crate/.sqlx"
    fi
done
