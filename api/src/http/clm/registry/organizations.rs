//! Letting somebody into another organization.

use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use secrecy::ExposeSecret;
use serde_json::json;

pub(super) async fn token(call: Call) -> Result<Answer> {
    let token = call.context.organization_token(call.capture("name")).await?;
    Ok(Answer::data(json!({ "token": token.expose_secret() })))
}
