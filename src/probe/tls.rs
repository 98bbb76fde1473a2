//! The two passes of TLS.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind,
    RootCertStore, SignatureScheme, StreamOwned,
    client::{
        ResolvesClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};

use super::{
    Question,
    patience::{Patience, Patient},
    since,
};
use crate::doctor::Cert;

/// What both sides agreed on.
#[derive(Clone, Debug)]
pub struct Negotiated {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The cipher suite's name.
    pub suite: String,
    /// From the first byte of TLS to the end of the handshake.
    pub full: Duration,
    /// The same with a session ticket; none if the broker did not take it.
    pub resumed: Option<Duration>,
}

/// What the first pass has seen.
pub(super) struct Seen {
    pub(super) chain: Vec<Cert>,
    pub(super) negotiated: Option<Negotiated>,
    pub(super) certificate_asked: bool,
    pub(super) error: Option<io::Error>,
}

/// A stream over which MQTT can be spoken.
pub(super) struct Secured {
    pub(super) stream: StreamOwned<ClientConnection, Patient>,
    pub(super) patience: Patience,
    pub(super) negotiated: Negotiated,
}

/// How the second pass is done.
pub(super) struct Careful {
    config: Arc<ClientConfig>,
    shown: Arc<Shown>,
}

impl Careful {
    /// Whether the broker has asked for a certificate so far.
    pub(super) fn asked(&self) -> bool {
        self.shown.asked.load(Ordering::Relaxed)
    }
}

/// The first pass: any certificate is good, and none is shown.
pub(super) fn describe(question: &Question, address: SocketAddr) -> Seen {
    let witness = Arc::new(Witness { chain: Mutex::default(), provider: aws_lc_rs::default_provider() });
    let shown = Arc::new(Shown { key: None, asked: AtomicBool::new(false) });
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map(|builder| {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::<Witness>::clone(&witness))
                .with_client_cert_resolver(Arc::<Shown>::clone(&shown))
        })
        .map_err(io::Error::other);
    let done = config.and_then(|config| secure(question, address, &Arc::new(config)));
    let chain = witness.chain.lock().unwrap_or_else(PoisonError::into_inner);
    Seen {
        chain: chain.iter().filter_map(|der| Cert::from_der(der.clone())).collect(),
        certificate_asked: shown.asked.load(Ordering::Relaxed),
        negotiated: done.as_ref().ok().map(|secured| secured.negotiated.clone()),
        error: done.err(),
    }
}

/// The second pass: as a careful client judges.
pub(super) fn careful(question: &Question) -> Result<Careful, Error> {
    let mut roots = RootCertStore::empty();
    for cert in &question.trust {
        roots.add(cert.der().clone())?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let key = question.identity.as_ref().map(|identity| Arc::clone(&identity.key));
    let shown = Arc::new(Shown { key, asked: AtomicBool::new(false) });
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_webpki_verifier(verifier)
        .with_client_cert_resolver(Arc::<Shown>::clone(&shown));
    Ok(Careful { config: Arc::new(config), shown })
}

pub(super) fn handshake(question: &Question, address: SocketAddr, careful: &Careful) -> io::Result<Secured> {
    secure(question, address, &careful.config)
}

/// How long a handshake takes with the ticket of the session before; none if there is none.
pub(super) fn resumed(question: &Question, address: SocketAddr, careful: &Careful) -> Option<Duration> {
    let mut secured = secure(question, address, &careful.config).ok()?;
    let resumed = secured.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed);
    secured.stream.conn.send_close_notify();
    let _ = secured.stream.flush();
    resumed.then_some(secured.negotiated.full)
}

fn secure(question: &Question, address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Secured> {
    let name = ServerName::try_from(question.target.host.clone())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut socket = Patient::connect(address, question.timeout)?;
    let patience = socket.patience();
    let start = Instant::now();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    let full = since(start);
    let negotiated = Negotiated {
        version: match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
            _ => "1.3",
        },
        suite: connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("unknown")
            .to_owned(),
        full,
        resumed: None,
    };
    Ok(Secured { stream: StreamOwned::new(connection, socket), patience, negotiated })
}

/// The broker's alert in an error of the stream.
pub(super) fn alert(error: &io::Error) -> Option<AlertDescription> {
    match inner(error)? {
        Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// What rustls says in an error of the stream.
pub(super) fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether a stream says hello in plain MQTT.
pub(super) fn speaks_plain_mqtt(question: &Question, address: SocketAddr) -> bool {
    // CONNECT of MQTT 3.1.1 without a client id.
    const CONNECT: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x1e\x00\x00";
    const CONNACK: u8 = 0x20;
    let ask = || -> io::Result<u8> {
        let mut stream = TcpStream::connect_timeout(&address, question.timeout)?;
        stream.set_read_timeout(Some(question.timeout))?;
        stream.write_all(CONNECT)?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(u8::from_be_bytes(first))
    };
    ask().is_ok_and(|first| first == CONNACK)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Accepts everything and remembers what it saw.
#[derive(Debug)]
struct Witness {
    chain: Mutex<Vec<CertificateDer<'static>>>,
    provider: CryptoProvider,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = [end_entity].into_iter().chain(intermediates).map(|der| der.clone().into_owned());
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = chain.collect();
        Ok(ServerCertVerified::assertion())
    }

    // The parser of the library does not read version 1, and nothing is believed here anyway.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Shows the one certificate there is, whatever the broker asks for, and remembers that it asked.
#[derive(Debug)]
struct Shown {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        // Without one too: otherwise the library does not tell that it was asked.
        true
    }
}
