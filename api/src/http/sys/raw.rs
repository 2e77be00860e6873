//! The storage below all else, which is nobody's to read or write through the API: rows carry MACs, and each change its record.

use super::audit::expect_root;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Parameter, Route, Verb};

const REFUSED: &str = "this server gives no access to its raw storage: use the paths of the engines, and `clm integrity`, `clm audit` and `clm doctor` to look into databases and token";

const fn refusal(verb: Verb, id: &'static str) -> Endpoint {
    let summary = "Refused: raw storage is nobody's to read or write";
    Endpoint::new(verb, id, summary, |call| Box::pin(refuse(call))).audited(true)
}

pub(in crate::http) const ROUTES: &[Route] = &[
    Route { pattern: "raw", endpoints: &[refusal(Verb::List, "raw-list-all")] },
    Route {
        pattern: "raw/{+path}",
        endpoints: &[
            refusal(Verb::Read, "raw-read"),
            refusal(Verb::List, "raw-list"),
            refusal(Verb::Write, "raw-write").with(&[Parameter::ANY]),
            refusal(Verb::Delete, "raw-delete"),
        ],
    },
];

async fn refuse(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    Err(Error::invalid(REFUSED))
}
