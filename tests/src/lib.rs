//! What tests stand on: databases and tokens of their own, gone when the test ends.
//!
//! `make test` starts a private PostgreSQL cluster and sets `CLM_TEST_DATABASE_URL` to its superuser's; each test makes its own
//! databases in it with [`TestDatabase::create`].

mod bound;
mod certificates;
mod cluster;
mod database;
mod issuer;
pub mod openssl;
mod pooler;
pub mod process;
mod server;
mod site;
mod stand_in;
mod token;
mod totp;
pub mod transit;
mod transport;
mod wait;

// The public interface is:
pub use certificates::{Authority, Issued};
pub use cluster::Cluster;
pub use database::TestDatabase;
pub use issuer::{Issuer, Signer};
pub use pooler::Pooler;
pub use server::{Answer, Server};
pub use site::Site;
pub use stand_in::{Asked, StandIn};
pub use token::{TestToken, built, python};
pub use totp::totp;
pub use transport::wrapped;
pub use wait::{found, until};
