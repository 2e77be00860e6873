//! `cubbyhole/`: what a token keeps for itself, gone with it.

use super::answer::Answer;
use super::call::Call;
use super::table::{Endpoint, Parameter, Route, Verb};
use crate::app::Result;
use Verb::{Delete, Read, Write};

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "",
        endpoints: &[Endpoint::new(Verb::List, "cubbyhole-list-all", "Names of all that the token keeps", |call| {
            Box::pin(list(call))
        })],
    },
    Route {
        pattern: "{+path}",
        endpoints: &[
            Endpoint::new(Read, "cubbyhole-read", "What the token keeps there", |call| Box::pin(read(call))),
            Endpoint::new(Verb::List, "cubbyhole-list", "Names of what it keeps below", |call| Box::pin(list(call))),
            Endpoint::new(Write, "cubbyhole-write", "Keep all fields of the body there", |call| Box::pin(write(call)))
                .with(&[Parameter::ANY]),
            Endpoint::new(Delete, "cubbyhole-delete", "Delete what it keeps there", |call| Box::pin(delete(call))),
        ],
    },
];

async fn read(call: Call) -> Result<Answer> {
    let data = call.context.read_cubbyhole(call.capture("path")).await?;
    let deprecated = call.context.authority.token.is_wrapping().then(|| {
        "Reading from 'cubbyhole/response' is deprecated. Please use sys/wrapping/unwrap to unwrap responses".to_owned()
    });
    Ok(data.map_or_else(Answer::nothing, |data| Answer::data(data).warn(deprecated)))
}

async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.list_cubbyhole(call.capture("path")).await?))
}

async fn write(call: Call) -> Result<Answer> {
    call.context.write_cubbyhole(call.capture("path"), call.parameters.fields()).await?;
    Ok(Answer::nothing())
}

async fn delete(call: Call) -> Result<Answer> {
    call.context.delete_cubbyhole(call.capture("path")).await?;
    Ok(Answer::nothing())
}
