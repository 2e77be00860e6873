#!/usr/bin/env bash
# Builds kryoptic, a PKCS#11 token in software that has ML-DSA and ML-KEM, once, into target/kryoptic/libkryoptic.so: from crates.io alone,
# pinned by tests/kryoptic/Cargo.lock. Debian's OpenSSL is too old for it (3.5 is needed), so that of the crate openssl-src is built, statically.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/kryoptic
module=$target/libkryoptic.so
wanted=$(cat tests/kryoptic/Cargo.lock tests/kryoptic/src/lib.rs scripts/setup-kryoptic.sh | sha256sum)
if [[ -e $module && $(cat "$target/built" 2>/dev/null) == "$wanted" ]]; then exit 0; fi

if ! ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang-[0-9]*.so* /usr/lib64/libclang.so* 2>/dev/null | grep -qv clang-cpp; then
    command -v apt-get >/dev/null || { echo "Missing: libclang with its headers (libclang-dev)." >&2; exit 1; }
    sudo=(); ((EUID == 0)) || sudo=(sudo)
    echo "Installing through apt: libclang-dev"
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libclang-dev
fi

echo "Building kryoptic and its OpenSSL into $target (once; some minutes)"
mkdir -p "$target"
manifest=tests/kryoptic/Cargo.toml
cargo fetch --quiet --locked --manifest-path "$manifest"
sources=$(cargo metadata --locked --format-version 1 --manifest-path "$manifest" | python3 -c '
import json, os, sys
packages = json.load(sys.stdin)["packages"]
print(*(os.path.dirname(p["manifest_path"]) for p in packages if p["name"] == "openssl-src"))')

# kryoptic would configure OpenSSL by itself, with parts whose source the crate leaves out.
openssl=$target/openssl
if [[ ! -e $openssl/libcrypto.a ]]; then
    rm -rf "$openssl"
    cp -a "$sources/openssl" "$openssl"
    chmod -R u+w "$openssl"
    (
        cd "$openssl"
        ./Configure no-apps no-atexit no-deprecated no-docs no-dso no-engine no-legacy no-module no-shared no-tests \
            no-aria no-argon2 no-cast no-des no-dsa no-ec2m no-mdc2 no-rc2 no-rc4 no-rc5 no-rmd160 no-seed no-sm2 no-sm3 no-sm4 \
            '-DDEVRANDOM=\"/dev/urandom\"' >configure.log 2>&1
        make -j"$(nproc)" build_generated libcrypto.a >make.log 2>&1
    ) || { tail -n 20 "$openssl"/*.log >&2; exit 1; }
fi

KRYOPTIC_OPENSSL_SOURCES=$openssl CARGO_TARGET_DIR=$target/build \
    cargo build --quiet --release --locked --manifest-path "$manifest"
cp "$target/build/release/libkryoptic.so" "$module"
rm -rf "$target/build"
# Last, so that an interrupted build is begun again.
echo "$wanted" >"$target/built"
