//! Looking at tokens.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;

pub(super) async fn lookup(call: Call) -> Result<Answer> {
    let asked = call.parameters.text("token")?.filter(|token| !token.is_empty());
    // The caller's own is answered from what this very request found, which has spent its use already.
    match asked.filter(|asked| **asked != *call.token) {
        None => own(call).await,
        Some(token) => {
            let info = call.context.services.core.lookup_token(&call.context.caller, &token).await?;
            Ok(Answer::data(info.data(&token)))
        }
    }
}

pub(super) async fn own(call: Call) -> Result<Answer> {
    let info = call.context.services.core.info(&call.context.authority);
    Ok(Answer::data(info.data(&call.token)))
}

pub(super) async fn accessor(call: Call) -> Result<Answer> {
    let accessor = call.parameters.text("accessor")?.unwrap_or_default();
    if accessor.is_empty() {
        return Err(Error::invalid("missing accessor"));
    }
    let info = call.context.services.core.lookup_accessor(&call.context.caller, &accessor).await?;
    Ok(Answer::data(info.data("")))
}

pub(super) async fn accessors(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.services.core.list_accessors(&call.context.caller).await?))
}
