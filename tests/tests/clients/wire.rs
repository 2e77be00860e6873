//! A connection on which a test puts bytes of its own, and reads what comes back.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use tests::Server;

/// Kept alive, as clients keep theirs.
pub(super) struct Wire {
    /// For the header `Host`.
    pub(super) host: String,
    stream: TcpStream,
    /// Bytes of the last answer behind its head and its body: none.
    rest: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Value,
}

impl Wire {
    pub(super) fn to(server: &Server) -> Self {
        let host = server.address().strip_prefix("http://").unwrap().to_owned();
        let stream = TcpStream::connect(&host).unwrap();
        Self { host, stream, rest: Vec::new() }
    }

    /// A request as it stands, and its answer.
    pub(super) fn ask(&mut self, request: &str) -> Answer {
        self.stream.write_all(request.as_bytes()).unwrap();
        self.answer()
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
    /// Data of an answer that clients can take: 200 with the whole envelope.
    pub(super) fn data(&self) -> &Value {
        assert_eq!(self.status, 200, "{self:?}");
        for field in ["request_id", "lease_id", "renewable", "lease_duration", "wrap_info", "warnings", "auth"] {
            assert!(self.body.get(field).is_some(), "{field} is missing: {self:?}");
        }
        assert!(self.head.contains("content-type: application/json\r\n"), "{self:?}");
        &self.body["data"]
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.data()[field].as_str().unwrap_or_else(|| panic!("{field}: {self:?}"))
    }

    /// What clients read of a refusal: the status and the list of errors, and nothing beside it.
    pub(super) fn refusal(&self) -> (u16, &str) {
        assert_eq!(self.body.as_object().unwrap().len(), 1, "{self:?}");
        let [error] = self.body["errors"].as_array().unwrap().as_slice() else { panic!("{self:?}") };
        (self.status, error.as_str().unwrap())
    }
}
