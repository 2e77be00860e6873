//! Kinds of events that `docs/AUDIT-EVENTS.md` promises: each is one that calling a route is seen to record.

use super::TABLE;
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../docs/AUDIT-EVENTS.md");

/// Of what has no record of its own, or happens where no route succeeds, with the file whose tests look for its record.
const BESIDE_ROUTES: [(&str, &str); 6] = [
    ("access.denied", include_str!("refused.rs")),
    ("login.alert", include_str!("../userpass/main.rs")),
    ("login.begin", include_str!("../oidc.rs")),
    ("rate_limit.exceeded", include_str!("../quotas.rs")),
    ("request.unauthenticated", include_str!("refused.rs")),
    ("seal.attempt", include_str!("../root_token.rs")),
];

/// What stands between backticks in a cell.
fn words(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Rows of the page's tables: what it is called there, and what here.
fn rows() -> Vec<(&'static str, &'static str)> {
    let cells = |line: &'static str| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ");
    PAGE.lines().filter_map(cells).filter(|(there, _)| *there != "there").collect()
}

#[test]
fn every_kind_of_event_that_the_page_names_is_recorded_by_what_these_tests_call() {
    let by_routes: BTreeSet<&str> = TABLE.iter().flat_map(|row| row.event.iter().chain(row.others)).copied().collect();
    for (kind, tests) in BESIDE_ROUTES {
        assert!(tests.contains(kind), "no test looks for {kind}");
    }
    let mut rows_seen = 0;
    for (there, here) in rows() {
        rows_seen += 1;
        let says_nothing = here.starts_with("nothing");
        let mut named = 0;
        for kind in words(here).filter(|word| word.contains('.')) {
            let known = by_routes.contains(kind) || BESIDE_ROUTES.iter().any(|(beside, _)| *beside == kind);
            assert!(known, "{there}: nothing here is seen to record {kind}");
            named += 1;
        }
        assert!(says_nothing || named > 0, "{there}: the page says neither what is recorded nor that nothing is");
    }
    assert!(rows_seen > 35, "{rows_seen} rows were read");
}

#[test]
fn the_page_has_every_category_of_both_logs() {
    let named: BTreeSet<&str> = rows().iter().flat_map(|(there, _)| words(there)).collect();
    for migration in [
        include_str!("../../../migrations/clm_secure_db/0002_audit.sql"),
        include_str!("../../../migrations/clm_core_db/0002_audit.sql"),
    ] {
        let (_, checked) = migration.split_once("event_category IN (").expect("the categories");
        let (checked, _) = checked.split_once(')').expect("their end");
        for category in checked.split('\'').skip(1).step_by(2) {
            assert!(named.contains(category), "{category} is not in docs/AUDIT-EVENTS.md");
        }
    }
    assert!(named.contains("private_key_access"));
}
