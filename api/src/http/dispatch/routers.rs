//! Which route a path below a mount is.

use crate::http::ENGINES;
use crate::http::table::{Captures, Route, Router};
use std::collections::HashMap;
use std::sync::LazyLock;

static ROUTERS: LazyLock<HashMap<&'static str, Router>> = LazyLock::new(|| {
    ENGINES.iter().fold(HashMap::new(), |mut routers: HashMap<_, Router>, engine| {
        routers.entry(engine.mount_type).or_default().add(engine.routes);
        routers
    })
});

pub(super) fn found(mount_type: &str, path: &str) -> Option<(&'static Route, Captures)> {
    ROUTERS.get(mount_type)?.find(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_found_with_what_its_path_says() {
        let (route, captures) = found("transit", "sign/orders/sha2-256").expect("a route");
        assert!(route.pattern.starts_with("sign/"), "{}", route.pattern);
        let values: Vec<&str> = captures.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["orders", "sha2-256"]);
        assert!(found("transit", "sign").is_none() && found("nosuch", "sign/orders").is_none());
    }

    #[test]
    fn no_route_stands_where_another_of_the_same_pattern_is_found_first() {
        let all =
            ENGINES.iter().flat_map(|engine| engine.routes.iter().map(|route| (engine.mount_type, route.pattern)));
        let mut seen = std::collections::HashSet::new();
        for route in all {
            assert!(seen.insert(route), "{route:?} stands in two tables");
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut ids: Vec<_> = crate::http::routes().map(|route| route.operation_id).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "two operations share an id");
    }
}
