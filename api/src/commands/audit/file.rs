//! Verification of exported files: no database, only the public key.

use super::check::Check;
use anyhow::{Context, Result, bail};
use audit_chain::export::{FORMAT, Line, ReadLine, read};
use audit_chain::{DETACHED, Found, Head, StoredCheckpoint, Stretch};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};

/// Files of one log continue each other, in the order given.
pub(super) fn verify(files: &[PathBuf], keys: &[Vec<u8>]) -> Result<bool> {
    let mut checks: BTreeMap<String, Check> = BTreeMap::new();
    for path in files {
        let (log, _) = kind(path)?;
        let check = checks.entry(log.clone()).or_insert_with(|| Check::new(&log, keys.to_vec(), false));
        detached(path)?.into_iter().for_each(|stretch| check.detached(stretch));
    }
    for path in files {
        let (log, _) = kind(path)?;
        if let Some(check) = checks.get_mut(&log) {
            take(path, check)?;
        }
    }
    let mut good = true;
    for check in checks.into_values() {
        good &= check.finish().0;
    }
    Ok(good)
}

/// Those of one log; a file that is no export is an error.
pub(super) fn of_log(files: &[PathBuf], log: &str) -> Result<Vec<PathBuf>> {
    let mut of_log = Vec::new();
    for path in files {
        if kind(path)?.0 == log {
            of_log.push(path.clone());
        }
    }
    Ok(of_log)
}

/// Which log a file is of, and which month of it.
pub(super) fn kind(path: &Path) -> Result<(String, Option<String>)> {
    let named = || path.display().to_string();
    let mut lines = lines(path)?;
    let first = lines.next().context("is empty").with_context(named)??;
    let Ok(ReadLine::Other(Line::Export { format, log, month, .. })) = read(&first) else {
        bail!("{}: does not begin as an export of `clm audit export` does", named());
    };
    if format != FORMAT {
        bail!("{}: has format {format}, this program reads {FORMAT}", named());
    }
    Ok((log, month))
}

/// What the records in it tell of detached months.
fn detached(path: &Path) -> Result<Vec<Stretch>> {
    let mut stretches = Vec::new();
    for line in lines(path)? {
        let line = line?;
        if line.contains(DETACHED)
            && let Ok(ReadLine::Found(Found::Record(record))) = read(&line)
        {
            stretches.extend(Stretch::told_by(&record.event));
        }
    }
    Ok(stretches)
}

/// Chain, number and hash of its records, in its order.
pub(super) fn records(path: &Path) -> Result<impl Iterator<Item = Result<Head>>> {
    Ok(lines(path)?.filter_map(|line| match line {
        Ok(line) => match read(&line) {
            Ok(ReadLine::Found(Found::Record(record))) => Some(Ok(record.head())),
            _ => None,
        },
        Err(error) => Some(Err(error.into())),
    }))
}

/// Where the chains stood before the records of a month's file.
pub(super) fn starts(path: &Path) -> Result<Vec<Head>> {
    let mut starts = Vec::new();
    for line in lines(path)? {
        if let Ok(ReadLine::Other(Line::Start(head))) = read(&line?) {
            starts.push(head);
        }
    }
    Ok(starts)
}

fn lines(path: &Path) -> Result<Lines<BufReader<File>>> {
    Ok(BufReader::new(File::open(path).with_context(|| path.display().to_string())?).lines())
}

/// The checkpoints in exported files; whether they are signed is for the check to see.
pub(super) fn checkpoints(files: &[PathBuf]) -> Result<Vec<StoredCheckpoint>> {
    let mut kept = Vec::new();
    for path in files {
        for line in lines(path)? {
            if let Ok(ReadLine::Other(Line::Checkpoint(stored))) = read(&line?) {
                kept.push(stored);
            }
        }
    }
    Ok(kept)
}

/// Hands the check what is in a file.
pub(super) fn take(path: &Path, check: &mut Check) -> Result<()> {
    let (_, month) = kind(path)?;
    let lines = lines(path)?.skip(1);
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
