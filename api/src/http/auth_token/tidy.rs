//! Sweeping.

use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;

pub(super) async fn tidy(call: Call) -> Result<Answer> {
    call.context.services.core.tidy(&call.context.caller, "token").await?;
    Ok(Answer::accepted(
        "Tidy operation successfully started. Any information from the operation will be printed to the server's logs.",
    ))
}
