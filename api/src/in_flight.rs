//! Requests under way, for whoever wonders what the service is busy with.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use uuid::Uuid;

/// Parts with a lock each, so that requests seldom wait for each other here.
const PARTS: usize = 16;

/// A request under way.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay {
    pub(crate) began: Instant,
    pub(crate) method: &'static str,
    /// Without `/v1/`.
    pub(crate) path: Arc<str>,
    pub(crate) source: Option<IpAddr>,
}

/// All of this server's.
#[derive(Debug, Default)]
pub(crate) struct InFlightRequests([Mutex<HashMap<Uuid, UnderWay>>; PARTS]);

/// Takes the request off the list when it is dropped.
pub(crate) struct Listed<'l> {
    list: &'l InFlightRequests,
    id: Uuid,
}

impl InFlightRequests {
    pub(crate) fn list(&self, id: Uuid, request: UnderWay) -> Listed<'_> {
        self.part(id).insert(id, request);
        Listed { list: self, id }
    }

    /// As of now, in no order.
    pub(crate) fn all(&self) -> Vec<(Uuid, UnderWay)> {
        let of = |part: &Mutex<HashMap<Uuid, UnderWay>>| {
            let requests = part.lock().unwrap_or_else(PoisonError::into_inner);
            requests.iter().map(|(id, request)| (*id, request.clone())).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }

    fn part(&self, id: Uuid) -> MutexGuard<'_, HashMap<Uuid, UnderWay>> {
        // The last byte of a UUIDv7 is by chance.
        self.0[usize::from(id.as_bytes()[15]) % PARTS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.list.part(self.id).remove(&self.id);
    }
}
