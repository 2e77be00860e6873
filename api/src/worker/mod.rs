//! Work that nobody waits for: the second half of changes that both databases make (`outbox`), and what comes again and again (`jobs`).
//!
//! Each server runs both; leases in `clm_core_db` see to it that one at a time does a piece of work. A server may be killed at any point:
//! when its lease is over, another does the work again. While the service is sealed the work waits.

mod jobs;
mod lease;
mod outbox;

use crate::app::Services;
use crate::app::seal::Seal;
use std::sync::Arc;
use uuid::Uuid;

/// Works until the service ends.
pub(crate) fn start(seal: &Arc<Seal>, services: Services) {
    let server = Uuid::new_v4();
    tokio::spawn(outbox::keep_emptied(Arc::clone(seal), services.clone(), server));
    jobs::start(seal, &services, server);
}
