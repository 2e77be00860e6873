//! Single fields of a role, each at a path of its own.

use super::role::{change, put};
use crate::app::{Error, Result};
use crate::http::answer::{Answer, Refusal};
use crate::http::call::Call;
use crate::http::parameters::Parameters;
use serde_json::{Map, Value, json};

/// Path, field, and what the field was at first.
const PROPERTIES: &[(&str, &str, Initial)] = &[
    ("bind-secret-id", "bind_secret_id", Initial::True),
    ("bound-cidr-list", "secret_id_bound_cidrs", Initial::NoItems),
    ("local-secret-ids", "local_secret_ids", Initial::Fixed),
    ("period", "token_period", Initial::Zero),
    ("policies", "token_policies", Initial::NoItems),
    ("secret-id-bound-cidrs", "secret_id_bound_cidrs", Initial::NoItems),
    ("secret-id-num-uses", "secret_id_num_uses", Initial::Zero),
    ("secret-id-ttl", "secret_id_ttl", Initial::Zero),
    ("token-bound-cidrs", "token_bound_cidrs", Initial::NoItems),
    ("token-max-ttl", "token_max_ttl", Initial::Zero),
    ("token-num-uses", "token_num_uses", Initial::Zero),
    ("token-ttl", "token_ttl", Initial::Zero),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Initial {
    /// It is what it was when the role was made.
    Fixed,
    NoItems,
    True,
    Zero,
}

/// Other words by which the field may come.
fn aliases(field: &str) -> &'static [&'static str] {
    match field {
        "secret_id_bound_cidrs" => &["bound_cidr_list"],
        "token_period" => &["period"],
        "token_policies" => &["policies"],
        _ => &[],
    }
}

fn property(call: &Call) -> Result<(&'static str, Initial), Box<Answer>> {
    let known = PROPERTIES.iter().find(|(path, _, _)| *path == call.capture("property"));
    known
        .map(|(_, field, initial)| (*field, *initial))
        .ok_or_else(|| Box::new(Answer::refused(Refusal::UnsupportedPath)))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let (field, _) = match property(&call) {
        Ok(property) => property,
        Err(answer) => return Ok(*answer),
    };
    let role = call.context.services.core.app_role(&call.mount, call.capture("name")).await?;
    Ok(role.map_or_else(Answer::nothing, |role| {
        let all = role.data();
        let shown = |name: &str| Some((name.to_owned(), all.get(name)?.clone()));
        // By the old name as well, of a role that was told by that; of the old path by that alone.
        let data: Map<String, Value> = match call.capture("property") {
            "bound-cidr-list" => {
                shown(field).map(|(_, value)| ("bound_cidr_list".to_owned(), value)).into_iter().collect()
            }
            _ => [field].iter().chain(aliases(field)).filter_map(|name| shown(name)).collect(),
        };
        Answer::data(data)
    }))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let (field, initial) = match property(&call) {
        Ok(property) => property,
        Err(answer) => return Ok(*answer),
    };
    if initial == Initial::Fixed {
        return Ok(Answer::refused(Refusal::UnsupportedOperation));
    }
    let given = |name: &&'static str| Some((*name, call.parameters.value(name)?.clone()));
    let given = [field].iter().chain(aliases(field)).find_map(given);
    let (name, given) = given.ok_or_else(|| Error::invalid(format!("missing {field}")))?;
    set(&call, name, given).await
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    let (field, initial) = match property(&call) {
        Ok(property) => property,
        Err(answer) => return Ok(*answer),
    };
    if call.context.services.core.app_role(&call.mount, call.capture("name")).await?.is_none() {
        // As deleting the role itself.
        return Ok(Answer::nothing());
    }
    let value = match initial {
        Initial::Fixed => return Ok(Answer::refused(Refusal::UnsupportedOperation)),
        Initial::NoItems => json!([]),
        Initial::True => json!(true),
        Initial::Zero => json!(0),
    };
    set(&call, field, value).await
}

async fn set(call: &Call, field: &str, value: Value) -> Result<Answer> {
    let only = Parameters::new(Map::from_iter([(field.to_owned(), value)]));
    let mut change = change(&only)?;
    change.must_exist = true;
    put(call, change).await
}
