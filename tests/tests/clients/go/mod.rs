//! Programs in Go that use Vault's own client library, none of which is to be had here: the bytes that they put on the wire, and what they look
//! for in the answers. Each file names the program whose calls it repeats.

mod cli;
mod cosign;
mod sops;
mod spire;
mod terraform;

use super::wire::{Answer, Wire};
use tests::{Server, Site};

/// A connection to the server, kept alive as Go's transport does.
struct Go {
    wire: Wire,
    token: String,
    user_agent: String,
}

impl Go {
    fn new(server: &Server, token: &str) -> Self {
        Self { wire: Wire::to(server), token: token.into(), user_agent: "Go-http-client/1.1".into() }
    }

    /// The bytes of net/http for a request of api.Client: its own headers sorted by name, no Content-Type.
    fn call(&mut self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let mut head =
            format!("{method} /v1/{path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\n", self.wire.host, self.user_agent);
        if let Some(body) = body {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "X-Vault-Request: true\r\n";
        if !self.token.is_empty() {
            head += &format!("X-Vault-Token: {}\r\n", self.token);
        }
        head += "Accept-Encoding: gzip\r\n\r\n";
        self.wire.ask(&(head + body.unwrap_or_default()))
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
}

/// A server with `transit/`, and root's connection to it.
async fn started() -> (Site, Server, Go) {
    let (site, server) = Site::started("").await.unwrap();
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
