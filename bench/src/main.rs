//! `make bench`: what the token can do by itself, what the service does with it over HTTP, and whether every answer has its record.
//!
//! One run on one machine: the raw rate of the token before and after the rows of each kind of key (`raw`), then a closed loop of
//! requests over kept-alive connections (`load`) against the real server on real parts. After each row the load stops and the records
//! are counted and verified (`row`): an answer without a record, or a record without an answer, fails the run.

mod access;
mod cpu;
mod load;
mod machine;
mod millions;
mod postgres;
mod raw;
mod report;
mod row;
mod secrets;
mod service;

use anyhow::{Result, bail};
use clap::Parser;
use report::Report;
use row::Row;
use service::Service;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Rows shorter than this are for looking, not for writing down, seconds.
const WORTH_WRITING: f64 = 5.0;

#[derive(Debug, Parser)]
#[command(name = "bench", about = "Requests a second beside the token's own rate, every answer recorded")]
struct Arguments {
    /// How long each row is measured, seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Only rows whose name begins with this: `P-256`, `RSA-2048`, `batch`, `KV`, `ACCESS`, …
    #[arg(long, default_value = "")]
    only: String,
    /// Only rows with that many connections.
    #[arg(long)]
    connections: Option<usize>,
    /// Put the tables between the marks of this Markdown file, if all was measured for long enough.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Instead of the rows: what keys cost with that many of them beside, `100,10000,1000000`; the numbers rise.
    #[arg(long, value_delimiter = ',')]
    keys: Vec<u64>,
    /// Settings to put in front of the server's, TOML.
    #[arg(long, default_value = "")]
    settings: String,
}

fn main() -> ExitCode {
    // A signer is this executable too, and starts no runtime.
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|word| word == raw::SIGNER) {
        return told(raw::sign(&arguments[2..]));
    }
    if arguments.get(1).is_some_and(|word| word == raw::COUNTER) {
        return told(raw::count(&arguments[2..]));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    told(runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&Arguments::parse()))))
}

fn told(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let window = Duration::from_secs_f64(arguments.seconds);
    let mut service = Service::start(&arguments.settings).await?;
    if !arguments.keys.is_empty() {
        let mut text =
            machine::describe(&mut service).await?.iter().map(|line| format!("- {line}\n")).collect::<String>();
        text += "\n";
        text += &millions::measure(&mut service, &arguments.keys).await?;
        report::show(&text);
        return arguments.write.as_deref().map_or(Ok(()), |file| report::write(file, &report::KEYS, &text));
    }
    let mut report = Report::new(machine::describe(&mut service).await?, window);
    for group in row::GROUPS {
        let wanted = |row: &&Row| {
            row.name.starts_with(&arguments.only) && arguments.connections.is_none_or(|count| count == row.connections)
        };
        let rows: Vec<&Row> = group.rows.iter().filter(wanted).collect();
        if rows.is_empty() {
            continue;
        }
        report.openssl(group.key, raw::openssl(group.key, window)?);
        let length = group.key.length();
        let before = raw::measure(&service.site, group.key, length, window)?;
        for row in rows {
            let measured = row.measure(&mut service, group.key, window).await?;
            report.row(row, measured);
        }
        report.raw(group.key, before, raw::measure(&service.site, group.key, length, window)?);
    }
    if let Some((table, holds)) = secrets::measure(&mut service, window, &arguments.only, arguments.connections).await?
    {
        report.section(table, holds);
    }
    if arguments.connections.is_none()
        && let Some((table, holds)) = access::measure(&mut service, window, &arguments.only).await?
    {
        report.section(table, holds);
    }
    let text = report.text();
    report::show(&text);
    let whole = arguments.only.is_empty() && arguments.connections.is_none() && arguments.settings.is_empty();
    match &arguments.write {
        Some(file) if whole && arguments.seconds >= WORTH_WRITING => report::write(file, &report::ROWS, &text)?,
        Some(file) => {
            eprintln!(
                "{} stays as it is: only a whole run with rows of {WORTH_WRITING} s or more is written down",
                file.display()
            );
        }
        None => {}
    }
    if report.failed() {
        bail!("answers and records differ: see the rows marked FAILED");
    }
    Ok(())
}
