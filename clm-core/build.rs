//! A new migration file makes a new program.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/clm_core_db");
}
