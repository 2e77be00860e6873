//! Changes that span both databases, and work that nobody waits for. Servers are killed at every step in between.
#![expect(clippy::unwrap_used, reason = "tests")]

mod closed_mounts;
mod destruction;
mod halfway;
mod jobs;

use api::crash::CrashPoint;
use clap::ValueEnum;
use serde_json::json;
use sqlx::PgConnection;
use std::time::Duration;
use tests::{Server, Site};

/// A change that has steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Initialise,
    InitialiseShamir,
    MakeOrganization,
    Wrap,
    CloseMount,
    /// tests/secrets/renewed.rs ends servers there.
    TellPeople,
    DestroyDueKeys,
    /// Of one database alone: tests/rekey.rs.
    Rekey,
}

/// Whose step it is: a step that no test knows does not compile.
fn change_of(point: CrashPoint) -> Change {
    match point {
        CrashPoint::OrganizationKeyMade => Change::Initialise,
        CrashPoint::NewOrganizationKeyMade => Change::MakeOrganization,
        CrashPoint::PinChanged => Change::InitialiseShamir,
        CrashPoint::SealRekeyed => Change::Rekey,
        CrashPoint::ContentKept | CrashPoint::WrappingEnded | CrashPoint::ContentRewrapped => Change::Wrap,
        CrashPoint::MountDisabled
        | CrashPoint::EntryTaken
        | CrashPoint::MountClosed
        | CrashPoint::KeysDestroyed
        | CrashPoint::SecretsDestroyed
        | CrashPoint::ObjectsRemoved
        | CrashPoint::EntryFinished => Change::CloseMount,
        CrashPoint::PeopleTold => Change::TellPeople,
        CrashPoint::DueKeysDestroyed => Change::DestroyDueKeys,
    }
}

/// The steps of a change, with the names by which a server is told to end there.
fn steps(of: Change) -> impl Iterator<Item = (CrashPoint, String)> {
    CrashPoint::value_variants().iter().filter(move |point| change_of(**point) == of).map(|point| {
        let name = point.to_possible_value().expect("no point is hidden").get_name().to_owned();
        (*point, name)
    })
}

/// A server that ends when it reaches that step.
async fn ending_at(site: &mut Site, step: &str) -> Server {
    site.variables = vec![("CLM_CRASH_AT", step.to_owned())];
    let server = site.serve().await.unwrap();
    site.variables.clear();
    server
}

/// It has ended by itself, by a signal.
fn has_ended(mut server: Server, step: &str) {
    assert_eq!(server.wait().unwrap(), None, "{step}: it ended by a signal");
}

/// What happens by itself does within this.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until<T: PartialEq + std::fmt::Debug>(what: &str, wanted: T, ask: impl AsyncFnMut() -> T) {
    tests::until(PATIENCE, what, wanted, ask).await;
}

async fn number(connection: &mut PgConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(connection).await.unwrap()
}

async fn furnished(site: &Site) -> Server {
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let made = server.put("transit/keys/staying", json!({"type": "ecdsa-p256", "storage": "token"})).await.unwrap();
    assert!(made.status.is_success(), "{made:?}");
    mount(&server).await;
    server
}

/// A mount that is going to leave, with a key of every storage.
async fn mount(server: &Server) {
    assert_eq!(server.put("sys/mounts/leaving", json!({"type": "transit"})).await.unwrap().status, 204);
    for (name, more) in [
        ("leaving/keys/wrapped", json!({"type": "ecdsa-p256"})),
        ("leaving/keys/symmetric", json!({"type": "aes256-gcm96"})),
        ("leaving/keys/token", json!({"type": "ecdsa-p256", "storage": "token"})),
    ] {
        let made = server.put(name, more).await.unwrap();
        assert!(made.status.is_success(), "{name}: {made:?}");
    }
}
