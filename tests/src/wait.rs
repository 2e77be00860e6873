//! Waiting for the thing itself.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks again and again until the answer is the one that is waited for; panics, with the last one, when that takes longer than `within`.
pub async fn until<T: Debug + PartialEq>(within: Duration, what: &str, wanted: T, mut ask: impl AsyncFnMut() -> T) {
    let deadline = Instant::now() + within;
    loop {
        let is = ask().await;
        if is == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {is:?}, and not {wanted:?}");
        tokio::time::sleep(PAUSE).await;
    }
}
