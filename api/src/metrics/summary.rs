//! The same counters as the reference's JSON has them: gauges, counters and samples, each with its name and labels.
//!
//! The library that keeps them shows them as text only (OpenMetrics 1.0), so this reads what that text says.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

type Labels = Vec<(String, String)>;

/// One line.
#[derive(Debug, PartialEq)]
struct Reading {
    name: String,
    labels: Labels,
    value: f64,
}

/// What was counted of a histogram: sum and count.
#[derive(Clone, Copy, Debug, Default)]
struct Sampled {
    sum: f64,
    count: f64,
}

/// `text` in JSON. Everything is counted from the start of the process, `running` ago, and so are rates.
pub(super) fn of_text(text: &str, now: DateTime<Utc>, running: Duration) -> Value {
    let (mut gauges, mut counters) = (Vec::new(), Vec::new());
    let mut samples: BTreeMap<(String, Labels), Sampled> = BTreeMap::new();
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let rate = |sum: f64| sum / running.as_secs_f64().max(1.0);
    for line in text.lines() {
        if let Some((family, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kinds.insert(family, kind);
            continue;
        }
        let Some(Reading { name, labels, value }) = Reading::parse(line) else { continue };
        let of_kind = |suffix: &str, kind: &str| {
            let family = name.strip_suffix(suffix)?;
            (kinds.get(family) == Some(&kind)).then(|| family.to_owned())
        };
        if let Some(family) = of_kind("", "gauge") {
            gauges.push(json!({ "Name": family, "Value": value, "Labels": shown(&labels) }));
        } else if let Some(family) = of_kind("_total", "counter") {
            // Each was one of one.
            counters.push(json!({
                "Name": family, "Count": whole(value), "Rate": rate(value), "Sum": value, "Min": 1, "Max": 1, "Mean": 1,
                "Stddev": 0, "Labels": shown(&labels),
            }));
        } else if let Some(family) = of_kind("_sum", "histogram") {
            samples.entry((family, labels)).or_default().sum = value;
        } else if let Some(family) = of_kind("_count", "histogram") {
            samples.entry((family, labels)).or_default().count = value;
        }
    }
    let sample = |((name, labels), sampled): ((String, Labels), Sampled)| {
        let mean = if sampled.count > 0.0 { sampled.sum / sampled.count } else { 0.0 };
        // The smallest and the largest are not kept.
        json!({
            "Name": name, "Count": whole(sampled.count), "Rate": rate(sampled.sum), "Sum": sampled.sum, "Mean": mean,
            "Labels": shown(&labels),
        })
    };
    json!({
        "Timestamp": now.format("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
        "Gauges": gauges,
        "Points": [],
        "Counters": counters,
        "Samples": samples.into_iter().map(sample).collect::<Vec<_>>(),
    })
}

impl Reading {
    /// `name{label="value",…} 1.0`, the braces and what is between them only where there are labels.
    fn parse(line: &str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let at = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(at);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Labels::new(), rest),
        };
        Some(Self { name: name.to_owned(), labels, value: rest.split_whitespace().next()?.parse().ok()? })
    }
}

/// Up to the closing brace, and what follows that.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, value) = rest.trim_start_matches(',').split_once("=\"")?;
        let (value, after) = quoted(value)?;
        labels.push((name.to_owned(), value));
        rest = after;
    }
}

/// Up to the closing quote, with what was escaped as it was, and what follows that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    loop {
        match characters.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            (_, other) => value.push(other),
        }
    }
}

fn shown(labels: &Labels) -> Value {
    let labels: Map<String, Value> = labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    labels.into()
}

/// A count, as JSON writes whole numbers.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole, not negative, and far below 2^53"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Device, Metrics};
    use std::time::Duration;

    fn told(metrics: &Metrics) -> Value {
        of_text(&metrics.text(None, true), DateTime::UNIX_EPOCH, Duration::from_secs(10))
    }

    fn of<'t>(told: &'t Value, kind: &str, name: &str) -> Vec<&'t Value> {
        told[kind].as_array().expect("an array").iter().filter(|one| one["Name"] == name).collect()
    }

    #[test]
    fn each_kind_is_where_clients_look_for_it() {
        let metrics = Metrics::new();
        metrics.answered("health", 200, Duration::from_millis(250));
        metrics.answered("health", 200, Duration::from_millis(750));
        metrics.answered("seal", 403, Duration::from_millis(1));
        let told = told(&metrics);
        assert_eq!((&told["Timestamp"], &told["Points"]), (&json!("1970-01-01 00:00:00 +0000 UTC"), &json!([])));
        let unsealed = json!({"Name": "clm_unsealed", "Value": 1.0, "Labels": {}});
        assert_eq!(of(&told, "Gauges", "clm_unsealed"), [&unsealed]);
        let requests = of(&told, "Counters", "clm_http_requests");
        let health = requests.iter().find(|one| one["Labels"]["operation"] == "health").expect("counted");
        assert_eq!(
            (&health["Count"], &health["Rate"], &health["Labels"]["status"]),
            (&json!(2), &json!(0.2), &json!("200"))
        );
        let durations = of(&told, "Samples", "clm_http_request_duration_seconds");
        let health = durations.iter().find(|one| one["Labels"] == json!({"operation": "health"})).expect("measured");
        assert_eq!((&health["Count"], &health["Sum"], &health["Mean"]), (&json!(2), &json!(1.0), &json!(0.5)));
        assert_eq!(durations.len(), 2, "a sample each, and none for its parts");
    }

    #[test]
    fn what_people_call_a_device_does_not_end_a_label() {
        let metrics = Metrics::new();
        let name = "a\"b},c=\"d\\e\nf/";
        metrics.audit_dropped.get_or_create(&Device { device: name.into() }).inc();
        let told = told(&metrics);
        assert_eq!(of(&told, "Counters", "clm_audit_device_dropped")[0]["Labels"], json!({"device": name}));
    }

    #[test]
    fn what_is_no_reading_is_none() {
        for line in ["", "# EOF", "name", "name{a=\"b\" 1", "name{a} 1", "name x"] {
            assert_eq!(Reading::parse(line), None, "{line}");
        }
    }
}
