//! Where lines go. All of this blocks: it runs on the device's own thread.

use super::options::{DeviceKind, DeviceOptions};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

/// Unless `write_timeout` says otherwise.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// RFC 5424: informational.
const SEVERITY: u8 = 6;

/// An open device.
pub(super) enum Sink {
    File(std::fs::File),
    Stream(Box<dyn Write + Send>),
    Datagram(UdpSocket),
    Syslog { socket: UnixDatagram, header: String },
    Stdout,
    Discard,
}

impl Sink {
    /// Opens it. A file is made, with its mode; a named pipe without a reader blocks here.
    pub(super) fn open(options: &DeviceOptions) -> io::Result<Self> {
        let bad = |error: crate::app::Error| io::Error::other(error.to_string());
        let address = options.option("address");
        match options.kind {
            DeviceKind::File => match options.option("file_path").unwrap_or_default() {
                "stdout" => Ok(Self::Stdout),
                "discard" => Ok(Self::Discard),
                path => {
                    let mode = options.mode().map_err(bad)?;
                    let file = OpenOptions::new().append(true).create(true).mode(mode).open(path)?;
                    if file.metadata()?.is_file() {
                        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
                    }
                    Ok(Self::File(file))
                }
            },
            DeviceKind::Socket => {
                let timeout = options.option("write_timeout").and_then(crate::http::parse_seconds);
                let timeout = timeout.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
                let timeout = timeout.map_or(WRITE_TIMEOUT, Duration::from_secs);
                let address = address.unwrap_or_default();
                match options.option("socket_type").unwrap_or("tcp") {
                    "unix" => {
                        let stream = UnixStream::connect(address)?;
                        stream.set_write_timeout(Some(timeout))?;
                        Ok(Self::Stream(Box::new(stream)))
                    }
                    "udp" => {
                        let socket = UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"))?;
                        socket.connect(address)?;
                        Ok(Self::Datagram(socket))
                    }
                    _ => {
                        let resolved = address.to_socket_addrs()?.next();
                        let resolved = resolved.ok_or_else(|| io::Error::other("the address has no host"))?;
                        let stream = TcpStream::connect_timeout(&resolved, timeout)?;
                        stream.set_write_timeout(Some(timeout))?;
                        Ok(Self::Stream(Box::new(stream)))
                    }
                }
            }
            DeviceKind::Syslog => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
                socket.connect(address.unwrap_or("/dev/log"))?;
                let facility = options.facility().map_err(bad)?;
                let tag = options.option("tag").unwrap_or("clm");
                let header =
                    format!("<{}>{tag}[{}]: ", u16::from(facility) * 8 + u16::from(SEVERITY), std::process::id());
                Ok(Self::Syslog { socket, header })
            }
        }
    }

    /// Writes one entry, whole.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all(line),
            Self::Stream(stream) => stream.write_all(line),
            Self::Datagram(socket) => socket.send(line).map(drop),
            Self::Syslog { socket, header } => {
                socket.send(&[header.as_bytes(), line.trim_ascii_end()].concat()).map(drop)
            }
            Self::Stdout => io::stdout().lock().write_all(line),
            Self::Discard => Ok(()),
        }
    }
}
