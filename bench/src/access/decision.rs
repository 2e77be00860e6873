//! One decision of the policy engine, in memory.

use clm_core::access::{AccessRequest, Acl, Operation, Policy};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

pub(super) const NAME: &str = "ACCESS policy decision";
const POLICIES: usize = 100;
const RULES: usize = 50;
/// Microseconds, at most.
const GOAL: f64 = 5.0;
/// Requests decided one after the other between two looks at the clock.
const ROUND: usize = 1_000;

/// Rules of every kind: literal, with `+`, with `*` at the end, and with both.
fn policies() -> Vec<Policy> {
    let rule = |policy: usize, rule: usize| match rule % 4 {
        0 => format!("transit/sign/team-{policy}-key-{rule}"),
        1 => format!("secret/data/team-{policy}/+/app-{rule}"),
        2 => format!("secret/data/team-{policy}/service-{rule}/*"),
        _ => format!("secret/+/team-{policy}/+/part-{rule}*"),
    };
    (0..POLICIES)
        .map(|policy| {
            let mut text = String::new();
            for number in 0..RULES {
                // Writing to a String does not fail.
                let _ = writeln!(text, "path {:?} {{ capabilities = [\"read\", \"update\"] }}", rule(policy, number));
            }
            Policy::parse(&format!("policy-{policy}"), &text).unwrap_or_else(|error| panic!("{error}: {text}"))
        })
        .collect()
}

/// Paths of which about half are allowed, in no order.
fn paths() -> Vec<String> {
    (0..ROUND as u64)
        .map(|number| {
            let chance = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let (policy, rule) = (chance % POLICIES as u64, chance / 128 % RULES as u64);
            match chance / 65_536 % 5 {
                0 => format!("transit/sign/team-{policy}-key-{rule}"),
                1 => format!("secret/data/team-{policy}/web/app-{rule}"),
                2 => format!("secret/data/team-{policy}/service-{rule}/a/b/c"),
                3 => format!("secret/metadata/team-{policy}/web/part-{rule}-x"),
                _ => format!("database/creds/team-{policy}/role-{rule}"),
            }
        })
        .collect()
}

/// A sentence with the mean and the slowest round.
pub(super) fn measure(window: Duration) -> String {
    let (policies, paths) = (policies(), paths());
    let compiling = Instant::now();
    let acl = Acl::new(&policies);
    let compiled = compiling.elapsed();
    let (mut decisions, mut allowed, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    let began = Instant::now();
    while began.elapsed() < window / 4 {
        let round = Instant::now();
        for path in &paths {
            let decision = acl.decide(black_box(&AccessRequest::new(Operation::Read, path)));
            allowed += u64::from(black_box(decision).allowed);
        }
        decisions += ROUND as u64;
        slowest = slowest.max(round.elapsed());
    }
    let each = began.elapsed().as_secs_f64() * 1e6 / decisions.max(1) as f64;
    let worst = slowest.as_secs_f64() * 1e6 / ROUND as f64;
    let verdict = if each <= GOAL { "reached" } else { "**missed**" };
    let share = 100 * allowed / decisions.max(1);
    eprintln!("{NAME}: {each:.2} µs, goal {GOAL} µs: {verdict}");
    format!(
        "{NAME} with {POLICIES} policies of {RULES} rules, in one thread: {each:.2} µs (in the slowest thousand {worst:.2} µs) over {decisions} decisions, of which {share} % \
         allow; goal ≤ {GOAL:.0} µs: {verdict}. Compiling the rules took {:.1} ms.\n",
        compiled.as_secs_f64() * 1e3
    )
}
