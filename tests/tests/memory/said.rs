//! Nothing that the service says or writes down holds a key: answers, logs at their most talkative, metrics, and every row of both databases, after
//! random calls that make, bring, export and keep keys. Keys that callers brought are known beforehand; those that the token made are known by
//! exporting them, which is one of the places where a key may stand:
//!
//! - `export/…` of a key that was made exportable: that key, as its owner wants it;
//! - `datakey/plaintext`, `datakeypair/plaintext` and the decryption of what `datakey` and `datakeypair` gave: that data key, or that private half, which
//!   is the caller's.

use super::needles::{Needles, Search};
use super::{brought, openssl, private_parts};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Server, Site};

const STEPS: usize = 180;

/// What was said, and which secret may be in it.
struct Said {
    what: String,
    text: String,
    allowed: Option<String>,
}

/// The run: what there is, what was said, and what must not be.
struct Run {
    site: Site,
    server: Server,
    random: StdRng,
    keys: Vec<Key>,
    said: Vec<Said>,
    needles: Needles,
    backups: Vec<String>,
    data_keys: Vec<(String, String, String)>,
}

struct Key {
    name: String,
    kind: &'static str,
    exportable: bool,
    /// Brought along: public-only keys and others in it do not rotate.
    imported: bool,
}

const KINDS: [&str; 9] = [
    "aes128-gcm96",
    "aes256-gcm96",
    "aes256-cmac",
    "ecdh-p256",
    "ecdsa-p256",
    "ecdsa-p521",
    "rsa-2048",
    "hmac",
    "ed25519",
];

fn b64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

impl Run {
    /// Any call, whatever comes of it; the whole answer is kept.
    async fn say(&mut self, method: Method, path: &str, body: Option<Value>, allowed: Option<&str>) -> Value {
        let bytes = body.map(|body| body.to_string().into_bytes());
        let answer = self.server.ask(method, path, bytes).await.unwrap();
        let text = format!("{} {}", answer.status, answer.body);
        self.said.push(Said { what: path.to_owned(), text, allowed: allowed.map(str::to_owned) });
        answer.body
    }

    async fn put(&mut self, path: &str, body: Value) -> Value {
        self.say(Method::PUT, &format!("transit/{path}"), Some(body), None).await
    }

    fn pick(&mut self) -> Option<(String, &'static str, bool, bool)> {
        let key = self.keys.choose(&mut self.random)?;
        Some((key.name.clone(), key.kind, key.exportable, key.imported))
    }

    async fn generate(&mut self) {
        let (kind, name) = (*KINDS.choose(&mut self.random).unwrap(), format!("made-{}", self.keys.len()));
        let exportable = self.random.random_bool(0.6);
        let storage = if self.random.random_bool(0.2) { "token" } else { "wrapped" };
        let mut body =
            json!({"type": kind, "exportable": exportable, "allow_plaintext_backup": exportable, "storage": storage});
        if kind == "hmac" {
            body["key_size"] = 64.into();
        }
        self.put(&format!("keys/{name}"), body).await;
        self.keys.push(Key { name, kind, exportable, imported: false });
    }

    async fn import(&mut self) {
        let (kind, name) = (*KINDS.choose(&mut self.random).unwrap(), format!("brought-{}", self.keys.len()));
        let ec = |curve: &str| format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out brought.pem");
        let material = match kind {
            "ed25519" => return,
            "ecdh-p256" | "ecdsa-p256" => self.pair(&name, &ec("P-256")),
            "ecdsa-p521" => self.pair(&name, &ec("P-521")),
            "rsa-2048" => self.pair(&name, "genpkey -algorithm RSA -out brought.pem"),
            _ => {
                let bytes: Vec<u8> =
                    (0..if kind == "aes128-gcm96" { 16 } else { 32 }).map(|_| self.random.random()).collect();
                self.needles.add(&name, &bytes);
                bytes
            }
        };
        let kek: [u8; 32] = std::array::from_fn(|_| self.random.random());
        self.needles.add(&format!("KEK of {name}"), &kek);
        let ciphertext = brought(&self.server, &material, &kek).await;
        let exportable = self.random.random_bool(0.5);
        let body = json!({"type": kind, "ciphertext": ciphertext, "exportable": exportable, "allow_plaintext_backup": exportable, "allow_rotation": true});
        self.put(&format!("keys/{name}/import"), body).await;
        // Callers err: the key as it is where its wrapped form belongs, of the wrong type, under a name that is taken.
        for wrong in [
            json!({"type": kind, "ciphertext": b64(&material)}),
            json!({"type": "rsa-4096", "ciphertext": brought(&self.server, &material, &kek).await}),
            json!({"type": kind, "public_key": BASE64_URL_SAFE_NO_PAD.encode(&material)}),
        ] {
            self.put(&format!("keys/{name}-wrong/import"), wrong).await;
        }
        self.keys.push(Key { name, kind, exportable, imported: true });
    }

    /// A pair that openssl makes, its private numbers added to what must not be found; PKCS#8.
    fn pair(&mut self, name: &str, arguments: &str) -> Vec<u8> {
        openssl(&self.site, arguments);
        for (part, number) in private_parts(&self.site, "brought.pem").iter().enumerate() {
            self.needles.add(&format!("{name}, number {part}"), number);
        }
        openssl(&self.site, "pkcs8 -topk8 -nocrypt -in brought.pem -outform DER")
    }

    async fn export(&mut self) {
        let Some((name, kind, exportable, _)) = self.pick() else { return };
        let usage = if self.random.random_bool(0.3) {
            "hmac-key"
        } else if kind == "aes256-cmac" {
            "cmac-key"
        } else if kind.starts_with("aes") {
            "encryption-key"
        } else if kind == "hmac" {
            "hmac-key"
        } else {
            "signing-key"
        };
        let format = *["", "der", "pem", "raw"].choose(&mut self.random).unwrap();
        let path = format!("transit/export/{usage}/{name}?format={format}");
        let answer = self.say(Method::GET, &path, None, Some(&name)).await;
        let Some(versions) = answer["data"]["keys"].as_object() else { return };
        assert!(exportable, "{name} left: {answer}");
        for (version, text) in versions {
            self.learn(&format!("{name}, {usage} {version}"), kind, usage, text.as_str().unwrap());
        }
    }

    /// What an export gave is what must be found nowhere else.
    fn learn(&mut self, name: &str, kind: &str, usage: &str, text: &str) {
        if usage == "hmac-key" || kind.starts_with("aes") {
            return self.needles.add(name, &BASE64_STANDARD.decode(text).unwrap());
        }
        if text.starts_with("-----") {
            std::fs::write(self.site.path("brought.pem"), text).unwrap();
        } else {
            std::fs::write(self.site.path("brought.der"), BASE64_STANDARD.decode(text).unwrap()).unwrap();
            openssl(&self.site, "pkey -inform DER -in brought.der -out brought.pem");
        }
        for (part, number) in private_parts(&self.site, "brought.pem").iter().enumerate() {
            self.needles.add(&format!("{name}, number {part}"), number);
        }
    }

    async fn data_key(&mut self) {
        let Some((name, ..)) = self.pick() else { return };
        let word = *["plaintext", "wrapped"].choose(&mut self.random).unwrap();
        let bits = *[128, 256, 512].choose(&mut self.random).unwrap();
        let label = format!("data key {}", self.data_keys.len());
        let path = format!("transit/datakey/{word}/{name}");
        let answer = self.say(Method::PUT, &path, Some(json!({"bits": bits})), Some(&label)).await;
        let Some(ciphertext) = answer["data"]["ciphertext"].as_str() else { return };
        if let Some(plaintext) = answer["data"]["plaintext"].as_str() {
            self.needles.add(&label, &BASE64_STANDARD.decode(plaintext).unwrap());
            self.data_keys.push((name, ciphertext.to_owned(), label));
        }
    }

    /// Of a pair that was only wrapped, the private half is known by decrypting it, after everything else was said.
    async fn data_key_pair(&mut self) {
        let Some((name, ..)) = self.pick() else { return };
        let word = *["plaintext", "wrapped"].choose(&mut self.random).unwrap();
        let kind = *["ecdsa-p256", "ecdsa-p521", "ecdh-p384", "rsa-2048", "ed25519"].choose(&mut self.random).unwrap();
        let label = format!("data key {}", self.data_keys.len());
        let path = format!("transit/datakeypair/{word}/{name}");
        let allowed = (word == "plaintext").then_some(label.as_str());
        let answer = self.say(Method::PUT, &path, Some(json!({"key_type": kind})), allowed).await;
        let Some(ciphertext) = answer["data"]["ciphertext"].as_str() else { return };
        let body = json!({"ciphertext": ciphertext});
        let opened = self.say(Method::PUT, &format!("transit/decrypt/{name}"), Some(body), Some(&label)).await;
        self.learn(&label, kind, "signing-key", opened["data"]["plaintext"].as_str().unwrap());
        self.data_keys.push((name, ciphertext.to_owned(), label));
    }

    async fn open_data_key(&mut self) {
        let Some((name, ciphertext, label)) = self.data_keys.choose(&mut self.random).cloned() else { return };
        let path = format!("transit/decrypt/{name}");
        self.say(Method::PUT, &path, Some(json!({"ciphertext": ciphertext})), Some(&label)).await;
        self.put(&format!("rewrap/{name}"), json!({"ciphertext": ciphertext})).await;
    }

    async fn backup(&mut self) {
        let Some((name, ..)) = self.pick() else { return };
        let answer = self.say(Method::GET, &format!("transit/backup/{name}"), None, None).await;
        if let Some(text) = answer["data"]["backup"].as_str() {
            self.backups.push(text.to_owned());
        }
    }

    async fn restore(&mut self) {
        let Some(backup) = self.backups.choose(&mut self.random).cloned() else { return };
        let name = format!("back-{}", self.said.len());
        self.put(&format!("restore/{name}"), json!({"backup": backup})).await;
        let damaged = format!("{}AAAA", &backup[..backup.len() - 4]);
        self.put("restore/damaged", json!({"backup": damaged})).await;
    }

    async fn byok(&mut self) {
        let (Some((from, ..)), Some((to, ..))) = (self.pick(), self.pick()) else { return };
        self.say(Method::GET, &format!("transit/byok-export/{to}/{from}"), None, None).await;
    }

    async fn use_it(&mut self) {
        let Some((name, kind, _, imported)) = self.pick() else { return };
        let input = json!({"input": b64(b"m"), "plaintext": b64(b"m")});
        let verbs: &[&str] = match kind {
            "rsa-2048" => &["sign", "encrypt", "hmac"],
            "hmac" | "ecdh-p256" => &["hmac"],
            "aes256-cmac" => &["cmac", "hmac"],
            kind if kind.starts_with("aes") => &["encrypt", "hmac"],
            _ => &["sign", "hmac"],
        };
        for verb in verbs {
            self.put(&format!("{verb}/{name}"), input.clone()).await;
        }
        self.say(Method::GET, &format!("transit/keys/{name}"), None, None).await;
        self.put("sign/absent", input).await;
        if kind == "ecdh-p256" {
            self.agree(&name).await;
        }
        if !imported && self.random.random_bool(0.5) {
            self.put(&format!("keys/{name}/rotate"), json!({})).await;
        }
    }

    /// With itself: what comes of it is another key that may leave.
    async fn agree(&mut self, name: &str) {
        let shown = self.say(Method::GET, &format!("transit/keys/{name}"), None, None).await;
        let Some(public) = shown["data"]["keys"]["1"]["public_key"].as_str() else { return };
        let into = format!("agreed-{}", self.keys.len());
        let body = json!({"public_key": public, "kdf": "aes-ecb-encrypt-data", "exportable": true});
        let made = self.put(&format!("agree/{name}/{into}"), body).await;
        if made["data"]["name"] == into.as_str() {
            self.keys.push(Key { name: into, kind: "aes256-gcm96", exportable: true, imported: true });
        }
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..18 => self.generate().await,
            18..34 => self.import().await,
            34..52 => self.export().await,
            52..58 => self.data_key().await,
            58..64 => self.data_key_pair().await,
            64..70 => self.open_data_key().await,
            70..78 => self.backup().await,
            78..84 => self.restore().await,
            84..90 => self.byok().await,
            _ => self.use_it().await,
        }
    }
}

/// Names of what is in a text, also across the lines of PEM in it, and behind what JSON puts in front of a backslash.
fn found_in(search: &Search, site: &Site, text: &str) -> Vec<String> {
    let file = site.path("said");
    let joined = text.replace("\\n", "").replace('\n', "");
    std::fs::write(&file, [text, &joined, &text.replace("\\\\", "\\")].join("\n\n")).unwrap();
    search.found_in(&file).into_iter().map(str::to_owned).collect()
}

/// Every row of every table, as text.
async fn rows(database: &tests::TestDatabase) -> String {
    let mut superuser = database.superuser().await.unwrap();
    let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut superuser).await.unwrap();
    let mut text = String::new();
    for table in tables {
        let statement = sqlx::AssertSqlSafe(format!("SELECT row_to_json(t)::text FROM {table} t"));
        let rows: Vec<String> = sqlx::query_scalar(statement).fetch_all(&mut superuser).await.unwrap();
        text += &rows.join("\n");
    }
    text
}

#[tokio::test]
async fn no_answer_log_metric_or_row_holds_a_key_whatever_is_called() {
    let seed = std::env::var("CLM_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("CLM_SEED={seed}");
    let mut site = Site::ready("").await.unwrap();
    site.variables.push(("CLM_LOG", "trace".into()));
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let mut run = Run {
        site,
        server,
        random: StdRng::seed_from_u64(seed),
        keys: Vec::new(),
        said: Vec::new(),
        needles: Needles::default(),
        backups: Vec::new(),
        data_keys: Vec::new(),
    };
    for _ in 0..STEPS {
        run.step().await;
    }
    run.say(Method::GET, "sys/metrics", None, None).await;
    run.say(Method::GET, "sys/metrics?format=prometheus", None, None).await;
    let planted: [u8; 32] = std::array::from_fn(|_| run.random.random());
    run.needles.add("planted", &planted);
    let Run { site, said, needles, .. } = &mut run;
    let search = std::mem::take(needles).search();

    let (mut left, mut kept) = (0, 0);
    for Said { what, text, allowed } in said.iter() {
        let mut found = found_in(&search, site, text);
        let before = found.len();
        if let Some(allowed) = allowed {
            found.retain(|name| !name.starts_with(&format!("{allowed},")));
        }
        left += usize::from(found.len() < before);
        kept += 1;
        assert!(found.is_empty(), "{what} says {found:?}");
    }
    eprintln!("{kept} answers, {left} of them with a key whose owner asked for it");
    assert!(left > 2, "{left} answers show keys to their owners: the search finds nothing");

    let log = std::fs::read_to_string(site.path("server.log")).unwrap();
    // Statements of the server, and what cryptoki says in the workers.
    for talkative in ["\"level\":\"DEBUG\"", "sqlx::query", "cryptoki::mechanism"] {
        assert!(log.contains(talkative), "the log is not at its most talkative: no {talkative}");
    }
    let tables = rows(&site.secure).await + &rows(&site.core).await;
    assert!(tables.contains("key.import") && tables.contains("encrypted_key_material"), "the tables are not there");
    for (what, text) in [("the log", &log), ("a table", &tables)] {
        assert_eq!(found_in(&search, site, text), Vec::<String>::new(), "{what}");
        // As careless code would write it.
        for form in [
            format!("{planted:?}"),
            hex::encode(planted),
            BASE64_URL_SAFE_NO_PAD.encode(planted),
            planted.escape_ascii().to_string(),
        ] {
            let text = format!("{text}{{\"level\":\"TRACE\",\"fields\":{{\"message\":\"key {form}\"}}}}");
            assert!(!found_in(&search, site, &text).is_empty(), "{form} is not found in {what}");
        }
    }
}
