//! Counters for those who hold a token; `metrics.listen` serves them without.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;

/// As Prometheus reads it.
pub(in crate::http) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(call: Call) -> Result<Answer> {
    match call.parameters.text("format")?.as_deref() {
        None | Some("" | "prometheus") => {
            call.state.metrics.observe_devices(&call.state.system.loaded().devices);
            Ok(Answer::text(CONTENT_TYPE, call.state.metrics.text(Some(&call.context.services), true)))
        }
        Some(other) => Err(Error::invalid(format!("metrics format {other:?} is not offered: ask for prometheus"))),
    }
}
