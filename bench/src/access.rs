//! Who may do what, under load: a decision among many rules, signing beside many tokens and while many log in, and whether the time of a failed
//! login tells what was wrong with it. `--only ACCESS` measures these alone.

mod decision;
mod logins;
mod timing;
mod tokens;

use crate::cpu::Spent;
use crate::load::{Answered, INPUT, Plan, VERSIONED, run};
use crate::postgres;
use crate::service::Service;
use anyhow::{Result, ensure};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Windows shorter than this are for looking: with a hundredth of the tokens.
const WHOLE: Duration = Duration::from_secs(5);
/// Connections that sign.
const SIGNING: usize = 8;

/// A table of its own, and whether all answers had their records.
pub(crate) async fn measure(service: &mut Service, window: Duration, only: &str) -> Result<Option<(String, bool)>> {
    let wanted = |name: &str| name.starts_with(only);
    let (mut text, mut holds) = (String::new(), true);
    if wanted(decision::NAME) {
        text += &decision::measure(window);
    }
    if wanted(tokens::NAME) || wanted(logins::NAME) {
        service.speak_tls(false).await?;
        let mut table = Table::default();
        let own = [service.token.clone()].into();
        let rate = table.row("ACCESS signing alone", service, own, window, None).await?;
        if wanted(logins::NAME) {
            logins::measure(service, (window, rate), &mut table).await?;
        }
        if wanted(tokens::NAME) {
            tokens::measure(service, window, &mut table).await?;
        }
        let (verified, said) = service.verify_audit()?;
        if !verified {
            eprintln!("FAILED: {said}");
        }
        holds &= table.holds && verified;
        let _ = write!(
            text,
            "\nSigning with P-256 at {SIGNING} connections beside what goes on at the same time; `beside` is how much of that there was, the shares are of the\n\
             machine's time. At a steady rate a request is sent when it is due, at half of what signing alone reached:\n\n\
             | request | requests/s | p50 ms | p99 ms | server | workers | PostgreSQL | load | idle | beside | answers = records |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n{}",
            table.text
        );
    }
    if wanted(timing::NAME) {
        text += &timing::measure(service, window).await?;
    }
    Ok((!text.is_empty()).then_some((text, holds)))
}

/// Rows of signing.
#[derive(Default)]
struct Table {
    text: String,
    holds: bool,
    rows: usize,
}

impl Table {
    /// Signs for a window with these tokens in turn; how many signatures a second.
    async fn row(
        &mut self,
        name: &str,
        service: &mut Service,
        tokens: Arc<[String]>,
        window: Duration,
        beside: Option<&str>,
    ) -> Result<f64> {
        self.signing(name, service, plan(service, tokens)?, window, async { Ok(beside.map(str::to_owned)) }).await
    }

    /// The same as `plan` says, while something else is done, which says what that was.
    async fn signing(
        &mut self,
        name: &str,
        service: &Service,
        plan: Plan,
        window: Duration,
        other: impl Future<Output = Result<Option<String>>>,
    ) -> Result<f64> {
        let auditor = service.auditor();
        let heads = postgres::heads(&auditor).await?;
        let (signed, beside) = tokio::join!(run(plan, window, || service.spent()), other);
        let ((answered, before, after), beside) = (signed?, beside?);
        let records = postgres::records(&auditor, "key.sign", &heads).await?.0;
        self.add(name, &answered, &(after - before), beside.as_deref(), records)
    }

    fn add(
        &mut self,
        name: &str,
        answered: &Answered,
        spent: &Spent,
        beside: Option<&str>,
        records: u64,
    ) -> Result<f64> {
        ensure!(!answered.latencies.is_empty(), "{name}: nothing was answered");
        let held = if answered.answers == records { "=" } else { "**FAILED** ≠" };
        self.holds = (self.rows == 0 || self.holds) && answered.answers == records;
        self.rows += 1;
        let rate = answered.latencies.len() as f64 / answered.window.as_secs_f64();
        let ms = |share| f64::from(answered.percentile(share)) / 1e3;
        let beside = beside.unwrap_or_default();
        let row = format!(
            "| {name} | {rate:.0} | {:.2} | {:.2} | {} | {beside} | {} {held} {records} |",
            ms(0.5),
            ms(0.99),
            shares(spent),
            answered.answers
        );
        eprintln!("{row}");
        writeln!(self.text, "{row}")?;
        Ok(rate)
    }
}

/// What the machine's time went to: server, workers, PostgreSQL, load, nothing.
fn shares(spent: &Spent) -> String {
    let all = spent.machine + spent.idle;
    let shares = [spent.server, spent.workers, spent.postgres, spent.load, spent.idle];
    shares.map(|seconds| format!("{:.0} %", 100.0 * seconds / all)).join(" | ")
}

fn plan(service: &Service, tokens: Arc<[String]>) -> Result<Plan> {
    Ok(Plan {
        address: service.address()?,
        authority: None,
        connections: SIGNING,
        path: "sign/ecdsa-p256".to_owned(),
        tokens,
        batch: 1,
        fields: "",
        item: format!("\"input\":\"{INPUT}\""),
        result: VERSIONED,
        rate: None,
    })
}
