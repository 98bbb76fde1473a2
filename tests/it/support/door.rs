//! Ways into a broker.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use rustls::ClientConfig;

use super::{Credential, address::fresh_address, wire::tls_config};

/// What a listener speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DoorKind {
    Unix,
    Tcp,
    Tls,
    Websocket,
    WebsocketTls,
}

impl DoorKind {
    pub(crate) const fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::WebsocketTls)
    }

    pub(crate) const fn is_websocket(self) -> bool {
        matches!(self, Self::Websocket | Self::WebsocketTls)
    }
}

/// A way into a broker: where, what it speaks, and with which certificates.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) kind: DoorKind,
    /// The socket of a `Unix` door; empty for the others.
    pub(crate) path: PathBuf,
    /// Where the others listen.
    pub(crate) address: SocketAddr,
    /// The CA that a client trusts (TLS).
    pub(crate) ca: Option<PathBuf>,
    /// The certificate that a client shows (TLS).
    pub(crate) credential: Option<Credential>,
    /// Where a client connects from, if it matters.
    pub(crate) from: Option<Ipv4Addr>,
    /// What clients share who resume each other's TLS sessions.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Door {
    /// A plain listener of which only the address is known.
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        let kind = DoorKind::Tcp;
        Self { kind, path: PathBuf::new(), address, ca: None, credential: None, from: None, tls: None }
    }

    /// A TLS listener of which only the address and the CA are known.
    pub(crate) fn tls(address: SocketAddr, ca: PathBuf) -> Self {
        Self { kind: DoorKind::Tls, ca: Some(ca), ..Self::tcp(address) }
    }

    /// The same door for a client that shows this certificate.
    pub(crate) fn showing(&self, credential: &Credential) -> Self {
        Self { credential: Some(credential.clone()), ..self.clone() }
    }

    /// The same door for clients who resume each other's TLS sessions.
    pub(crate) fn resuming(&self) -> Self {
        Self { tls: Some(Arc::new(tls_config(self).unwrap())), ..self.clone() }
    }

    /// The same door for a client whose address no other client has: what the log says of it is about that one.
    pub(crate) fn afar(&self) -> Self {
        Self { from: Some(fresh_address()), ..self.clone() }
    }
}
