//! Lists in pages: `after` and `limit`, which every list takes.

use super::parameters::Parameters;
use crate::app::Result;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Which part of a list is wanted.
pub(super) struct Page {
    after: Option<String>,
    limit: usize,
}

impl Page {
    /// Fields that say it, and what they mean.
    pub(super) const FIELDS: [(&'static str, &'static str); 2] =
        [("after", "Keys after this one, which need not be there"), ("limit", "At most so many; 0: all")];

    /// `None`: all of it.
    pub(super) fn of(parameters: &Parameters) -> Result<Option<Self>> {
        let after = parameters.text("after")?.filter(|after| !after.is_empty());
        let limit =
            parameters.integer("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        Ok((after.is_some() || limit.is_some()).then(|| Self { after, limit: limit.unwrap_or(usize::MAX) }))
    }

    /// Leaves the page's keys, and what is told of them. `false`: there are none.
    pub(super) fn cut(&self, data: &mut Map<String, Value>) -> bool {
        let Some(Value::Array(keys)) = data.get_mut("keys") else { return true };
        if let Some(after) = &self.after {
            // Not every list is sorted by its keys: what is there has a place.
            match keys.iter().position(|key| *key == after.as_str()) {
                Some(at) => drop(keys.drain(..=at)),
                None => keys.retain(|key| key.as_str().is_some_and(|key| key > after.as_str())),
            }
        }
        keys.truncate(self.limit);
        let left: HashSet<String> = keys.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        if let Some(Value::Object(told)) = data.get_mut("key_info") {
            told.retain(|key, _| left.contains(key));
        }
        !left.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn page(after: &str, limit: i64) -> Option<Page> {
        let Value::Object(fields) = json!({"after": after, "limit": limit}) else { panic!("an object") };
        Page::of(&Parameters::new(fields)).expect("read")
    }

    fn listed(keys: &[&str]) -> Map<String, Value> {
        let told: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), json!({"of": key}))).collect();
        Map::from_iter([("keys".to_owned(), json!(keys)), ("key_info".to_owned(), told.into())])
    }

    #[test]
    fn a_page_begins_after_a_key_that_is_there_or_not_and_is_no_longer_than_wanted() {
        for (after, limit, left) in [
            ("", 2, vec!["a", "c"]),
            ("a", 0, vec!["c", "root", "e"]),
            ("b", 1, vec!["c"]),
            ("root", -1, vec!["e"]),
            ("e", 5, vec![]),
        ] {
            let mut data = listed(&["a", "c", "root", "e"]);
            let there = page(after, limit).expect("a page").cut(&mut data);
            assert_eq!((&data["keys"], there), (&json!(left), !left.is_empty()), "{after} {limit}");
            assert_eq!(data["key_info"].as_object().expect("told").len(), left.len());
        }
        assert!(page("", 0).is_none());
        assert!(page("", 3).expect("a page").cut(&mut Map::new()), "what is no list stays");
    }

    proptest! {
        #[test]
        fn pages_one_after_the_other_are_the_whole_list(keys in prop::collection::btree_set("[a-z]{1,3}", 1..30), size in 1_i64..7) {
            let all: Vec<&str> = keys.iter().map(String::as_str).collect();
            let (mut read, mut after) = (Vec::new(), String::new());
            loop {
                let mut data = listed(&all);
                if !page(&after, size).expect("a page").cut(&mut data) {
                    break;
                }
                let part: Vec<String> = data["keys"].as_array().expect("keys").iter().map(|key| key.as_str().expect("a key").to_owned()).collect();
                prop_assert!(part.len() <= usize::try_from(size).expect("small"));
                after.clone_from(part.last().expect("there are some"));
                read.extend(part);
            }
            prop_assert_eq!(read, all);
        }
    }
}
