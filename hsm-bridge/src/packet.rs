//! One message a packet between server, supervisor and worker, with at most one file descriptor beside it (SCM_RIGHTS).

use crate::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Serialize, de::DeserializeOwned};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use zeroize::Zeroize;

const PACKET_LIMIT: usize = 64 << 10;

/// Two ends of a packet socket; packets keep their boundaries.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|error| failed("socketpair", error))
}

/// Two ends of a byte stream.
pub(crate) fn stream_pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| failed("socketpair", error))
}

/// Sends one message, and a descriptor beside it.
pub(crate) fn send<T: Serialize>(socket: impl AsFd, message: &T, descriptor: Option<BorrowedFd<'_>>) -> Result<()> {
    let mut bytes =
        postcard::to_stdvec(message).map_err(|error| Error::Internal(format!("encoding a packet: {error}")))?;
    let descriptors = descriptor.as_slice();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let sent = loop {
        match sendmsg(&socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            other => break other,
        }
    };
    bytes.zeroize();
    sent.map(drop).map_err(|error| failed("sendmsg", error))
}

/// Waits until there is something to receive, or the other end is gone; `false`: not within `patience`.
pub(crate) fn is_there_within(socket: impl AsFd, patience: Duration) -> Result<bool> {
    let until = Instant::now() + patience;
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        let rest = Timespec::try_from(rest).map_err(|error| Error::Internal(format!("hsm.start_ms: {error}")))?;
        match poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&rest)) {
            Err(Errno::INTR) => {}
            other => return other.map(|ready| ready > 0).map_err(|error| failed("poll", error)),
        }
    }
}

/// Receives one message; `None` when the other end is gone.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> Result<Option<(T, Option<OwnedFd>)>> {
    let mut bytes = vec![0; PACKET_LIMIT];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok(None),
            other => break other.map_err(|error| failed("recvmsg", error))?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let message = postcard::from_bytes(&bytes[..received.bytes]);
    bytes.zeroize();
    let message = message.map_err(|error| Error::Internal(format!("decoding a packet: {error}")))?;
    let mut descriptor = None;
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptor = rights.last().or(descriptor);
        }
    }
    Ok(Some((message, descriptor)))
}

fn failed(call: &str, error: Errno) -> Error {
    Error::Internal(format!("{call}: {error}"))
}
