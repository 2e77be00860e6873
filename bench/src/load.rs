//! The load: connections that are kept alive, each with one request under way, from one thread, as cheap as can be: requests are bytes made
//! beforehand, and of answers only the status, the length and the number of signatures are read.

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// An input, standard base64: every request signs another one.
pub(crate) const INPUT: &str = "0000000000000000";
/// Before the base64 of each signature, HMAC or ciphertext.
pub(crate) const VERSIONED: &[u8] = b"\":\"vault:v1:";
/// Before each plaintext.
pub(crate) const PLAINTEXT: &[u8] = b"\"plaintext\":\"";
const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const ENDING: u8 = 2;

/// What is asked, by how many.
pub(crate) struct Plan {
    pub(crate) address: String,
    /// Whose certificates to believe, PEM: HTTPS.
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) connections: usize,
    /// Below `transit/`.
    pub(crate) path: String,
    /// Used in turn; all are of one length.
    pub(crate) tokens: Arc<[String]>,
    /// Inputs in a request; 1: no batch.
    pub(crate) batch: usize,
    /// Fields beside the item, JSON, with a comma behind.
    pub(crate) fields: &'static str,
    /// Fields of one item, JSON; [`INPUT`] in it is another one each time.
    pub(crate) item: String,
    /// What stands before each result in an answer.
    pub(crate) result: &'static [u8],
    /// Requests a second in all, each sent when it is due and a connection is free; none: as soon as the one before is answered.
    pub(crate) rate: Option<f64>,
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// All answers, from the first request to the last: as many records there must be.
    pub(crate) answers: u64,
    /// Signatures in them.
    pub(crate) signatures: u64,
    /// Of those answered in the window, microseconds, sorted.
    pub(crate) latencies: Vec<u32>,
    /// How long the window was.
    pub(crate) window: Duration,
}

/// Runs it: a fifth of the window to warm up, then the window; `at` is called at its two ends. Every request that was sent is answered when
/// this returns.
pub(crate) async fn run<T>(plan: Plan, window: Duration, at: impl Fn() -> Result<T>) -> Result<(Answered, T, T)> {
    let connector = plan.authority.as_deref().map(connector).transpose()?;
    let (request, places, token_place) = request(&plan)?;
    let phase = Arc::new(AtomicU8::new(WARMING));
    let pace = plan.rate.map(|rate| Arc::new(Pace::start(rate)));
    let mut connections = JoinSet::new();
    for number in 0..plan.connections {
        let stream = TcpStream::connect(&plan.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let one = Connection {
            request: request.clone(),
            places: places.clone(),
            tokens: Arc::clone(&plan.tokens),
            token_place,
            // Each connection begins elsewhere.
            next_token: number * plan.tokens.len() / plan.connections.max(1),
            counter: (number as u64) << 40,
            batch: plan.batch,
            result: plan.result,
            phase: Arc::clone(&phase),
            pace: pace.clone(),
        };
        match &connector {
            None => drop(connections.spawn(one.run(stream))),
            Some(connector) => {
                let name = ServerName::try_from("localhost")?;
                drop(connections.spawn(one.run(connector.connect(name, stream).await?)));
            }
        }
    }
    tokio::time::sleep(window / 5).await;
    phase.store(MEASURING, Ordering::Relaxed);
    let (began, before) = (Instant::now(), at()?);
    tokio::time::sleep(window).await;
    phase.store(ENDING, Ordering::Relaxed);
    let (window, after) = (began.elapsed(), at()?);
    let mut answered = Answered { window, ..Answered::default() };
    while let Some(one) = connections.join_next().await {
        let one = one??;
        answered.answers += one.answers;
        answered.signatures += one.signatures;
        answered.latencies.extend(one.latencies);
    }
    answered.latencies.sort_unstable();
    Ok((answered, before, after))
}

impl Answered {
    /// Microseconds that `share` of the answers did not exceed.
    pub(crate) fn percentile(&self, share: f64) -> u32 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

/// Says when requests are due, whether those before were answered or not.
pub(crate) struct Pace(Mutex<UnboundedReceiver<Instant>>);

impl Pace {
    /// `rate`: so many a second. A thread that sleeps keeps the time: the runtime's timer rounds to milliseconds.
    pub(crate) fn start(rate: f64) -> Self {
        let (tell, told) = unbounded_channel();
        std::thread::spawn(move || {
            let (began, mut number) = (Instant::now(), 0_u32);
            loop {
                number += 1;
                let due = began + Duration::from_secs_f64(f64::from(number) / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if tell.send(due).is_err() {
                    return;
                }
            }
        });
        Self(Mutex::new(told))
    }

    /// When the next one is due; waits until then.
    pub(crate) async fn due(&self) -> Result<Instant> {
        self.0.lock().await.recv().await.context("the clock stopped")
    }
}

fn connector(authority: &[u8]) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority)?)?;
    let configuration = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(configuration)))
}

/// The bytes of a request, where its inputs are in them, and where its token is.
fn request(plan: &Plan) -> Result<(Vec<u8>, Vec<usize>, usize)> {
    let token = plan.tokens.first().context("no token")?;
    ensure!(plan.tokens.iter().all(|other| other.len() == token.len()), "tokens of several lengths");
    let body = if plan.batch == 1 {
        format!("{{{}{}}}", plan.fields, plan.item)
    } else {
        let items = vec![format!("{{{}}}", plan.item); plan.batch].join(",");
        format!("{{{}\"batch_input\":[{items}]}}", plan.fields)
    };
    let head = format!(
        "PUT /v1/transit/{} HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench\r\nx-vault-token: {}\r\ncontent-length: {}\r\n\r\n",
        plan.path,
        token,
        body.len()
    );
    let place = head.find(token.as_str()).context("no place for a token")?;
    let text = head + &body;
    let places = text.match_indices(INPUT).map(|(at, _)| at).collect();
    Ok((text.into_bytes(), places, place))
}

struct Connection {
    request: Vec<u8>,
    places: Vec<usize>,
    tokens: Arc<[String]>,
    token_place: usize,
    next_token: usize,
    counter: u64,
    batch: usize,
    result: &'static [u8],
    phase: Arc<AtomicU8>,
    pace: Option<Arc<Pace>>,
}

impl Connection {
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut self, mut stream: S) -> Result<Answered> {
        let mut answered = Answered::default();
        let mut buffer = Vec::with_capacity(64 << 10);
        loop {
            self.number_inputs();
            self.take_token();
            let began = match &self.pace {
                Some(pace) => pace.due().await?,
                None => Instant::now(),
            };
            if self.phase.load(Ordering::Relaxed) == ENDING {
                return Ok(answered);
            }
            stream.write_all(&self.request).await?;
            stream.flush().await?;
            let signatures = answer(&mut stream, &mut buffer, self.result).await?;
            ensure!(signatures == self.batch, "{signatures} signatures where {} were asked for", self.batch);
            answered.answers += 1;
            answered.signatures += signatures as u64;
            if self.phase.load(Ordering::Relaxed) == MEASURING {
                answered.latencies.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
        }
    }

    fn take_token(&mut self) {
        if self.tokens.len() > 1 {
            let token = self.tokens[self.next_token % self.tokens.len()].as_bytes();
            self.request[self.token_place..self.token_place + token.len()].copy_from_slice(token);
            self.next_token += 1;
        }
    }

    /// Hexadecimal digits are base64 too.
    fn number_inputs(&mut self) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for place in &self.places {
            self.counter += 1;
            for (digit, byte) in self.request[*place..*place + INPUT.len()].iter_mut().rev().enumerate() {
                *byte = DIGITS[(self.counter >> (4 * digit)) as usize & 15];
            }
        }
    }
}

/// One request for a path and its answer, which must be 200 and is in `buffer` then; an empty token is none.
pub(crate) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    (method, path): (&str, &str),
    token: &str,
    body: &str,
) -> Result<()> {
    let token = if token.is_empty() { String::new() } else { format!("x-vault-token: {token}\r\n") };
    let request = format!(
        "{method} /v1/{path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench\r\n{token}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    answer(stream, buffer, b"\"").await.map(drop)
}

/// A login that must be refused.
pub(crate) async fn refused<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    path: &str,
    body: &str,
) -> Result<()> {
    let answered = exchange(stream, buffer, ("PUT", path), "", body).await;
    ensure!(answered.is_err() && buffer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(buffer));
    Ok(())
}

/// Reads one answer, which must be 200; how many results are in it.
pub(crate) async fn answer<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>, result: &[u8]) -> Result<usize> {
    buffer.clear();
    let mut wanted = None;
    loop {
        ensure!(stream.read_buf(buffer).await? > 0, "the server closed the connection");
        if wanted.is_none()
            && let Some(end) = find(buffer, b"\r\n\r\n")
        {
            let head = std::str::from_utf8(&buffer[..end])?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).context("no length")?;
            wanted = Some((end + 4, end + 4 + length.parse::<usize>()?));
        }
        if let Some((body, end)) = wanted
            && buffer.len() >= end
        {
            if !buffer.starts_with(b"HTTP/1.1 200 ") {
                bail!("{}", String::from_utf8_lossy(buffer));
            }
            return Ok(count(&buffer[body..end], result));
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn count(body: &[u8], result: &[u8]) -> usize {
    let (mut rest, mut count) = (body, 0);
    while let Some(at) = find(rest, result) {
        count += 1;
        rest = &rest[at + result.len()..];
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_whole_answer_of_200_counts_and_each_signature_in_it() {
        let body =
            r#"{"data":{"batch_results":[{"signature":"vault:v1:a"},{"error":"x"},{"signature":"vault:v1:b"}]}}"#;
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let mut buffer = Vec::new();
        for cut in [10, 40, text.len() - 1] {
            let mut halves = AsyncReadExt::chain(&text.as_bytes()[..cut], &text.as_bytes()[cut..]);
            assert_eq!(answer(&mut halves, &mut buffer, VERSIONED).await.expect("an answer"), 2);
            assert!(answer(&mut &text.as_bytes()[..cut], &mut buffer, VERSIONED).await.is_err(), "cut at {cut}");
        }
        let refused = text.replacen("200 OK", "503 No", 1);
        assert!(answer(&mut refused.as_bytes(), &mut buffer, VERSIONED).await.is_err());
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let answered = Answered { latencies: (1..=101).collect(), ..Answered::default() };
        assert_eq!((answered.percentile(0.5), answered.percentile(0.99)), (51, 100));
    }
}
