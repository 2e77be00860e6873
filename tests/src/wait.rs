//! Waiting for the thing itself.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks again and again until the answer is the one that is waited for; panics, with the last one, when that takes longer than `within`.
pub async fn until<T: Debug + PartialEq>(within: Duration, what: &str, wanted: T, mut ask: impl AsyncFnMut() -> T) {
    let looked = async || {
        let is = ask().await;
        if is == wanted { Ok(()) } else { Err(format!("{is:?}, and not {wanted:?}")) }
    };
    found(within, what, looked).await;
}

/// Looks again and again until something is there; panics, with what the last look says instead, when that takes longer than `within`.
pub async fn found<T>(within: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + within;
    loop {
        match look().await {
            Ok(it) => return it,
            Err(instead) => assert!(Instant::now() < deadline, "{what}: {instead}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
