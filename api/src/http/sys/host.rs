//! The machine, what this server is busy with, and which versions have worked here.

use super::audit::expect_root;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Route, Shape, Verb};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        pattern: "host-info",
        endpoints: &[Endpoint::new(Verb::Read, "host-info", "The machine that this server runs on", |call| {
            Box::pin(host(call))
        })],
    },
    Route {
        pattern: "in-flight-req",
        endpoints: &[Endpoint::new(Verb::Read, "in-flight-req", "Requests that this server has under way", |call| {
            Box::pin(in_flight(call))
        })
        .shaped(Shape::Bare)],
    },
    Route {
        pattern: "version-history",
        endpoints: &[Endpoint::new(
            Verb::List,
            "version-history",
            "Versions of the service that have worked on these databases, the first first",
            |call| Box::pin(versions(call)),
        )],
    },
];

async fn versions(call: Call) -> Result<Answer> {
    let versions = call.context.services.core.versions().await?;
    let keys: Vec<&str> = versions.iter().map(|known| known.version.as_str()).collect();
    let details: Map<String, Value> = versions
        .iter()
        .map(|known| {
            let shown = json!({
                "build_date": null,
                "previous_version": known.previous,
                "timestamp_installed": known.installed,
            });
            (known.version.clone(), shown)
        })
        .collect();
    Ok(Answer::data(json!({ "keys": keys, "key_info": details })))
}

async fn in_flight(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let now = call.context.services.now();
    let shown = |began: std::time::Instant| {
        let since = TimeDelta::from_std(began.elapsed()).unwrap_or_default();
        (now - since).to_rfc3339_opts(SecondsFormat::Nanos, true)
    };
    let requests: Map<String, Value> = call
        .state
        .in_flight
        .all()
        .into_iter()
        .map(|(id, request)| {
            let shown = json!({
                "client_remote_address": request.source.map(|source| source.to_string()).unwrap_or_default(),
                "request_method": request.method,
                "request_path": format!("/v1/{}", request.path),
                "start_time": shown(request.began),
            });
            (id.to_string(), shown)
        })
        .collect();
    Ok(Answer::data(requests))
}

async fn host(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let now = call.context.services.now();
    let read = tokio::task::spawn_blocking(move || described(now)).await;
    Ok(Answer::data(read.map_err(|error| Error::Internal(error.to_string()))?))
}

/// As /proc tells it; what it does not tell is left out.
fn described(now: DateTime<Utc>) -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let line = |path: &str| read(path).trim().to_owned();
    let uptime = read("/proc/uptime").split('.').next().and_then(|seconds| seconds.parse::<i64>().ok()).unwrap_or(0);
    let release = pairs(&read("/etc/os-release"), '=');
    let word = |name: &str| release.get(name).map(|text| text.trim_matches('"').to_owned()).unwrap_or_default();
    let memory = pairs(&read("/proc/meminfo"), ':');
    let bytes = |name: &str| -> u64 {
        let kilobytes = memory.get(name).and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    };
    let (total, available) = (bytes("MemTotal"), bytes("MemAvailable"));
    let processes =
        std::fs::read_dir("/proc").into_iter().flatten().flatten().filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        });
    json!({
        "timestamp": now.to_rfc3339_opts(SecondsFormat::Nanos, true),
        "cpu": processors(&read("/proc/cpuinfo")),
        "host": {
            "bootTime": now.timestamp() - uptime,
            "hostname": line("/proc/sys/kernel/hostname"),
            "kernelArch": std::env::consts::ARCH,
            "kernelVersion": line("/proc/sys/kernel/osrelease"),
            "os": std::env::consts::OS,
            "platform": word("ID"),
            "platformVersion": word("VERSION_ID"),
            "procs": processes.count(),
            "uptime": uptime,
        },
        "memory": {
            "available": available,
            "buffers": bytes("Buffers"),
            "cached": bytes("Cached"),
            "free": bytes("MemFree"),
            "swapFree": bytes("SwapFree"),
            "swapTotal": bytes("SwapTotal"),
            "total": total,
            "used": total.saturating_sub(available),
        },
    })
}

fn processors(text: &str) -> Vec<Value> {
    let processor = |block: &str| {
        let said = pairs(block, ':');
        let word = |name: &str| said.get(name).cloned().unwrap_or_default();
        let number = said.get("processor")?.parse::<u64>().ok()?;
        Some(json!({
            "cpu": number,
            "mhz": word("cpu MHz").parse::<f64>().unwrap_or_default(),
            "modelName": word("model name"),
            "vendorId": word("vendor_id"),
        }))
    };
    text.split("\n\n").filter_map(processor).collect()
}

fn pairs(text: &str, between: char) -> BTreeMap<String, String> {
    let pair =
        |line: &str| line.split_once(between).map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    text.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_processors_and_a_kernel() {
        let told = described(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
        assert!(told["memory"]["total"].as_u64() > told["memory"]["free"].as_u64(), "{told}");
        assert!(!told["cpu"].as_array().expect("processors").is_empty() && told["host"]["os"] == "linux", "{told}");
        assert!(told["host"]["procs"].as_u64() > Some(0) && told["host"]["kernelVersion"] != "", "{told}");
    }
}
