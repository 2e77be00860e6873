//! Other migrations, or other data about the statements, make a new program.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/clm_secure_db");
    println!("cargo:rerun-if-changed=.sqlx");
    // Set by scripts/queries.sh alone: the statements are then asked of that database, and what it says is written down.
    println!("cargo:rerun-if-env-changed=CLM_SECURE_DATABASE_URL");
    println!("cargo:rerun-if-env-changed=SQLX_OFFLINE_DIR");
}
