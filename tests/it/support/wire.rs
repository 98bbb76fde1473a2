//! Bytes to and from a broker: Unix socket, TCP, TLS, and MQTT in websocket frames over TCP or TLS.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    sync::Arc,
    time::Instant,
};

use rustix::net::{self, AddressFamily, SocketType};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SignatureScheme, StreamOwned,
    client::ResolvesClientCert,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::CertifiedKey,
};

use super::{Credential, Door, DoorKind, PATIENCE};

/// An open connection, below MQTT.
pub(crate) struct Wire {
    stream: Stream,
    /// Websocket bytes that are no whole frame yet; `None` where there are no frames.
    frames: Option<Vec<u8>>,
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Connects; with TLS and websockets, as far as the handshakes of those go.
    ///
    /// With TLS 1.3 a refused client certificate shows only at the first [`Wire::read`].
    pub(crate) fn open(door: &Door) -> io::Result<Self> {
        let stream = match door.kind {
            DoorKind::Unix => Stream::Unix(UnixStream::connect(&door.path)?),
            DoorKind::Tcp | DoorKind::Websocket => Stream::Tcp(tcp(door)?),
            DoorKind::Tls | DoorKind::WebsocketTls => Stream::Tls(Box::new(tls(door)?)),
        };
        let mut wire = Self { stream, frames: None };
        if door.kind.is_websocket() {
            wire.upgrade(door)?;
        }
        Ok(wire)
    }

    /// Whether TLS took up an earlier session.
    pub(crate) fn has_resumed_tls(&self) -> bool {
        match &self.stream {
            Stream::Tls(stream) => stream.conn.handshake_kind() == Some(HandshakeKind::Resumed),
            Stream::Unix(_) | Stream::Tcp(_) => false,
        }
    }

    /// All of these bytes, in one frame where there are frames.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.frames.is_some() {
            let framed = frame(0x2, bytes);
            self.stream.write_all(&framed)?;
        } else {
            self.stream.write_all(bytes)?;
        }
        self.stream.flush()
    }

    /// Some bytes; none at the end of the connection.  `TimedOut` at the deadline.
    pub(crate) fn read(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        loop {
            if let Some(bytes) = self.frames.as_mut().and_then(unframe) {
                match bytes {
                    Frame::Data(bytes) if bytes.is_empty() => continue,
                    Frame::Data(bytes) => return Ok(bytes),
                    Frame::Close => return Ok(Vec::new()),
                    Frame::Other => continue,
                }
            }
            let bytes = self.read_below(deadline)?;
            match &mut self.frames {
                Some(frames) if !bytes.is_empty() => frames.extend(bytes),
                _ => return Ok(bytes),
            }
        }
    }

    fn read_below(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 16_384];
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match &mut self.stream {
            Stream::Unix(stream) => stream.set_read_timeout(Some(left))?,
            Stream::Tcp(stream) => stream.set_read_timeout(Some(left))?,
            Stream::Tls(stream) => stream.sock.set_read_timeout(Some(left))?,
        }
        match self.stream.read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                Ok(buffer)
            }
            // COMPAT: 2.1 ends websockets over TLS with a frame in the clear, which may come together with its last words.
            Err(e) if e.kind() == io::ErrorKind::InvalidData => match &mut self.stream {
                Stream::Tls(stream) => match stream.conn.reader().read(&mut buffer) {
                    Ok(length) if length > 0 => {
                        buffer.truncate(length);
                        Ok(buffer)
                    }
                    _ if self.frames.is_some() => Ok(Vec::new()),
                    _ => Err(e),
                },
                Stream::Unix(_) | Stream::Tcp(_) => Err(e),
            },
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            // A machine that was suspended meanwhile (signal(7)).
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.read_below(deadline),
            // Brokers end TLS without close_notify; a reset is an end as well.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
                ) =>
            {
                Ok(Vec::new())
            }
            Err(e) => Err(e),
        }
    }

    /// RFC 6455 §4.1.  The answer's key is not checked: the broker is not what is in doubt here.
    fn upgrade(&mut self, door: &Door) -> io::Result<()> {
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: mqtt\r\n\r\n",
            door.address
        );
        self.stream.write_all(request.as_bytes())?;
        self.stream.flush()?;
        let deadline = Instant::now() + PATIENCE;
        let mut head = Vec::new();
        loop {
            if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = head.split_off(end + 4);
                let text = String::from_utf8_lossy(&head).into_owned();
                if !text.starts_with("HTTP/1.1 101") {
                    return Err(io::Error::other(format!("no websocket: {text}")));
                }
                self.frames = Some(rest);
                return Ok(());
            }
            let bytes = self.read_below(deadline)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            head.extend(bytes);
        }
    }
}

fn tcp(door: &Door) -> io::Result<TcpStream> {
    let stream = match door.from {
        None => TcpStream::connect(door.address)?,
        Some(address) => connect_from(address, door.address)?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects from an address of our choice; all of 127.0.0.0/8 is this machine's.
fn connect_from(own: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    net::bind(&socket, &SocketAddr::from((own, 0)))?;
    net::connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

/// How a client of this door does TLS.
pub(super) fn tls_config(door: &Door) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &door.ca {
        roots.add(CertificateDer::from_pem_file(ca).map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    Ok(match &door.credential {
        None => config.with_no_client_auth(),
        Some(credential) => config.with_client_cert_resolver(Arc::new(Shown(certified(credential)?))),
    })
}

fn tls(door: &Door) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let config = match &door.tls {
        Some(shared) => Arc::clone(shared),
        None => Arc::new(tls_config(door)?),
    };
    let name = ServerName::try_from("broker.test").map_err(io::Error::other)?;
    let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, tcp(door)?);
    stream.sock.set_read_timeout(Some(PATIENCE))?;
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Shows one certificate whatever is in it; the usual way would refuse to send an odd one.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn certified(credential: &Credential) -> io::Result<Arc<CertifiedKey>> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&credential.certificate).map_err(io::Error::other)?.collect();
    let key = PrivateKeyDer::from_pem_file(&credential.key).map_err(io::Error::other)?;
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(io::Error::other)?;
    Ok(Arc::new(CertifiedKey::new(chain.map_err(io::Error::other)?, key)))
}

enum Frame {
    Data(Vec<u8>),
    Close,
    Other,
}

/// One client's frame, masked as RFC 6455 §5.3 wants it, with a mask that changes nothing.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        medium @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// The first whole frame, taken out.
fn unframe(bytes: &mut Vec<u8>) -> Option<Frame> {
    let opcode = bytes.first()? & 0x0f;
    let (length, head) = match *bytes.get(1)? & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, 10),
        short => (usize::from(short), 2),
    };
    let payload = bytes.get(head..head + length)?.to_vec();
    bytes.drain(..head + length);
    Some(match opcode {
        0x0..=0x2 => Frame::Data(payload),
        0x8 => Frame::Close,
        _ => Frame::Other,
    })
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.flush(),
            Self::Tcp(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
