//! `clm doctor`: what keeps the service from working here, or from being safe, each with how to mend it.
//!
//! Every part is looked at by itself and in bounded time, so that one that is away hides nothing of the others. Nothing is changed, but the
//! token is logged into, once: a wrong PIN costs one of its tries.

mod clock;
mod database;
mod deployment;
mod files;
mod finding;
mod hsm;
mod keys;
mod machine;
mod mechanisms;
mod tls;

use crate::settings::Settings;
use anyhow::Result;
use clm_core::clock::SystemClock;
use finding::{Finding, Report};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// What does not answer by then is away.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// JSON, for machines.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, settings: Result<Settings>, config: Option<&Path>) -> ExitCode {
    let mut report = Report::default();
    match settings {
        Ok(settings) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => report.extend(runtime.block_on(examine(&settings, config))),
                Err(error) => {
                    report.extend([Finding::failed("machine", format!("no runtime: {error}; free memory or files"))])
                }
            }
        }
        Err(error) => {
            report.extend([Finding::failed("settings", format!("{error:#}: correct the file or the variable"))])
        }
    }
    report.print(arguments.json);
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn examine(settings: &Settings, config: Option<&Path>) -> Vec<Finding> {
    let clock = SystemClock::new();
    let mut findings = Vec::new();
    let [secure, core] = database::SIDES;
    let (token, secure, core, synchronised) = tokio::join!(
        hsm::examine(settings),
        database::examine(settings, &secure, &clock),
        database::examine(settings, &core, &clock),
        clock::synchronised()
    );
    findings.extend(token.findings);
    findings.extend(deployment::examine(token.held.as_ref(), secure.tokens.as_deref()));
    findings.extend(secure.findings);
    findings.extend(core.findings);
    findings.push(synchronised);
    findings.push(machine::memory_lock());
    findings.extend(files::examine(settings, config));
    findings.extend(tls::examine(settings, &clock));
    findings
}
