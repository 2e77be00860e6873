//! How much there is of what: entities, tokens, and clients by month, as the databases have it.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use chrono::{DateTime, Datelike, Months, NaiveTime, SecondsFormat, TimeDelta, Utc};
use clm_core::{Clients, MonthOfClients, ROOT_ORGANIZATION};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// So many are told of when nobody says from when on.
const REPORTED: Months = Months::new(11);
const PERIOD: &[Parameter] = &[
    Parameter::new(
        "start_time",
        Kind::Text,
        "In the first month, RFC 3339 or seconds since 1970; eleven months before the last unless set",
    ),
    Parameter::new("end_time", Kind::Text, "In the last month; now unless set"),
];

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        pattern: "internal/counters/entities",
        endpoints: &[Endpoint::new(Verb::Read, "counters-entities", "How many entities there are", |call| {
            Box::pin(entities(call))
        })],
    },
    Route {
        pattern: "internal/counters/tokens",
        endpoints: &[Endpoint::new(Verb::Read, "counters-tokens", "How many service tokens live", |call| {
            Box::pin(tokens(call))
        })],
    },
    Route {
        pattern: "internal/counters/activity",
        endpoints: &[Endpoint::new(
            Verb::Read,
            "counters-activity",
            "How many clients there were, by namespace and month",
            |call| Box::pin(activity(call)),
        )
        .with(PERIOD)],
    },
    Route {
        pattern: "internal/counters/activity/monthly",
        endpoints: &[Endpoint::new(
            Verb::Read,
            "counters-activity-monthly",
            "How many clients there have been in this month",
            |call| Box::pin(monthly(call)),
        )],
    },
];

async fn entities(call: Call) -> Result<Answer> {
    let total = call.context.services.core.count_entities(call.context.caller.organization_id).await?;
    Ok(Answer::data(json!({ "counters": { "entities": { "total": total } } })))
}

async fn tokens(call: Call) -> Result<Answer> {
    let total = call.context.services.core.count_tokens(call.context.caller.organization_id).await?;
    Ok(Answer::data(json!({ "counters": { "service_tokens": { "total": total } } })))
}

async fn activity(call: Call) -> Result<Answer> {
    let now = call.context.services.now();
    let (from, until) =
        period(now, call.parameters.text("start_time")?.as_deref(), call.parameters.text("end_time")?.as_deref())?;
    let report = Report::of(&call, from, until).await?;
    Ok(Answer::data(json!({
        "start_time": shown(from),
        "end_time": shown(until - TimeDelta::seconds(1)),
        "total": counts(report.total()),
        "by_namespace": report.by_namespace(),
        "months": report.months(from, until),
    })))
}

async fn monthly(call: Call) -> Result<Answer> {
    let from = beginning(call.context.services.now());
    let until = from + Months::new(1);
    let report = Report::of(&call, from, until).await?;
    let mut data = counts(report.total());
    data["by_namespace"] = report.by_namespace();
    data["months"] = report.months(from, until);
    Ok(Answer::data(data))
}

/// One namespace's.
struct Reported {
    id: Uuid,
    path: Arc<str>,
    months: BTreeMap<DateTime<Utc>, MonthOfClients>,
}

struct Report(Vec<Reported>);

impl Report {
    /// Of the namespace that is asked, and, in the root's, of all others.
    async fn of(call: &Call, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Self> {
        let (core, own) = (&call.context.services.core, call.context.caller.organization_id);
        let mut namespaces = vec![(own, core.namespace_path(own))];
        if own == ROOT_ORGANIZATION {
            namespaces
                .extend(core.namespaces().into_iter().map(|namespace| (namespace.id, Arc::clone(&namespace.path))));
        }
        let mut reported = Vec::new();
        for (id, path) in namespaces {
            reported.push(Reported { id, path, months: core.clients(id, from, until).await? });
        }
        Ok(Self(reported))
    }

    fn total(&self) -> Clients {
        self.0.iter().map(Reported::total).fold(Clients::default(), |sum, clients| sum + clients)
    }

    fn by_namespace(&self) -> Value {
        self.0.iter().map(|reported| reported.shown(reported.total())).collect()
    }

    /// Each month of the period; one without clients says nothing.
    fn months(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Value {
        let months = std::iter::successors(Some(from), |month| Some(*month + Months::new(1)));
        let told = |month: DateTime<Utc>| {
            let by = |count: fn(&MonthOfClients) -> Clients| {
                let of_each =
                    self.0.iter().filter_map(|reported| Some((reported, count(reported.months.get(&month)?))));
                let (sum, shown) =
                    of_each.fold((Clients::default(), Vec::new()), |(sum, mut shown), (reported, clients)| {
                        shown.push(reported.shown(clients));
                        (sum + clients, shown)
                    });
                if shown.is_empty() { (Value::Null, Value::Null) } else { (counts(sum), shown.into()) }
            };
            let (all, new) = (by(|clients| clients.all), by(|clients| clients.new));
            json!({
                "timestamp": shown(month),
                "counts": all.0,
                "namespaces": all.1,
                "new_clients": { "counts": new.0, "namespaces": new.1 },
            })
        };
        months.take_while(|month| *month < until).map(told).collect()
    }
}

impl Reported {
    /// Who comes in several months is one client.
    fn total(&self) -> Clients {
        self.months.values().fold(Clients::default(), |sum, month| sum + month.new)
    }

    fn shown(&self, clients: Clients) -> Value {
        let id = if self.id == ROOT_ORGANIZATION { "root".to_owned() } else { self.id.to_string() };
        json!({ "namespace_id": id, "namespace_path": self.path, "counts": counts(clients) })
    }
}

/// Under today's names and those of before.
fn counts(clients: Clients) -> Value {
    json!({
        "clients": clients.total(),
        "entity_clients": clients.entities,
        "distinct_entities": clients.entities,
        "non_entity_clients": clients.non_entities,
        "non_entity_tokens": clients.non_entities,
    })
}

/// Whole months, the end exclusive.
fn period(now: DateTime<Utc>, start: Option<&str>, end: Option<&str>) -> Result<(DateTime<Utc>, DateTime<Utc>)> {
    let time = |name: &str, text: Option<&str>| {
        text.filter(|text| !text.is_empty()).map(|text| parsed(text).ok_or_else(|| unreadable(name))).transpose()
    };
    let last = beginning(time("end_time", end)?.unwrap_or(now).min(now));
    let from = match time("start_time", start)? {
        Some(start) => beginning(start),
        None => last - REPORTED,
    };
    if from > last {
        return Err(Error::invalid("start_time is later than end_time"));
    }
    Ok((from, last + Months::new(1)))
}

fn unreadable(name: &str) -> Error {
    Error::invalid(format!("{name}: say a time as RFC 3339 does, or the seconds since 1970"))
}

fn parsed(text: &str) -> Option<DateTime<Utc>> {
    let time = match text.parse() {
        Ok(seconds) => DateTime::from_timestamp(seconds, 0)?,
        Err(_) => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
    };
    // Years that a report could be of.
    (1970..=9999).contains(&time.year()).then_some(time)
}

/// The first moment of a time's month.
fn beginning(time: DateTime<Utc>) -> DateTime<Utc> {
    let first = time.date_naive().with_day(1).unwrap_or_default();
    first.and_time(NaiveTime::MIN).and_utc()
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(start: Option<&str>, end: Option<&str>) -> std::result::Result<(String, String), String> {
        let now = parsed("2026-11-29T06:00:00Z").expect("a time");
        let (from, until) = period(now, start, end).map_err(|error| error.to_string())?;
        Ok((shown(from), shown(until)))
    }

    #[test]
    fn a_period_is_of_whole_months_and_ends_with_this_one() {
        for (start, end, from, until) in [
            (None, None, "2025-12-01", "2026-12-01"),
            (Some("2026-02-03T04:05:06+01:00"), Some("2026-04-30T23:59:59Z"), "2026-02-01", "2026-05-01"),
            // Half past midnight in Berlin is still the month before.
            (Some("2026-03-01T00:30:00+01:00"), None, "2026-02-01", "2026-12-01"),
            (Some("1767225600"), Some("1767225600"), "2026-01-01", "2026-02-01"),
            (None, Some("2030-01-01T00:00:00Z"), "2025-12-01", "2026-12-01"),
        ] {
            let expected = (format!("{from}T00:00:00Z"), format!("{until}T00:00:00Z"));
            assert_eq!(told(start, end), Ok(expected), "{start:?} {end:?}");
        }
        for (start, end) in [(Some("2026-12-01T00:00:00Z"), None), (Some("soon"), None), (None, Some("9999999999999"))]
        {
            told(start, end).expect_err("not a period");
        }
    }
}
