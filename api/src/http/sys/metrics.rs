//! Counters for those who hold a token; `metrics.listen` serves them without.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;

/// As Prometheus reads it.
pub(in crate::http) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(call: Call) -> Result<Answer> {
    let (metrics, services) = (&call.state.metrics, &call.context.services);
    metrics.observe_devices(&call.state.system.loaded().devices);
    match call.parameters.text("format")?.as_deref() {
        None | Some("") => Ok(Answer::data(metrics.summary(services, call.state.started.elapsed()))),
        Some("prometheus") => Ok(Answer::text(CONTENT_TYPE, metrics.text(Some(services), true))),
        Some(other) => Err(Error::invalid(format!(
            "metrics format {other:?} is not offered: ask for prometheus, or for none, which is JSON"
        ))),
    }
}
