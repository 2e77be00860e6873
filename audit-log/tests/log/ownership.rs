//! Whose chain it is, and who signs for all of them.

use crate::support::{Site, event, until};
use audit_chain::{Checkpoint, Verifier};
use audit_log::{AuditError, AuditLog, CheckpointSigner, SignedCheckpoint};
use futures_util::future::BoxFuture;
use p256::ecdsa::signature::{Signer, Verifier as _};
use p256::ecdsa::{DerSignature, SigningKey, VerifyingKey};
use std::sync::Arc;

#[tokio::test]
async fn each_server_has_a_chain_of_its_own_and_takes_over_an_abandoned_one() {
    let site = Site::secure().await;
    let (first, second) = (site.log(), site.log());
    for log in [&first, &second, &first] {
        log.append(event()).await.unwrap();
    }
    let report = site.report().await;
    let mut lengths: Vec<_> = report.chains.iter().map(|chain| chain.records).collect();
    lengths.sort_unstable();
    assert_eq!((lengths, report.breaks), (vec![1, 2], vec![]));
    // A server that ends gives its chain back.
    drop(first);
    until("the chain is given back", async || {
        let free = "SELECT count(*) FROM audit_chains WHERE leased_until < now()";
        sqlx::query_scalar::<_, i64>(free).fetch_one(&mut site.superuser().await).await.unwrap() == 1
    })
    .await;
    site.log().append(event()).await.unwrap();
    let report = site.report().await;
    assert_eq!((report.records(), report.chains.len(), report.breaks), (4, 2, vec![]));
}

#[tokio::test]
async fn a_server_that_lost_its_lease_writes_nothing_more_to_that_chain() {
    let site = Site::secure().await;
    let slow = site.log();
    slow.append(event()).await.unwrap();
    // It was stopped for longer than its lease.
    site.sql("UPDATE audit_chains SET leased_until = now() - interval '1 second'").await;
    let quick: AuditLog = site.log();
    quick.append(event()).await.unwrap();
    let refused = slow.append(event()).await;
    assert!(matches!(refused, Err(AuditError::Unavailable(_))), "{refused:?}");
    assert_eq!(site.report().await.records(), 2);
    // From then on it has another chain.
    slow.append(event()).await.unwrap();
    quick.append(event()).await.unwrap();
    let report = site.report().await;
    assert_eq!((report.records(), report.chains.len(), report.breaks), (4, 2, vec![]));
}

struct Key(SigningKey);

impl CheckpointSigner for Key {
    fn sign<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Option<SignedCheckpoint>> {
        let signature: DerSignature = self.0.sign(&checkpoint.signed_bytes());
        let signed = SignedCheckpoint { signature: signature.as_bytes().to_vec(), public_key: vec![1] };
        Box::pin(async move { Some(signed) })
    }
}

// A checkpoint comes every five seconds.
#[tokio::test]
async fn checkpoints_are_signed_over_all_chains_once_each() {
    let site = Site::core().await;
    let (first, second) = (site.log(), site.log());
    first.append(event()).await.unwrap();
    second.append(event()).await.unwrap();
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let verifying = VerifyingKey::from(&key);
    let signer = Arc::new(Key(key));
    let at = event().timestamp;
    // Two servers: what one has signed the other does not sign again.
    first.checkpoint_with(site.options(), Arc::<Key>::clone(&signer), move || at);
    second.checkpoint_with(site.options(), signer, move || at);
    let mut auditor = site.superuser().await;
    let mut checkpoints = async || audit_log::read_checkpoints(&mut auditor, site.table).await.unwrap();
    until("a checkpoint is signed", async || !checkpoints().await.is_empty()).await;
    first.append(event()).await.unwrap();
    until("the next one is signed", async || {
        checkpoints().await.iter().any(|stored| stored.checkpoint.heads.iter().any(|head| head.seq == 2))
    })
    .await;
    let stored = checkpoints().await;
    assert!(stored.iter().all(|stored| stored.checkpoint.heads.len() == 2 && stored.checkpoint.log == "audit_log"));
    for stored in &stored {
        let signature = DerSignature::from_bytes(&stored.signature).unwrap();
        verifying.verify(&stored.checkpoint.signed_bytes(), &signature).unwrap();
    }
    site.sql("ALTER TABLE audit_log DISABLE ROW LEVEL SECURITY").await;
    site.sql("DELETE FROM audit_log WHERE seq = 2").await;
    site.sql("UPDATE audit_chains SET seq = 1 WHERE seq = 2").await;
    let mut verifier = Verifier::new(stored.iter().map(|stored| &stored.checkpoint));
    site.records().await.iter().for_each(|record| verifier.take(record));
    assert_eq!(verifier.finish().breaks[0].kind, audit_chain::BreakKind::Truncated, "a tail cut off with its row");
}
