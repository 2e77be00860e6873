//! Programs in Go that use Vault's own client library, none of which is to be had here: the bytes that they put on the wire, and what they look
//! for in the answers. Each file names the program whose calls it repeats.

mod cli;
mod cosign;
mod sops;
mod spire;
mod terraform;

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use tests::{Server, Site};

/// A connection to the server, kept alive as Go's transport does.
struct Go {
    stream: TcpStream,
    host: String,
    token: String,
    user_agent: String,
    /// Bytes of the last answer behind its head and its body: none.
    rest: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Go {
    fn new(server: &Server, token: &str) -> Self {
        let host = server.address().strip_prefix("http://").unwrap().to_owned();
        let stream = TcpStream::connect(&host).unwrap();
        Self { stream, host, token: token.into(), user_agent: "Go-http-client/1.1".into(), rest: Vec::new() }
    }

    /// The bytes of net/http for a request of api.Client: its own headers sorted by name, no Content-Type.
    fn call(&mut self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let mut head =
            format!("{method} /v1/{path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\n", self.host, self.user_agent);
        if let Some(body) = body {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "X-Vault-Request: true\r\n";
        if !self.token.is_empty() {
            head += &format!("X-Vault-Token: {}\r\n", self.token);
        }
        head += "Accept-Encoding: gzip\r\n\r\n";
        self.stream.write_all((head + body.unwrap_or_default()).as_bytes()).unwrap();
        self.answer()
    }

    fn read(&mut self, path: &str) -> Answer {
        self.call("GET", path, None)
    }

    fn list(&mut self, path: &str) -> Answer {
        self.call("GET", &format!("{path}?list=true"), None)
    }

    fn write(&mut self, path: &str, body: &str) -> Answer {
        self.call("PUT", path, Some(body))
    }

    fn answer(&mut self) -> Answer {
        let mut bytes = std::mem::take(&mut self.rest);
        loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
                let status: u16 = head[9..12].parse().unwrap();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length = length.map_or(0, |length| length.parse::<usize>().unwrap());
                assert!(length > 0 || status == 204 || head.contains("content-length: 0"), "{head}");
                if bytes.len() >= end + 4 + length {
                    self.rest = bytes.split_off(end + 4 + length);
                    let body = &bytes[end + 4..];
                    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap() };
                    return Answer { status, head, body };
                }
            }
            let mut more = [0; 16 << 10];
            let read = self.stream.read(&mut more).unwrap();
            assert!(read > 0, "the connection was closed after {}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&more[..read]);
        }
    }
}

impl Answer {
    /// Data of an answer that api.Secret can take: 200 with the whole envelope.
    fn data(&self) -> &Value {
        assert_eq!(self.status, 200, "{self:?}");
        for field in ["request_id", "lease_id", "renewable", "lease_duration", "wrap_info", "warnings", "auth"] {
            assert!(self.body.get(field).is_some(), "{field} is missing: {self:?}");
        }
        assert!(self.head.contains("content-type: application/json\r\n"), "{self:?}");
        &self.body["data"]
    }

    fn text(&self, field: &str) -> &str {
        self.data()[field].as_str().unwrap_or_else(|| panic!("{field}: {self:?}"))
    }

    /// What api.ResponseError says of a refusal: the status and the list of errors, and nothing beside it.
    fn refusal(&self) -> (u16, &str) {
        assert_eq!(self.body.as_object().unwrap().len(), 1, "{self:?}");
        let [error] = self.body["errors"].as_array().unwrap().as_slice() else { panic!("{self:?}") };
        (self.status, error.as_str().unwrap())
    }
}

/// A server with `transit/`, and root's connection to it.
async fn started() -> (Site, Server, Go) {
    let site = Site::ready("").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let root = Go::new(&server, &server.token);
    (site, server, root)
}

/// Another connection, whose token may do what `policy` says.
fn as_another(server: &Server, root: &mut Go, policy: &str) -> Go {
    let policy = serde_json::to_string(policy).unwrap();
    assert_eq!(root.write("sys/policies/acl/another", &format!("{{\"policy\":{policy}}}")).status, 204);
    let made = root.write("auth/token/create", r#"{"policies":["another"]}"#);
    Go::new(server, made.body["auth"]["client_token"].as_str().unwrap())
}

const DENIED: &str = "1 error occurred:\n\t* permission denied\n\n";
