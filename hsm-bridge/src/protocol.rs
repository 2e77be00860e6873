//! What crosses process boundaries, as data.
//!
//! Server and worker exchange frames `u32 length | u64 id | body` (little endian, length counts id and body) over a stream;
//! server and supervisor, and supervisor and worker, exchange one [`postcard`] message a packet.

use crate::{
    AgreementKdf, Capabilities, Ciphertext, Encapsulated, Error, HashAlgorithm, ImportedKey, KeyType, ObjectAttributes,
    Plaintext, PublicKey, Purpose, RsaDecrypted, Sealed, Settings, SignMechanism, TokenDescription, TokenKey,
    WorkerUnpadding,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};
use std::fmt;
use std::io::{self, Read};
use uuid::Uuid;
use zeroize::Zeroizing;

/// A frame longer than this is a defect, not a request.
pub(crate) const FRAME_LIMIT: usize = 64 << 20;

/// A key as a worker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum KeyName {
    Cached(Uuid),
    Token(TokenKey),
}

/// All that is asked of a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    AeadDecrypt { key: KeyName, key_type: KeyType, items: Vec<Sealed> },
    AeadEncrypt { key: KeyName, key_type: KeyType, items: Vec<Plaintext> },
    Agree { key: KeyName, peer: Vec<u8>, kdf: AgreementKdf, info: Vec<u8>, wrapped_by: KeyName },
    Capabilities,
    Decapsulate { key: KeyName, ciphertext: Vec<u8>, wrapped_by: KeyName },
    Cmac { key: KeyName, data: Strings },
    DestroyTokenKey { id: Uuid },
    Encapsulate { public: PublicKey, key_type: KeyType, wrapped_by: KeyName },
    Export(KeyExport),
    FindObjects { label_prefix: String },
    GenerateTokenKey { id: Uuid, label: String, key_type: KeyType, purpose: Purpose },
    GenerateWrappedKey { key_type: KeyType, purpose: Purpose, wrapped_by: KeyName },
    GenerateWrappedKeys { key_type: KeyType, purpose: Purpose, wrapped_by: KeyName, count: u32 },
    Hmac { key: KeyName, hash: HashAlgorithm, data: Strings },
    Import(KeyImport),
    Load { id: Uuid, key_type: KeyType, purpose: Purpose, blob: Vec<u8>, wrapped_by: KeyName },
    PublicKey { key: TokenKey },
    Random { bytes: u32 },
    Rewrap { key_type: KeyType, blob: Vec<u8>, wrapped_by: KeyName, new: KeyName },
    RsaDecrypt { key: KeyName, hash: HashAlgorithm, items: Vec<Vec<u8>>, unpadding: WorkerUnpadding },
    Sign { key: KeyName, mechanism: SignMechanism, data: Strings },
}

/// The same key wrapped by AES-KWP under a key from outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyExport {
    pub(crate) key_type: KeyType,
    pub(crate) blob: Vec<u8>,
    pub(crate) wrapped_by: KeyName,
    pub(crate) kek: Secret,
}

/// A [`crate::TransportedKey`], and which keys take it in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyImport {
    pub(crate) key_type: KeyType,
    pub(crate) purpose: Purpose,
    pub(crate) hash: HashAlgorithm,
    pub(crate) kek: Vec<u8>,
    pub(crate) blob: Vec<u8>,
    pub(crate) transport: KeyName,
    pub(crate) wrapped_by: KeyName,
    pub(crate) unpadding: WorkerUnpadding,
}

/// All that a worker answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Bytes(Vec<u8>),
    Capabilities(Box<Capabilities>),
    Ciphertexts(Vec<Ciphertext>),
    Done,
    Encapsulated(Encapsulated),
    Failed(Error),
    Generated {
        blob: Vec<u8>,
        public: Option<PublicKey>,
    },
    Imported(Box<ImportedKey>),
    List(Strings),
    /// Send [`Request::Load`] for that key, then ask again.
    NotLoaded(Uuid),
    Objects(Vec<ObjectAttributes>),
    /// `None`: the tag does not fit.
    Opened(Vec<Option<Vec<u8>>>),
    PublicKey(PublicKey),
    RsaDecrypted(Vec<RsaDecrypted>),
    /// The token went away under this worker, which ends now; ask another.
    Retry(String),
}

/// Server to supervisor. Each change of the PIN has a number that the server draws, and notices carry it: what workers say of an older PIN is
/// no news.
#[derive(Serialize, Deserialize)]
pub(crate) enum Command {
    Configure(Box<Settings>),
    Kill { pid: u32 },
    Lock { generation: u64 },
    SetPin { pin: Pin, generation: u64 },
    Unlock { pin: Pin, generation: u64 },
}

/// Supervisor to server. `WorkerStarted` carries the worker's socket (SCM_RIGHTS).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Notice {
    PinSet(Option<Error>),
    WorkerEnded { slot: u16, pid: u32 },
    WorkerFailed { slot: u16, error: Error, generation: u64 },
    WorkerStarted { slot: u16, pid: u32, generation: u64 },
}

/// To a worker: the one message that starts it.
#[derive(Serialize, Deserialize)]
pub(crate) enum Start {
    /// C_SetPIN of the user PIN, then end.
    ChangePin { settings: Settings, pin: Pin, new: Pin },
    /// C_InitToken and C_InitPIN in the first slot without an initialised token, then end.
    InitializeToken { settings: Settings, label: String, so_pin: Pin, pin: Pin },
    /// Lists tokens without logging in, then ends.
    Inspect { settings: Settings },
    /// Logs in and serves requests; `sweeps`: first removes half-made keys of earlier crashes.
    Serve { settings: Settings, pin: Pin, sweeps: bool },
}

/// Worker to supervisor.
#[derive(Serialize, Deserialize)]
pub(crate) enum Started {
    Failed(Error),
    Ready,
    Tokens(Vec<TokenDescription>),
}

/// A PIN on its way between our processes; wiped when dropped.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Pin(pub(crate) Zeroizing<String>);

/// Key bytes on their way between our processes: wiped when dropped, never shown.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secret(pub(crate) Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Strings of bytes, each copied as a whole. A `Vec<u8>` by itself is read byte by byte; on the wire both are the same.
#[derive(Clone, Debug)]
pub(crate) struct Strings(pub(crate) Vec<Vec<u8>>);

impl Serialize for Strings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|string| Bytes::new(string)))
    }
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Vec::<ByteBuf>::deserialize(deserializer)?.into_iter().map(ByteBuf::into_vec).collect()))
    }
}

/// Appends a frame to `out`.
pub(crate) fn encode_frame<T: Serialize>(out: &mut Vec<u8>, id: u64, body: &T) -> Result<(), Error> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&id.to_le_bytes());
    let taken = std::mem::take(out);
    *out = postcard::to_extend(body, taken).map_err(|error| Error::Internal(format!("encoding a frame: {error}")))?;
    let length = out.len() - start - 4;
    if length > FRAME_LIMIT {
        out.truncate(start);
        let reason = format!("{length} bytes where {FRAME_LIMIT} are the most");
        return Err(Error::Refused { function: "a request".into(), reason });
    }
    let length = u32::try_from(length).expect("the limit is under 4 GiB");
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Takes one whole frame off the front of `buffer`: id, body, and how many bytes it took. `None`: more bytes are needed.
pub(crate) fn split_frame(buffer: &[u8]) -> io::Result<Option<(u64, &[u8], usize)>> {
    let Some(header) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*header) as usize;
    if !(8..=FRAME_LIMIT).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("frame of {length} bytes")));
    }
    let Some(frame) = buffer.get(4..4 + length) else { return Ok(None) };
    let (id, body) = frame.split_at(8);
    Ok(Some((u64::from_le_bytes(id.try_into().expect("split at 8")), body, 4 + length)))
}

/// Reads one frame; `None` at a clean end.
pub(crate) fn read_frame(reader: &mut impl Read) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut header = [0; 4];
    match reader.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_le_bytes(header) as usize;
    if !(8..=FRAME_LIMIT).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("frame of {length} bytes")));
    }
    let mut id = [0; 8];
    reader.read_exact(&mut id)?;
    let mut body = vec![0; length - 8];
    reader.read_exact(&mut body)?;
    Ok(Some((u64::from_le_bytes(id), body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..10)) {
            let mut wire = Vec::new();
            for (id, body) in bodies.iter().enumerate() {
                encode_frame(&mut wire, id as u64, body).expect("encodes");
            }
            let mut rest = wire.as_slice();
            for (id, body) in bodies.iter().enumerate() {
                let (got_id, got, taken) = split_frame(rest).expect("valid").expect("whole");
                prop_assert_eq!(got_id, id as u64);
                prop_assert_eq!(&postcard::from_bytes::<Vec<u8>>(got).expect("decodes"), body);
                rest = &rest[taken..];
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn bytes_that_are_no_frame_are_an_error_or_a_wait_and_never_more_than_there_are(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some((_, body, taken))) = split_frame(&bytes) {
                prop_assert!(taken <= bytes.len() && body.len() + 12 == taken);
            }
        }

        #[test]
        fn a_cut_frame_is_never_taken(body in prop::collection::vec(any::<u8>(), 0..200), cut in 1usize..20) {
            let mut wire = Vec::new();
            encode_frame(&mut wire, 7, &body).expect("encodes");
            let short = &wire[..wire.len().saturating_sub(cut)];
            prop_assert!(split_frame(short).expect("valid").is_none());
        }
    }

    #[test]
    fn a_request_that_is_too_long_leaves_the_others_in_the_queue() {
        let mut wire = Vec::new();
        encode_frame(&mut wire, 1, &b"short".to_vec()).expect("encodes");
        let queued = wire.clone();
        assert!(matches!(encode_frame(&mut wire, 2, &"x".repeat(FRAME_LIMIT)), Err(Error::Refused { .. })));
        assert_eq!(wire, queued);
    }
}
