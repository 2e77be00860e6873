//! Processes of every kind are killed (SIGKILL) while clients sign, make, rotate and delete keys; afterwards everything that a client was told
//! must be true, and nothing half-made be there.
//!
//! A handful of kills in `make test`; `make crash` kills each kind at least 20 times. A run prints its seed, which decides what each client
//! asks for, who is killed in which order, and after how many answers: `make crash SEED=…` does the same again, as far as the
//! machine's timing lets it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod judge;
mod load;
mod victims;

use load::{Load, Told};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::time::{Duration, Instant};
use tests::{Cluster, Site};
use victims::Victim;

/// Clients, each with one request under way.
const CLIENTS: u32 = 8;

/// A number from the environment; none when it is not set, or empty.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).unwrap_or_default();
    (!text.is_empty()).then(|| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_what_clients_were_told_is_true_and_nothing_is_half_made() {
    let seed = number("CLM_CRASH_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let kills = number("CLM_CRASH_KILLS").unwrap_or(2);
    eprintln!("seed {seed}, {kills} kills of each kind; to repeat it: make crash SEED={seed} KILLS={kills}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut victims: Vec<Victim> = Victim::ALL.into_iter().flat_map(|victim| (0..kills).map(move |_| victim)).collect();
    victims.shuffle(&mut rng);

    let cluster = Cluster::start("").unwrap();
    let site = Site::ready_in(&cluster).await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let load = Load::start(&server, seed, CLIENTS).await;
    for victim in victims {
        // Under load: so many requests were answered since everything was whole again.
        load.answers(rng.random_range(5..25)).await;
        // Anywhere in what the next ones do.
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..10_000))).await;
        let (before, began) = (load.answered(), Instant::now());
        let killed = victim.kill(&server, &cluster, &mut rng);
        if let Some(restarted) = killed.mend(&site, &cluster, &server.token).await {
            server = restarted;
            load.direct(&server);
        }
        load.answers(1).await;
        eprintln!("{before} answers, {victim:?} killed, {:.1} s until the next", began.elapsed().as_secs_f64());
    }
    load.answers(20).await;
    let told: Told = load.stop().await;
    eprintln!("{told}");
    judge::all(&site, &server, &told).await;
}
