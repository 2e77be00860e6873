//! Whether databases and token fit together. Not in Vault.

use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use serde_json::{Value, json};

pub(super) async fn check(call: Call) -> Result<Answer> {
    let found: Vec<Value> = call.context.check_integrity().await?.iter().map(|orphan| orphan.data()).collect();
    Ok(Answer::data(json!({ "orphans": found })))
}

/// Repairs, and says what is left.
pub(super) async fn repair(call: Call) -> Result<Answer> {
    let removed = call.context.repair_integrity().await?;
    let left: Vec<Value> = call.context.check_integrity().await?.iter().map(|orphan| orphan.data()).collect();
    Ok(Answer::data(json!({ "removed_objects": removed, "orphans": left })))
}
