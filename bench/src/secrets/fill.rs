//! Loads a mount with secrets, through keyvault on the same token and database as the server.

use super::{path, value};
use anyhow::Result;
use chrono::{DateTime, Utc};
use keyvault::Vault;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tests::Site;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Batches that are under way.
const AT_ONCE: usize = 4;
/// The organization `root`, which every deployment has.
const ROOT_ORGANIZATION: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_726f_6f74_0000);

#[derive(Debug)]
struct WallClock;

impl keyvault::clock::Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "rows are made now")]
    fn now(&self) -> DateTime<Utc> {
        SystemTime::now().into()
    }
}

/// Makes `count` secrets in a mount that is empty.
pub(super) async fn fill(site: &Site, mount_id: Uuid, count: u32) -> Result<()> {
    let began = Instant::now();
    let settings = keyvault::Settings::new(site.secure.url("clm_secure_app").into(), site.hsm()?);
    let vault = Vault::open(settings, Arc::new(WallClock)).await?;
    vault.bridge().ready().await?;
    let mut batches = JoinSet::new();
    let most = u32::try_from(keyvault::secret::MOST_AT_ONCE)?;
    for first in (0..count).step_by(most as usize) {
        if batches.len() >= AT_ONCE
            && let Some(done) = batches.join_next().await
        {
            done??;
        }
        let vault = vault.clone();
        batches.spawn(async move {
            let new: Vec<(String, Vec<u8>)> = (first..count.min(first + most))
                .map(|number| (path(number), value(number.into()).into_bytes()))
                .collect();
            vault.load_secrets(&keyvault::system(ROOT_ORGANIZATION), mount_id, &new).await
        });
    }
    while let Some(done) = batches.join_next().await {
        done??;
    }
    eprintln!("{count} secrets loaded in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}
