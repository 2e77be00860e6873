# The daily words.
SHELL := /bin/bash
.PHONY: setup demo dev check test fuzz as-user crash bench evidence renew deny advisories kryoptic bench-keys

setup: ## install what is missing
	scripts/setup.sh

demo: setup ## the main job on real parts, shown and cleaned up
	cargo build --workspace --bins --locked
	scripts/demo.sh

dev: setup ## a server to try things with; ARGS="--ephemeral", …
	cargo build --workspace --bins --locked
	$${CARGO_TARGET_DIR:-target}/debug/clm dev $(ARGS)

check: setup deny ## format, lints, documentation, licences and sources, and whether what is generated is what it should be
	cargo fmt --all --check
	scripts/queries.sh --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet

renew: setup ## writes again what is generated from the code and the schema; to be committed
	scripts/queries.sh
	cargo build --locked -p api
	CLM_RENEW=1 scripts/with-postgres.sh cargo test --quiet --locked -p tests --test generated
	CLM_RENEW=1 scripts/with-postgres.sh cargo test --quiet --locked -p tests --test schema documents

deny:
	@command -v cargo-deny >/dev/null || { echo "Installing cargo-deny (built once)"; cargo install --quiet --locked cargo-deny@0.18.9; }
	cargo deny --all-features check bans licenses sources

advisories: ## needs the advisory database, which cannot be reached from everywhere
	cargo deny check advisories

test: setup ## every test, on real parts
	@cargo nextest --version >/dev/null 2>&1 || { echo "Installing the test runner, cargo-nextest (built once)"; cargo install --quiet --locked cargo-nextest; }
	scripts/setup-clients.sh
	cargo build --workspace --all-targets --locked
	scripts/with-postgres.sh cargo nextest run --workspace --locked

SECONDS_OF_FUZZ ?= 600
fuzz: setup ## strings that strangers send as policies and tokens, for SECONDS_OF_FUZZ; what makes one fall is written to proptest-regressions/
	cargo test --release --locked -p clm-core --lib --no-run
	@end=$$((SECONDS + $(SECONDS_OF_FUZZ))); while [ $$SECONDS -lt $$end ]; do \
		PROPTEST_CASES=20000 cargo test --quiet --release --locked -p clm-core --lib fuzz_ || exit 1; done

WORDS ?= demo test
as-user: ## the words above as an ordinary user with sudo, whom root makes for it and takes away again
	scripts/as-user.sh $(WORDS)

evidence: setup ## every route with the PKCS#11 calls behind it, into docs/EVIDENCE.md; fails where a secret is not the token's
	@cargo nextest --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-nextest
	cargo build --locked -p api -p softhsm-fault
	CLM_EVIDENCE=$(CURDIR)/docs/EVIDENCE.md scripts/with-postgres.sh cargo nextest run --locked -p tests --test routes --no-capture -E 'test(evidence)'

kryoptic: setup ## ML-DSA and ML-KEM on a token that has them, which is built first, once
	@cargo nextest --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-nextest
	scripts/setup-kryoptic.sh
	cargo build --workspace --all-targets --locked
	scripts/with-postgres.sh cargo nextest run --workspace --locked --test kryoptic --run-ignored all

KILLS ?= 20
crash: setup ## processes of every kind killed under load, KILLS of each, and whether everything is true afterwards; SEED=… repeats a run
	cargo build --locked -p api
	CLM_CRASH_KILLS=$(KILLS) CLM_CRASH_SEED=$(SEED) cargo test --quiet --locked -p tests --test crash -- --nocapture

SECONDS_A_ROW ?= 10
bench: setup ## the service under load beside what its token can do by itself; SECONDS_A_ROW=2 is a quick look that writes nothing down
	cargo build --release --locked -p api -p bench
	scripts/with-postgres.sh target/release/bench --seconds $(SECONDS_A_ROW) --write docs/BENCHMARKS.md

KEYS ?= 100,10000,1000000
bench-keys: setup ## what making and using a key costs with so many others beside it; a million take some minutes to load
	cargo build --release --locked -p api -p bench
	scripts/with-postgres.sh target/release/bench --keys $(KEYS) --write docs/BENCHMARKS.md
