//! `clm openapi`: the API as a document.

use anyhow::Result;
use std::io::Write;
use std::process::ExitCode;

pub(super) fn run() -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &crate::http::openapi())?;
    writeln!(out)?;
    Ok(ExitCode::SUCCESS)
}
