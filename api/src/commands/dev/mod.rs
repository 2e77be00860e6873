//! `clm dev`: a whole deployment for a laptop or a test, of the real parts: a SoftHSM2 token, a private PostgreSQL, and the server.
//!
//! ```text
//!   DIR (locked)   lock  clm.toml  root-token  unseal-key  pin  so-pin  audit.pem
//!                  token/        SoftHSM2
//!                  postgresql/   cluster, unless its user cannot get there (see cluster)
//! ```

mod cluster;
mod ephemeral;
mod first_steps;
mod postmaster;
mod settings;
mod state;
mod token;

use super::server::within_runtime;
use crate::server::Server;
use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use state::StateDirectory;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Address to serve plain HTTP on; port 0 picks one.
    #[arg(long, default_value = "127.0.0.1:8200", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where everything is kept; default: clm-dev in the user's state directory.
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    state: Option<PathBuf>,
    /// Keep nothing after the end.
    #[arg(long)]
    ephemeral: bool,
    /// Root token, chosen instead of drawn. Everyone on this machine can read it here: for development only.
    #[arg(long, value_name = "TOKEN", conflicts_with = "no_init")]
    root_token: Option<SecretString>,
    /// Leave `sys/init` to you.
    #[arg(long)]
    no_init: bool,
    /// Who opens the token; kept with the state.
    #[arg(long, value_enum)]
    seal: Option<Seal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Seal {
    Pkcs11,
    Shamir,
}

impl Seal {
    fn name(self) -> &'static str {
        match self {
            Self::Pkcs11 => "pkcs11",
            Self::Shamir => "shamir",
        }
    }
}

/// Standard output has `export VAULT_ADDR=… VAULT_TOKEN=…` and, once requests are answered, `ready`; everything else goes to standard error.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let temporary = arguments.ephemeral.then(ephemeral::Directory::make).transpose()?;
    let directory = match (&temporary, &arguments.state) {
        (Some(temporary), _) => temporary.path().to_owned(),
        (None, Some(given)) => std::path::absolute(given).context("--state")?,
        (None, None) => state::default_directory()?,
    };
    let state = StateDirectory::open(&directory)?;
    let kind = state.seal(arguments.seal.map(Seal::name))?;
    let cluster = cluster::Cluster::of(&state)?;
    let is_new = !state.is_prepared();
    if is_new {
        // A start that was killed half-way left parts that nobody has used yet.
        token::remove(&state)?;
        cluster.remove()?;
        token::initialise(&state)?;
        cluster.make(arguments.ephemeral)?;
    }
    // From this thread: PostgreSQL ends with it, however it ends.
    let mut postmaster = postmaster::Postmaster::start(&cluster)?;
    let settings = settings::write(&state, &cluster, arguments.listen, kind)?;
    let root_token = arguments.root_token.clone();
    let ended = within_runtime(settings.server.threads(), async {
        postmaster.until_ready(&cluster).await?;
        if is_new {
            tokio::try_join!(cluster.prepare(), token::hold_ceremony(&state, &settings))?;
            state.set_prepared()?;
        }
        super::migrate::run(settings.clone()).await?;
        let server = Server::bind(settings).await?;
        let address = format!("http://{}", server.address());
        let shared = server.state();
        let beside = async {
            let token = if arguments.no_init {
                shared.seal.settled().await;
                None
            } else {
                Some(first_steps::take(&shared, &state, root_token).await?)
            };
            announce(&address, token.as_ref())?;
            postmaster.ended().await
        };
        tokio::select! {
            served = server.run() => served,
            failed = beside => failed,
        }
    });
    postmaster.stop(arguments.ephemeral);
    ended.map(|()| ExitCode::SUCCESS)
}

fn announce(address: &str, token: Option<&SecretString>) -> Result<()> {
    let mut output = std::io::stdout().lock();
    let token = token.map_or_else(String::new, |token| format!(" VAULT_TOKEN={}", token.expose_secret()));
    writeln!(output, "export VAULT_ADDR={address}{token}\nready")?;
    output.flush()?;
    Ok(())
}

impl From<&str> for Seal {
    fn from(name: &str) -> Self {
        if name == "shamir" { Self::Shamir } else { Self::Pkcs11 }
    }
}
