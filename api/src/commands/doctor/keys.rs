//! The ceremony's keys.

use super::PATIENCE;
use super::finding::Finding;
use keyvault::{Bridge, ceremony};
use tokio::time::timeout;
use uuid::Uuid;

/// Whether they are there and protected as they must be; and which is the root.
pub(super) async fn examine(bridge: &Bridge) -> (Vec<Finding>, Option<Uuid>) {
    let checked = timeout(PATIENCE, ceremony::check(bridge)).await;
    let (finding, root) = match checked {
        Ok(Ok((root, _, _))) => {
            (Finding::ok("hsm.keys", "root, MAC and audit keys are there and never extractable"), Some(root))
        }
        Ok(Err(error)) => (Finding::failed("hsm.keys", error.to_string()), None),
        Err(_) => {
            let says = "the token did not list its objects in time: see to the way to its device";
            (Finding::failed("hsm.keys", says), None)
        }
    };
    (vec![finding], root)
}
