//! Verification of exported files: no database, only the public key.

use super::check::Check;
use anyhow::{Context, Result, bail};
use audit_chain::StoredCheckpoint;
use audit_chain::export::{FORMAT, Line, ReadLine, read};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Files of one log continue each other, in the order given.
pub(super) fn verify(files: &[PathBuf], keys: &[Vec<u8>]) -> Result<bool> {
    let mut checks = BTreeMap::new();
    for path in files {
        take(path, keys, &mut checks).with_context(|| path.display().to_string())?;
    }
    let mut good = true;
    for check in checks.into_values() {
        good &= check.finish();
    }
    Ok(good)
}

/// The checkpoints in exported files; whether they are signed is for the check to see.
pub(super) fn checkpoints(files: &[PathBuf]) -> Result<Vec<StoredCheckpoint>> {
    let mut kept = Vec::new();
    for path in files {
        for line in BufReader::new(File::open(path).with_context(|| path.display().to_string())?).lines() {
            if let Ok(ReadLine::Other(Line::Checkpoint(stored))) = read(&line?) {
                kept.push(stored);
            }
        }
    }
    Ok(kept)
}

fn take(path: &Path, keys: &[Vec<u8>], checks: &mut BTreeMap<String, Check>) -> Result<()> {
    let mut lines = BufReader::new(File::open(path)?).lines();
    let first = lines.next().context("is empty")??;
    let Ok(ReadLine::Other(Line::Export { format, log, month, .. })) = read(&first) else {
        bail!("does not begin as an export of `clm audit export` does");
    };
    if format != FORMAT {
        bail!("has format {format}, this program reads {FORMAT}");
    }
    let check = checks.entry(log.clone()).or_insert_with(|| Check::new(&log, keys.to_vec(), false));
    check.say(&format!("{}: {}", path.display(), month.as_deref().unwrap_or("the whole log")));
    let (mut records, mut checkpoints, mut ended) = (0, 0, false);
    for (number, line) in (2..).zip(lines) {
        let line = match read(&line?) {
            _ if ended => {
                check.problem(&format!("line {number} comes after the end of the file"));
                continue;
            }
            Ok(line) => line,
            Err(error) => {
                check.problem(&format!("line {number} is of no form that this service writes: {error}"));
                continue;
            }
        };
        match line {
            ReadLine::Found(found) => {
                records += 1;
                check.found(&found);
            }
            ReadLine::Other(Line::Checkpoint(stored)) => {
                checkpoints += 1;
                check.checkpoint(&stored);
            }
            ReadLine::Other(Line::Start(head)) if month.is_some() => check.start(head),
            ReadLine::Other(Line::End { records: said, checkpoints: also }) => {
                ended = true;
                if (said, also) != (records, checkpoints) {
                    check.problem(&format!(
                        "the file says that it holds {said} records and {also} checkpoints; it holds {records} and {checkpoints}"
                    ));
                }
            }
            ReadLine::Other(_) => check.problem(&format!("line {number} does not belong there")),
        }
    }
    if !ended {
        check.problem("the file was not written to its end");
    }
    Ok(())
}
