//! What secrets hold, by version.

use super::{named, shown};
use crate::app::{Error, Result};
use crate::http::answer::{Answer, Refusal};
use crate::http::body::kind;
use crate::http::call::Call;
use crate::http::parameters::Parameters;
use hyper::StatusCode;
use keyvault::secret::Patched;
use serde_json::{Map, Value};

pub(super) async fn read(call: Call) -> Result<Answer> {
    let name = named(&call);
    let version = call.parameters.integer("version");
    let version = call.context.recorded_refusal("secret.read", &name, version).await?.unwrap_or_default();
    let read = call.context.read_secret("secret.read", &name, version).await?;
    Ok(read.map_or_else(Answer::nothing, |read| shown::read("data", read, Value::Object)))
}

pub(super) async fn subkeys(call: Call) -> Result<Answer> {
    let (name, event_type) = (named(&call), "secret.read_subkeys");
    let wanted = call.parameters.integer("version").and_then(|version| Ok((version, depth(&call.parameters)?)));
    let (version, depth) = call.context.recorded_refusal(event_type, &name, wanted).await?;
    let read = call.context.read_secret(event_type, &name, version.unwrap_or_default()).await?;
    let subkeys = |data| shown::subkeys(&data, depth);
    Ok(read.map_or_else(Answer::nothing, |read| shown::read("subkeys", read, subkeys)))
}

fn depth(parameters: &Parameters) -> Result<u64> {
    Ok(u64::try_from(parameters.integer("depth")?.unwrap_or_default()).unwrap_or_default())
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let name = named(&call);
    let (data, cas) = call.context.recorded_refusal("secret.write", &name, sent(&call.parameters)).await?;
    Ok(Answer::data(shown::version(&call.context.write_secret(&name, cas, &data).await?)))
}

pub(super) async fn patch(call: Call) -> Result<Answer> {
    let name = named(&call);
    let (data, cas) = call.context.recorded_refusal("secret.patch", &name, sent(&call.parameters)).await?;
    Ok(match call.context.patch_secret(&name, cas, &data).await? {
        Patched::Absent => Answer::refused(Refusal::Absent),
        Patched::Gone(version) => Answer::data(shown::version(&version)).with_status(StatusCode::NOT_FOUND),
        Patched::Written(version) => Answer::data(shown::version(&version)),
    })
}

/// `data` and `cas`.
pub(in crate::http) fn sent(parameters: &Parameters) -> Result<(Map<String, Value>, Option<i64>)> {
    let data = match parameters.fields().get("data") {
        None => return Err(Error::invalid("no data provided")),
        Some(Value::Null) => Map::new(),
        Some(Value::Object(data)) => data.clone(),
        Some(other) => {
            return Err(Error::Invalid(format!(
                "error converting input for field \"data\": expected a map, got {}",
                kind(other)
            )));
        }
    };
    let cas = parameters.object("options")?.integer("cas");
    Ok((data, cas.map_err(|_| Error::invalid("error parsing check-and-set parameter"))?))
}
