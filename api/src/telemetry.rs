//! Logs: JSON lines on standard error. What is secret is in no event: tokens, PINs and bodies are never given to one.

use tracing_subscriber::EnvFilter;

/// Starts logging; `CLM_LOG` goes over `level`. The first call counts.
pub fn start(level: Option<&str>) {
    // cryptoki reports each mechanism that it has no name for as an error; tokens have dozens.
    let usual = format!("{},cryptoki::mechanism=off", level.unwrap_or("info"));
    let filter = EnvFilter::try_from_env("CLM_LOG").or_else(|_| EnvFilter::try_new(usual));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info,cryptoki::mechanism=off"));
    let started = tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(filter).try_init();
    // Somebody was first: theirs counts.
    drop(started);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {}", panic.payload_as_str().unwrap_or("no text"));
    }));
}
