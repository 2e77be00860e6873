//! `clm policy`: what policies decide, through a service.

use super::service::{Service, print};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say which rule of which policy decides about a request, and why. The exit code is 1 if the request is denied.
    Explain {
        /// The path that would be asked for, without /v1/.
        path: String,
        /// create, delete, list, patch, read or update.
        verb: String,
        #[command(flatten)]
        whose: WhoseArguments,
        /// The address that the request would come from; without, conditions on it do not hold.
        #[arg(long)]
        source: Option<String>,
        /// The service's whole answer, for machines.
        #[arg(long)]
        json: bool,
    },
}

/// Whose request it would be.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct WhoseArguments {
    /// That of the token with this accessor.
    #[arg(long = "as", value_name = "ACCESSOR")]
    accessor: Option<String>,
    /// That of the token in this file; `-` is standard input. A token has no place among arguments, which all of the machine can read.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// That of whoever has these policies and nothing else.
    #[arg(long, value_delimiter = ',')]
    policies: Vec<String>,
}

pub(super) async fn run(command: &Command) -> Result<ExitCode> {
    let Command::Explain { path, verb, whose, source, json } = command;
    let service = Service::from_environment()?;
    let mut body = json!({ "path": path, "operation": verb.to_lowercase(), "source": source });
    match whose {
        WhoseArguments { accessor: Some(accessor), .. } => body["accessor"] = accessor.as_str().into(),
        WhoseArguments { token_file: Some(file), .. } => body["token"] = read(file)?.trim().into(),
        WhoseArguments { policies, .. } => body["policies"] = policies.as_slice().into(),
    }
    let told = service.write("clm/access/explain", &body).await?;
    let allowed = told["allowed"].as_bool().context("the service gave no verdict")?;
    print(&if *json { serde_json::to_string_pretty(&told)? } else { people(&told) })?;
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(file: &Path) -> Result<String> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file).with_context(|| file.display().to_string());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("standard input")?;
    Ok(text)
}

/// As people read it: the verdict, the steps to it, and what else matches.
fn people(told: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", ");
    let verdict = if told["allowed"] == true { "allowed" } else { "denied" };
    let mut said = format!("{verdict}: {}", text(&told["because"]));
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a String does not fail.
        let _ = write!(said, "\n{words}");
    };
    if told["deciding_path"] != told["path"] {
        line(format_args!("decided as {} {}", text(&told["operation"]), text(&told["deciding_path"])));
    }
    for step in told["steps"].as_array().into_iter().flatten() {
        let found = match step["rule"].as_str() {
            Some(rule) => format!("{rule:?}: {}", text(&step["finds"])),
            None => text(&step["finds"]),
        };
        line(format_args!("  {}: {found}", text(&step["looks_at"])));
    }
    for rule in told["matching"].as_array().into_iter().flatten() {
        let behind = rule["behind"].as_str().map(|why| format!("; behind the first: {why}")).unwrap_or_default();
        line(format_args!(
            "  matches: {:?} of {} ({}), {}{behind}",
            text(&rule["path"]),
            names(&rule["policies"]),
            names(&rule["capabilities"]),
            text(&rule["kind"])
        ));
    }
    for policy in told["not_counting"].as_array().into_iter().flatten() {
        let (name, effect, why) = (text(&policy["policy"]), text(&policy["effect"]), text(&policy["why"]));
        line(format_args!("  does not count now: {name} (would {effect}): {why}"));
    }
    let left_out = names(&told["left_out"]);
    if !left_out.is_empty() {
        line(format_args!("  not there, or for somebody else: {left_out}"));
    }
    said
}
