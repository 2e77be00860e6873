//! Signing beside many tokens that live, by one of them and by all in turn.

use super::{Table, WHOLE};
use crate::load::exchange;
use crate::service::Service;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

pub(super) const NAME: &str = "ACCESS tokens";
const TOKENS: usize = 100_000;
const MAKING: usize = 64;

pub(super) async fn measure(service: &mut Service, window: Duration, table: &mut Table) -> Result<()> {
    let count = if window >= WHOLE { TOKENS } else { TOKENS / 100 };
    let tokens = make(service, count).await?;
    let beside = format!("{count} tokens live");
    let own = [service.token.clone()].into();
    table.row(&format!("{NAME}: one of them signs"), service, own, window, Some(&beside)).await?;
    table.row(&format!("{NAME}: all sign in turn"), service, tokens, window, Some(&beside)).await?;
    Ok(())
}

/// Makes them through the API, and uses each once, so that the server knows it.
async fn make(service: &Service, count: usize) -> Result<Arc<[String]>> {
    let made = Arc::new(AtomicUsize::new(0));
    let mut makers = JoinSet::new();
    for _ in 0..MAKING.min(count) {
        let (address, root, made) = (service.address()?, service.server.token.clone(), Arc::clone(&made));
        makers.spawn(async move {
            let mut stream = TcpStream::connect(address).await.context("connecting")?;
            stream.set_nodelay(true)?;
            let (mut tokens, mut buffer) = (Vec::new(), Vec::new());
            let body = r#"{"policies":["signs"],"no_default_policy":false,"ttl":"2h"}"#;
            while made.fetch_add(1, Ordering::Relaxed) < count {
                exchange(&mut stream, &mut buffer, ("PUT", "auth/token/create"), &root, body).await?;
                let answer = String::from_utf8_lossy(&buffer);
                let (_, rest) = answer.split_once("\"client_token\":\"").context("an answer without a token")?;
                let token = rest.split('"').next().unwrap_or_default().to_owned();
                exchange(&mut stream, &mut buffer, ("GET", "auth/token/lookup-self"), &token, "").await?;
                tokens.push(token);
            }
            anyhow::Ok(tokens)
        });
    }
    let mut tokens = Vec::with_capacity(count);
    while let Some(some) = makers.join_next().await {
        tokens.extend(some??);
    }
    Ok(tokens.into())
}
