//! The tables, as Markdown and on the screen.

use crate::raw::{Key, Rate};
use crate::row::{Measured, Row};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// Marks of a part of the file.
pub(crate) struct Part {
    begin: &'static str,
    end: &'static str,
}

/// Of `make bench`.
pub(crate) const ROWS: Part = Part { begin: "<!-- make bench writes what follows -->\n", end: "<!-- up to here -->\n" };
/// Of `make bench-keys`.
pub(crate) const KEYS: Part =
    Part { begin: "<!-- make bench-keys writes what follows -->\n", end: "<!-- up to here, of the keys -->\n" };

/// What is to be reached, by a row's name and connections.
const GOALS: &[(&str, usize, Goal)] = &[
    ("P-256", 1, Goal::P50(0.8)),
    ("P-256", 8, Goal::Raw(0.20)),
    ("P-256", 8, Goal::P99(5.0)),
    ("P-256", 64, Goal::Raw(0.42)),
    ("P-256", 64, Goal::Server(35.0)),
    ("P-256", 64, Goal::PostgreSql(20.0)),
    ("P-256", 256, Goal::Raw(0.50)),
    ("RSA-2048", 64, Goal::Raw(0.85)),
    ("batch of 100 P-256", 64, Goal::Raw(0.85)),
];

/// One figure.
#[derive(Clone, Copy)]
enum Goal {
    /// Share of the raw rate in two processes, at least.
    Raw(f64),
    /// Milliseconds, at most.
    P50(f64),
    P99(f64),
    /// Microseconds of processor time a request, at most.
    Server(f64),
    PostgreSql(f64),
}

impl Goal {
    /// A line of the table of goals.
    fn line(self, name: &str, connections: usize, measured: &Measured, raw: f64) -> String {
        let ms = |share| f64::from(measured.answered.percentile(share)) / 1e3;
        let (what, wanted, got) = match self {
            Self::Raw(least) => {
                let verdict = if raw >= least { "reached" } else { "**missed**" };
                return format!(
                    "| {name} | {connections} | share of the token's rate | ≥ {least:.2} | {raw:.2} | {verdict} |\n"
                );
            }
            Self::P50(most) => ("p50, ms", most, ms(0.5)),
            Self::P99(most) => ("p99, ms", most, ms(0.99)),
            Self::Server(most) => ("CPU of the server, µs a request", most, measured.each(measured.spent.server)),
            Self::PostgreSql(most) => ("CPU of PostgreSQL, µs a request", most, measured.each(measured.spent.postgres)),
        };
        let verdict = if got <= wanted { "reached" } else { "**missed**" };
        format!("| {name} | {connections} | {what} | ≤ {wanted:.1} | {got:.1} | {verdict} |\n")
    }
}

/// Filled as the run goes on.
pub(crate) struct Report {
    machine: Vec<String>,
    window: Duration,
    raw: String,
    openssl: Vec<(Key, f64)>,
    /// Rows whose raw rate is not settled before its second measurement.
    pending: Vec<(String, usize, f64, Measured)>,
    rows: String,
    goals: String,
    /// Tables of their own.
    sections: String,
    failed: bool,
}

impl Report {
    pub(crate) fn new(machine: Vec<String>, window: Duration) -> Self {
        Self {
            machine,
            window,
            raw: String::new(),
            openssl: Vec::new(),
            pending: Vec::new(),
            rows: String::new(),
            goals: String::new(),
            sections: String::new(),
            failed: false,
        }
    }

    pub(crate) fn openssl(&mut self, key: Key, rate: Option<f64>) {
        self.openssl.extend(rate.map(|rate| (key, rate)));
    }

    pub(crate) fn row(&mut self, row: &Row, measured: Measured) {
        if !measured.holds() {
            self.failed = true;
            eprintln!(
                "FAILED: {} at {}: {} answers with {} signatures, {} records of {} signatures. {}",
                row.name,
                row.connections,
                measured.answered.answers,
                measured.answered.signatures,
                measured.records,
                measured.recorded_signatures,
                measured.broken.as_deref().unwrap_or("The log holds in itself.")
            );
        }
        eprintln!(
            "{} at {}: {:.0} requests/s, p50 {} µs, p99 {} µs; {} answers = {} records",
            row.name,
            row.connections,
            measured.requests_per_second(),
            measured.answered.percentile(0.5),
            measured.answered.percentile(0.99),
            measured.answered.answers,
            measured.records
        );
        self.pending.push((row.name.to_owned(), row.connections, row.signatures(), measured));
    }

    /// The raw rates before and after the rows of a key; ratios are to their mean, in two processes, of the kind of object that served.
    pub(crate) fn raw(&mut self, key: Key, before: Vec<Rate>, after: Vec<Rate>) {
        let mean = |index: usize| f64::midpoint(before[index].per_second, after[index].per_second);
        for (index, rate) in before.iter().enumerate() {
            let processes = if rate.processes == 1 { "one process" } else { "two processes" };
            let later = after[index].per_second;
            let _ = writeln!(
                self.raw,
                "| {} | {} | {processes} | {:.0} | {later:.0} |",
                key.name(),
                rate.object,
                rate.per_second
            );
        }
        let two = before.iter().position(|rate| rate.processes == 2).map_or(f64::NAN, mean);
        let openssl = self.openssl.iter().find(|(known, _)| *known == key).map(|(_, rate)| *rate);
        if let Some(rate) = openssl {
            let _ = writeln!(self.raw, "| {} | `openssl speed`, in memory | one process | {rate:.0} | |", key.name());
        }
        for (name, connections, signatures, measured) in std::mem::take(&mut self.pending) {
            let share = measured.requests_per_second() * signatures / two;
            for (of, at, goal) in GOALS {
                if *of == name && *at == connections {
                    self.goals.push_str(&goal.line(&name, connections, &measured, share));
                }
            }
            self.rows.push_str(&line(&name, connections, signatures, &measured, two, openssl));
        }
    }

    /// A table of its own, and whether all in it held.
    pub(crate) fn section(&mut self, text: String, holds: bool) {
        self.sections.push_str(&text);
        self.failed |= !holds;
    }

    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.machine {
            let _ = writeln!(text, "- {line}");
        }
        let _ = writeln!(
            text,
            "- each row {:.0} s after a fifth of that to warm up; the load is one thread on the same processors\n\n\
             The token by itself, signatures a second, before and after the rows of its key:\n\n\
             | key | object | in | before | after |\n|---|---|---|---|---|\n{}\n\
             Over HTTP, each answer after its record is durable. `raw`: signatures a second as a share of the token's own rate in two processes,\n\
             same kind of object, same run. CPU in µs a request. `others`: share of the machine's time that went to none of these (the kernel's work\n\
             for the network is in it). Records = answers is counted in the database after each row, and `clm audit verify` run:\n\n\
             | request | connections | requests/s | raw | openssl | p50 ms | p99 ms | server | supervisor, workers | PostgreSQL | load | idle | others | records a commit | WAL syncs a commit | answers = records |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n{}\n\
             | request | connections | goal | wanted | measured | |\n|---|---|---|---|---|---|\n{}\n{}",
            self.window.as_secs_f64(),
            self.raw,
            self.rows,
            self.goals,
            self.sections
        );
        text
    }
}

fn line(
    name: &str,
    connections: usize,
    signatures: f64,
    measured: &Measured,
    raw: f64,
    openssl: Option<f64>,
) -> String {
    let rate = measured.requests_per_second();
    let spent = &measured.spent;
    let total = spent.machine + spent.idle;
    let per = |count: f64, of: i64| if of > 0 { count / of as f64 } else { f64::NAN };
    let ms = |share| f64::from(measured.answered.percentile(share)) / 1e3;
    let held = if measured.holds() {
        format!("{} = {}", measured.answered.answers, measured.records)
    } else {
        format!("**FAILED** {} ≠ {}", measured.answered.answers, measured.records)
    };
    format!(
        "| {name} | {connections} | {rate:.0} | {:.2} | {} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} % | {:.0} % | {:.1} | {:.2} | {held} |\n",
        rate * signatures / raw,
        openssl.map_or_else(String::new, |openssl| format!("{:.2}", rate * signatures / openssl)),
        ms(0.5),
        ms(0.99),
        measured.each(spent.server),
        measured.each(spent.workers),
        measured.each(spent.postgres),
        measured.each(spent.load),
        100.0 * spent.idle / total,
        100.0 * spent.others() / total,
        per(measured.records as f64, measured.writes),
        per(measured.syncs as f64, measured.commits),
    )
}

/// On standard output.
pub(crate) fn show(text: &str) {
    // Whoever closed it does not want to read it.
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// Between the marks of a part of `file`.
pub(crate) fn write(file: &Path, Part { begin, end }: &Part, text: &str) -> Result<()> {
    let old = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (head, rest) = old.split_once(begin).with_context(|| format!("{} has no line {begin}", file.display()))?;
    let (_, tail) = rest.split_once(end).with_context(|| format!("{} has no line {end}", file.display()))?;
    Ok(std::fs::write(file, format!("{head}{begin}\n{text}\n{end}{tail}"))?)
}
