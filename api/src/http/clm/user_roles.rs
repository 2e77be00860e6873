//! Roles of people.

use crate::app::{Context, Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Captures, Endpoint, Kind, Parameter, Route, Verb, captured};
use chrono::{DateTime, SecondsFormat, Utc};
use clm_core::{RoleAssignment, RoleSpan};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

const SPAN: &[Parameter] = &[
    Parameter::new("valid_from", Kind::Text, "The role counts from then on, RFC 3339; now, unless said"),
    Parameter::new("valid_until", Kind::Text, "And not any more then; without an end, unless said"),
];

pub(crate) const ROUTES: &[Route] = &[
    Route {
        pattern: "user-roles",
        endpoints: &[Endpoint::new(
            Verb::List,
            "clm-list-people-with-roles",
            "Names of people who have roles",
            |call| Box::pin(people(call)),
        )],
    },
    Route {
        pattern: "user-roles/{username}",
        endpoints: &[Endpoint::new(
            Verb::List,
            "clm-list-user-roles",
            "Codes of the roles that a person was given",
            |call| Box::pin(list(call)),
        )],
    },
    Route {
        pattern: "user-roles/{username}/{role}",
        endpoints: &[
            Endpoint::new(Verb::Read, "clm-read-user-role", "Since when and until when a person has a role", |call| {
                Box::pin(read(call))
            }),
            Endpoint::new(
                Verb::Write,
                "clm-assign-user-role",
                "Give a person a role, or change when it counts; it acts at once on the person's tokens",
                |call| Box::pin(assign(call)),
            )
            .with(SPAN)
            .creating(|context, _, captures| exists(context, captures)),
            Endpoint::new(
                Verb::Delete,
                "clm-withdraw-user-role",
                "Take a role away from a person; it acts at once on the person's tokens",
                |call| Box::pin(withdraw(call)),
            ),
        ],
    },
    Route {
        pattern: "roles/{name}/users",
        endpoints: &[Endpoint::new(
            Verb::List,
            "clm-list-role-users",
            "Names of people who were given a role",
            |call| Box::pin(people_with(call)),
        )],
    },
];

/// What is there is changed, not given.
fn exists<'c>(context: &'c Context, captures: &'c Captures) -> BoxFuture<'c, Result<bool>> {
    let (person, role) = (captured(captures, "username"), captured(captures, "role"));
    Box::pin(async move {
        let found = context.services.core.role_assignment(context.caller.organization_id, person, role).await?;
        Ok(found.is_some())
    })
}

async fn people(call: Call) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    Ok(Answer::keys(services.core.people_with_roles(caller.organization_id).await?))
}

async fn people_with(call: Call) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    Ok(Answer::keys(services.core.people_with_role(caller.organization_id, call.capture("name")).await?))
}

async fn list(call: Call) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    let given = services.core.roles_of_person(caller.organization_id, call.capture("username")).await?;
    if given.is_empty() {
        return Ok(Answer::nothing());
    }
    let keys: Vec<&String> = given.iter().map(|(code, _)| code).collect();
    let info: Map<String, Value> = given.iter().map(|(code, given)| (code.clone(), shown(code, given))).collect();
    Ok(Answer::data(json!({ "keys": keys, "key_info": info })))
}

async fn read(call: Call) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    let (person, role) = (call.capture("username"), call.capture("role"));
    let found = services.core.role_assignment(caller.organization_id, person, role).await?;
    Ok(found.map_or_else(Answer::nothing, |given| Answer::data(shown(role, &given))))
}

async fn assign(call: Call) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    services.core.assign_role(caller, call.capture("username"), call.capture("role"), span(&call)?).await?;
    Ok(Answer::nothing())
}

async fn withdraw(call: Call) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    services.core.withdraw_role(caller, call.capture("username"), call.capture("role")).await?;
    Ok(Answer::nothing())
}

fn span(call: &Call) -> Result<RoleSpan> {
    let time = |name: &str| -> Result<Option<Option<DateTime<Utc>>>> {
        match call.parameters.text(name)? {
            None => Ok(None),
            Some(text) if text.is_empty() => Ok(Some(None)),
            Some(text) => match DateTime::parse_from_rfc3339(&text) {
                Ok(time) => Ok(Some(Some(time.to_utc()))),
                Err(_) => {
                    Err(Error::invalid(format!("{name} {text:?} is no time of RFC 3339, as 2031-01-02T03:04:05Z is")))
                }
            },
        }
    };
    Ok(RoleSpan { valid_from: time("valid_from")?, valid_until: time("valid_until")? })
}

fn shown(role: &str, given: &RoleAssignment) -> Value {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    json!({
        "assigned_at": time(given.assigned_at),
        "assigned_by_user_id": given.assigned_by_user_id,
        "id": given.id,
        "role": role,
        "role_id": given.role_id,
        "user_id": given.user_id,
        "valid_from": time(given.valid_from),
        "valid_until": given.valid_until.map(time),
    })
}
