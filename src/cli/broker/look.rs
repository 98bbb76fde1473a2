//! Which certificate a broker shows.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::held::Held;

/// Until a broker that reloads shows its new certificate.
const PATIENCE: Duration = Duration::from_secs(20);
/// For one connection.
const TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until the broker shows this certificate (DER); what it showed last, in words, if it never does, or a signal
/// came meanwhile.
pub(crate) fn shows(address: SocketAddr, wanted: &[u8], held: &Held) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let said = match leaf(address) {
            Ok(Some(shown)) if shown == wanted => return Ok(()),
            Ok(Some(_)) => "it shows another certificate".to_owned(),
            Ok(None) => "it shows no certificate".to_owned(),
            Err(error) => error,
        };
        if begun.elapsed() > PATIENCE || held.came().is_some() {
            return Err(said);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The leaf it shows. That it wants a certificate of us, and gets none, comes after that.
fn leaf(address: SocketAddr) -> Result<Option<Vec<u8>>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let seen = Arc::new(Seen { leaf: Mutex::new(None), provider: Arc::clone(&provider) });
    let verifier = Arc::clone(&seen);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::IpAddress(address.ip().into());
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(|error| error.to_string())?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(|error| error.to_string())?;
    let ended = session.complete_io(&mut stream).map_err(|error| error.to_string());
    let leaf = seen.leaf.lock().map_or(None, |leaf| leaf.clone());
    match (leaf, ended) {
        (None, Err(error)) => Err(error),
        (leaf, _) => Ok(leaf),
    }
}

/// Takes any certificate, and remembers it: nothing is sent to whoever shows it.
#[derive(Debug)]
struct Seen {
    leaf: Mutex<Option<Vec<u8>>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Ok(mut seen) = self.leaf.lock() {
            *seen = Some(leaf.to_vec());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, leaf, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
