//! The arrows of docs/ARCHITECTURE.md, compared with what cargo knows.

use std::collections::{BTreeMap, BTreeSet};

/// Who may name whom, among our crates, outside tests.
const ARROWS: &[(&str, &[&str])] = &[
    ("api", &["audit-chain", "audit-log", "clm-core", "keyvault", "softhsm"]),
    ("audit-chain", &[]),
    ("audit-log", &["audit-chain"]),
    ("bench", &["clm-core", "keyvault", "tests"]),
    ("clm-core", &["audit-chain", "audit-log"]),
    ("hsm-bridge", &[]),
    ("keyvault", &["audit-chain", "audit-log", "hsm-bridge"]),
    ("softhsm", &[]),
    ("softhsm-fault", &[]),
    ("tests", &["hsm-bridge", "softhsm"]),
];

#[test]
fn arrows_between_our_crates_point_where_the_architecture_says() {
    let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(ours, allowed.keys().copied().collect(), "a crate came or went: say in ARROWS whom it may name");
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let test_only = dependency.kind == cargo_metadata::DependencyKind::Development;
            if ours.contains(dependency.name.as_str()) && !test_only {
                assert!(
                    allowed[package.name.as_str()].contains(dependency.name.as_str()),
                    "{} names {}: the arrow points the wrong way (docs/ARCHITECTURE.md)",
                    package.name,
                    dependency.name
                );
            }
            assert!(
                dependency.name != "cryptoki" || ["bench", "hsm-bridge"].contains(&package.name.as_str()),
                "{} names cryptoki: only hsm-bridge may, and bench, which measures the token without it",
                package.name
            );
        }
    }
}
