//! Whom to kill, and what an operator would do about it.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use std::path::Path;
use std::time::{Duration, Instant};
use tests::process::{alive, descendants, parent, signal};
use tests::{Cluster, Server, Site, until};

/// How long an end may take: a backend that is writing to a busy disk ends after that.
const SOON: Duration = Duration::from_secs(30);

/// Kinds of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Server,
    Supervisor,
    Worker,
    Postmaster,
    Backend,
}

/// What was killed, and who must end by that.
pub(crate) struct Killed {
    victim: Victim,
    pid: u32,
    followers: Vec<u32>,
}

impl Victim {
    pub(crate) const ALL: [Self; 5] = [Self::Server, Self::Supervisor, Self::Worker, Self::Postmaster, Self::Backend];

    /// Kills one of them, as soon as there is one.
    pub(crate) fn kill(self, server: &Server, cluster: &Cluster, rng: &mut StdRng) -> Killed {
        let deadline = Instant::now() + Duration::from_secs(30);
        let pid = loop {
            match self.candidates(server, cluster).choose(rng) {
                Some(pid) => break *pid,
                None => assert!(Instant::now() < deadline, "there is no {self:?} to kill"),
            }
            std::thread::yield_now();
        };
        let followers = if matches!(self, Self::Backend | Self::Worker) { Vec::new() } else { descendants(pid) };
        assert!(signal(pid, "KILL"), "{self:?} {pid} had ended by itself");
        Killed { victim: self, pid, followers }
    }

    fn candidates(self, server: &Server, cluster: &Cluster) -> Vec<u32> {
        let among = |pid: u32, word: &str| -> Vec<u32> {
            descendants(pid).into_iter().filter(|pid| alive(*pid) && command(*pid).contains(word)).collect()
        };
        match self {
            Self::Server => vec![server.pid()],
            Self::Supervisor => among(server.pid(), "hsm-supervisor"),
            Self::Worker => among(server.pid(), "hsm-worker"),
            Self::Postmaster => cluster.postmaster().into_iter().collect(),
            // The service's sessions, in whichever database.
            Self::Backend => cluster
                .postmaster()
                .into_iter()
                .flat_map(|postmaster| among(postmaster, "_app t_"))
                .filter(|backend| parent(*backend) != Some(1))
                .collect(),
        }
    }
}

impl Killed {
    /// Waits for the end of what ends by that, and starts again what nobody else does; gives the server if it is another one.
    pub(crate) async fn mend(self, site: &Site, cluster: &Cluster, token: &str) -> Option<Server> {
        let living = async || self.followers.iter().filter(|pid| alive(**pid)).map(|pid| command(*pid)).collect();
        until(SOON, &format!("outlive {:?} {}", self.victim, self.pid), Vec::<String>::new(), living).await;
        match self.victim {
            Victim::Server => {
                let mut server = site.serve().await.unwrap();
                token.clone_into(&mut server.token);
                Some(server)
            }
            Victim::Postmaster => {
                // PostgreSQL takes even a zombie for a postmaster that is there.
                let there = async || Path::new(&format!("/proc/{}", self.pid)).exists();
                until(SOON, "the postmaster, for whom nobody waits, is there", false, there).await;
                cluster.resume().unwrap();
                None
            }
            // Whoever started it starts another.
            Victim::Supervisor | Victim::Worker | Victim::Backend => None,
        }
    }
}

/// The command line.
fn command(pid: u32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}
