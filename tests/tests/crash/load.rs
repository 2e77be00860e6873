//! Clients that sign, make, rotate and delete keys, and keep what they were told.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tests::Server;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What every client signs with; the first one rotates it.
const SHARED: &str = "shared";
/// Longer than this no request may take, whatever is killed, and the service must work again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that was answered with success; its User-Agent names it in the log.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) user_agent: String,
    /// Of its record.
    pub(crate) event_type: &'static str,
    /// Empty where the answer had no body.
    pub(crate) request_id: String,
    pub(crate) signature: Option<Signature>,
}

#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) key: String,
    pub(crate) message: Vec<u8>,
    /// `vault:v<version>:…`.
    pub(crate) text: String,
}

/// Why a request had no success.
enum Refused {
    /// Nothing was done, and nothing is left behind.
    Whole,
    /// The answer leaves it open, or there is none.
    Unclear,
}

/// What was asked and answered about a key; what was asked and not answered may have been done.
#[derive(Debug, Default)]
pub(crate) struct Key {
    pub(crate) made: bool,
    /// Answers, or none, that leave open whether its object was made on the token.
    pub(crate) unclear: u64,
    pub(crate) rotations_asked: u64,
    pub(crate) rotations_done: u64,
    pub(crate) deletion_asked: bool,
    pub(crate) deletion_done: bool,
}

/// All that clients were told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) done: Vec<Done>,
    /// By name; each belongs to one client.
    pub(crate) keys: BTreeMap<String, Key>,
    /// How often which verb got which answer.
    answers: BTreeMap<(&'static str, String), u64>,
}

/// Where the service is.
#[derive(Clone, Debug)]
struct Target {
    address: String,
    token: String,
}

impl Target {
    fn of(server: &Server) -> Self {
        Self { address: server.address().to_owned(), token: server.token.clone() }
    }
}

/// The clients.
pub(crate) struct Load {
    clients: JoinSet<Told>,
    target: watch::Sender<Option<Target>>,
    /// Successful answers so far.
    answered: watch::Sender<u64>,
}

impl Load {
    pub(crate) async fn start(server: &Server, seed: u64, clients: u32) -> Self {
        let made = server.put(&format!("transit/keys/{SHARED}"), json!({"type": "ecdsa-p256"})).await.unwrap();
        assert_eq!(made.status, 200, "{made:?}");
        let (target, _) = watch::channel(Some(Target::of(server)));
        let (answered, _) = watch::channel(0);
        let mut load = Self { clients: JoinSet::new(), target, answered };
        for number in 0..clients {
            let client = Client {
                number,
                requests: 0,
                rng: StdRng::seed_from_u64(seed ^ ((u64::from(number) + 1) << 32)),
                http: reqwest::Client::builder().timeout(PATIENCE).build().unwrap(),
                target: load.target.subscribe(),
                answered: load.answered.clone(),
                usable: vec![SHARED.to_owned()],
                told: Told::default(),
            };
            load.clients.spawn(client.run());
        }
        load
    }

    /// Waits for so many successful answers from now on.
    pub(crate) async fn answers(&self, count: u64) {
        let mut answered = self.answered.subscribe();
        let wanted = *answered.borrow() + count;
        let reached = tokio::time::timeout(PATIENCE, answered.wait_for(|now| *now >= wanted)).await;
        assert!(reached.is_ok(), "the service does not work again");
    }

    /// How many there were.
    pub(crate) fn answered(&self) -> u64 {
        *self.answered.borrow()
    }

    /// Another server.
    pub(crate) fn direct(&self, server: &Server) {
        self.target.send_replace(Some(Target::of(server)));
    }

    /// Lets each client hear its last answer.
    pub(crate) async fn stop(mut self) -> Told {
        self.target.send_replace(None);
        let mut told = Told::default();
        told.keys.insert(SHARED.to_owned(), Key { made: true, ..Key::default() });
        while let Some(one) = self.clients.join_next().await {
            told.take(one.unwrap());
        }
        told
    }
}

impl Told {
    fn take(&mut self, other: Self) {
        self.done.extend(other.done);
        for (name, key) in other.keys {
            let mine = self.keys.entry(name).or_default();
            mine.made |= key.made;
            mine.unclear += key.unclear;
            mine.rotations_asked += key.rotations_asked;
            mine.rotations_done += key.rotations_done;
            mine.deletion_asked |= key.deletion_asked;
            mine.deletion_done |= key.deletion_done;
        }
        for (answer, count) in other.answers {
            *self.answers.entry(answer).or_default() += count;
        }
    }

    pub(crate) fn signatures(&self) -> impl Iterator<Item = &Signature> {
        self.done.iter().filter_map(|done| done.signature.as_ref())
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keys, deleted) = (self.keys.len(), self.keys.values().filter(|key| key.deletion_done).count());
        write!(f, "{} signatures; {keys} keys asked for, {deleted} deleted; ", self.signatures().count())?;
        for ((verb, answer), count) in &self.answers {
            write!(f, "{verb} {answer}: {count}; ")?;
        }
        Ok(())
    }
}

struct Client {
    number: u32,
    requests: u64,
    rng: StdRng,
    http: reqwest::Client,
    target: watch::Receiver<Option<Target>>,
    answered: watch::Sender<u64>,
    /// Keys that it was told of, and did not ask to be deleted.
    usable: Vec<String>,
    told: Told,
}

impl Client {
    async fn run(mut self) -> Told {
        while self.target.borrow().is_some() {
            match self.rng.random_range(0..100) {
                0..55 => self.sign().await,
                55..72 => self.create().await,
                72..92 => self.rotate().await,
                _ => self.delete().await,
            }
        }
        self.told
    }

    async fn sign(&mut self) {
        let key = self.usable.choose(&mut self.rng).unwrap().clone();
        let message: [u8; 24] = self.rng.random();
        let body = json!({"input": BASE64_STANDARD.encode(message)});
        if let Ok((user_agent, answer)) = self.ask("sign", &format!("transit/sign/{key}"), &body).await {
            let text = answer["data"]["signature"].as_str().unwrap().to_owned();
            let signature = Signature { key, message: message.into(), text };
            self.keep("key.sign", user_agent, &answer, Some(signature));
        }
    }

    async fn create(&mut self) {
        let name = format!("key-{}-{}", self.number, self.requests);
        let (kind, storage) =
            [("ecdsa-p256", "wrapped"), ("ecdsa-p256", "token"), ("ed25519", "token")][self.rng.random_range(0..3)];
        self.told.keys.insert(name.clone(), Key::default());
        let body = json!({"type": kind, "storage": storage});
        let asked = self.ask("create", &format!("transit/keys/{name}"), &body).await;
        let key = self.told.keys.get_mut(&name).unwrap();
        match asked {
            Ok((user_agent, answer)) => {
                key.made = true;
                self.usable.push(name);
                self.keep("key.create", user_agent, &answer, None);
            }
            Err(Refused::Unclear) => key.unclear += 1,
            Err(Refused::Whole) => {}
        }
    }

    /// One of its own; the shared one is the first client's.
    async fn rotate(&mut self) {
        let own = usize::from(self.number != 0);
        let Some(name) = self.usable[own..].choose(&mut self.rng).cloned() else { return self.create().await };
        self.told.keys.entry(name.clone()).or_default().rotations_asked += 1;
        let asked = self.ask("rotate", &format!("transit/keys/{name}/rotate"), &json!({})).await;
        let key = self.told.keys.get_mut(&name).unwrap();
        match asked {
            Ok((user_agent, answer)) => {
                key.rotations_done += 1;
                self.keep("key.rotate", user_agent, &answer, None);
            }
            Err(Refused::Unclear) => key.unclear += 1,
            Err(Refused::Whole) => {}
        }
    }

    async fn delete(&mut self) {
        if self.usable.len() < 2 {
            return self.create().await;
        }
        let name = self.usable.swap_remove(self.rng.random_range(1..self.usable.len()));
        let path = format!("transit/keys/{name}");
        let leave = self.ask("configure", &format!("{path}/config"), &json!({"deletion_allowed": true})).await;
        let Ok((user_agent, answer)) = leave else { return };
        self.keep("key.configure", user_agent, &answer, None);
        self.told.keys.get_mut(&name).unwrap().deletion_asked = true;
        if let Ok((user_agent, answer)) = self.ask("delete", &path, &Value::Null).await {
            self.told.keys.get_mut(&name).unwrap().deletion_done = true;
            self.keep("key.delete", user_agent, &answer, None);
        }
    }

    fn keep(&mut self, event_type: &'static str, user_agent: String, answer: &Value, signature: Option<Signature>) {
        let request_id = answer["request_id"].as_str().unwrap_or_default().to_owned();
        self.told.done.push(Done { user_agent, event_type, request_id, signature });
    }

    /// Asks once, and gives a successful answer with the User-Agent of the request. Whatever is killed, the only other answers are 503 and none.
    async fn ask(&mut self, verb: &'static str, path: &str, body: &Value) -> Result<(String, Value), Refused> {
        let Some(target) = self.target.borrow_and_update().clone() else { return Err(Refused::Whole) };
        self.requests += 1;
        let user_agent = format!("crash-{}-{}", self.number, self.requests);
        let method = if body.is_null() { reqwest::Method::DELETE } else { reqwest::Method::PUT };
        let request = self
            .http
            .request(method, format!("{}/v1/{path}", target.address))
            .header("X-Vault-Token", target.token)
            .header("User-Agent", &user_agent)
            .body(if body.is_null() { String::new() } else { body.to_string() });
        let answered = async {
            let answer = request.send().await?;
            Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.bytes().await?))
        };
        let answer = answered.await;
        let name = answer.as_ref().map_or_else(|_| "none".into(), |(status, _)| status.to_string());
        *self.told.answers.entry((verb, name)).or_default() += 1;
        match answer {
            Ok((200 | 204, body)) => {
                self.answered.send_modify(|count| *count += 1);
                let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
                Ok((user_agent, body))
            }
            Ok((503, body)) => {
                let said = String::from_utf8_lossy(&body);
                let unclear = said.contains("the worker ended") || said.contains("look whether the change was made");
                Err(if unclear { Refused::Unclear } else { Refused::Whole })
            }
            Ok((status, body)) => panic!("{verb} {path}: {status} {}", String::from_utf8_lossy(&body)),
            Err(error) => {
                assert!(!error.is_timeout(), "{verb} {path}: no answer in {PATIENCE:?}");
                // The server is gone: until there is another one nothing can be asked.
                let gone = target.address;
                let other = |now: &Option<Target>| now.as_ref().is_none_or(|now| now.address != gone);
                let there = tokio::time::timeout(PATIENCE, self.target.wait_for(other)).await;
                assert!(there.is_ok(), "{verb} {path}: {error:?}, and the server is still there");
                Err(Refused::Unclear)
            }
        }
    }
}
