//! Audit devices: files, sockets and syslog that each request and its answer are told to, besides the chains in the databases.
//!
//! ```text
//!   dispatch ──request, answer──► queue (bounded) ──► thread of the device: HMACs from the HSM, JSON ──► file, socket, syslog
//!       ▲                                                  │
//!       └───────────── waits, only if it is required ◄─────┘
//! ```
//!
//! An optional device that does not keep up loses entries, which are counted; no request waits for it. Without a required one nothing is done and
//! nothing is answered: a request that it does not take within two seconds is refused.

mod device;
mod entry;
mod options;
mod sink;

pub(crate) use device::{AuditDevice, Delivery, hashes};
pub(crate) use entry::{Answered, Asked, AskedBy, MountPoint, reason};
pub(crate) use options::DeviceOptions;
