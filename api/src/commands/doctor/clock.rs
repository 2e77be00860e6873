//! Time: certificates, tokens and records carry it, and the databases count months by theirs.

use super::finding::Finding;
use audit_log::examine;
use chrono::{DateTime, TimeDelta, Utc};
use clm_core::clock::{Clock, SystemClock};
use sqlx::PgConnection;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// More than a slow network explains.
const NOTABLE: TimeDelta = TimeDelta::seconds(1);
/// Tokens survive steps of this size, larger ones end them before their time.
const HARMFUL: TimeDelta = TimeDelta::minutes(5);

/// This machine's clock beside a database's.
pub(super) async fn skew(
    connection: &mut PgConnection,
    database: &str,
    clock: &SystemClock,
) -> Result<Finding, sqlx::Error> {
    let before = clock.now();
    let theirs = examine::now(connection).await?;
    Ok(judge(database, before, theirs, clock.now()))
}

fn judge(database: &str, before: DateTime<Utc>, theirs: DateTime<Utc>, after: DateTime<Utc>) -> Finding {
    // The answer was given somewhere between the two.
    let apart = if theirs < before { before - theirs } else { (theirs - after).max(TimeDelta::zero()) };
    let check = format!("clock.{database}");
    let says = format!(
        "this machine's clock and that of {database} are {}.{:03} s apart",
        apart.num_seconds(),
        apart.subsec_nanos() / 1_000_000
    );
    let mend = "keep both machines on time with NTP (chrony, systemd-timesyncd)";
    if apart > HARMFUL {
        Finding::failed(check, format!("{says}: tokens and records would carry wrong times; {mend}"))
    } else if apart > NOTABLE {
        Finding::warning(check, format!("{says}: {mend}"))
    } else {
        Finding::ok(check, says)
    }
}

/// Whether something keeps this machine's clock, where the system can tell.
pub(super) async fn synchronised() -> Finding {
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]).kill_on_drop(true);
    let said = match timeout(Duration::from_secs(2), command.output()).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => String::new(),
    };
    match said.as_str() {
        "yes" => Finding::ok("clock.ntp", "this machine's clock is kept by NTP"),
        "no" => Finding::warning(
            "clock.ntp",
            "this machine's clock is kept by nothing: start NTP (chrony, systemd-timesyncd)",
        ),
        _ => Finding::ok("clock.ntp", "cannot be told here (no answer from timedatectl): see that NTP keeps the clock"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn clocks_are_apart_only_by_what_the_round_trip_does_not_explain() {
        let at = |seconds: i64| DateTime::from_timestamp(1_700_000_000 + seconds, 0).expect("a time");
        let state = |theirs| judge("d", at(0), at(theirs), at(4)).state;
        let states = [-301, -300, -2, -1, 0, 4, 5, 6, 304, 305].map(state);
        use State::{Failed, Ok, Warning};
        assert_eq!(states, [Failed, Warning, Warning, Ok, Ok, Ok, Ok, Warning, Warning, Failed]);
    }
}
