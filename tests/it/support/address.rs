//! Addresses that nobody else uses.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddr, UnixListener},
    },
    process::id,
    sync::atomic::{AtomicU32, Ordering},
};

/// An address in 127.0.0.0/8 that no other broker of any test process has while this lives.
///
/// A free port of `127.0.0.1` is not enough: between its choice and its use another test may get it, and then
/// that test's broker answers.  Who owns the name of an address in the abstract socket name space owns the address.
pub(super) struct Address {
    pub(super) ip: Ipv4Addr,
    _claim: UnixListener,
}

impl Address {
    pub(super) fn claim() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            // Any starting point would do; the process id makes collisions rare.
            let number = id().wrapping_mul(251).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let [_, a, b, c] = number.to_be_bytes();
            // 127.0.x.x is where people put their own things; .0 and .255 look odd to some programs.
            let ip = Ipv4Addr::new(127, a | 64, b, c.clamp(1, 254));
            if let Some(claim) = claim(&ip.to_string()) {
                return Self { ip, _claim: claim };
            }
        }
    }
}

/// An address in 127.0.0.0/8 that no other client of this process comes from.
pub(super) fn fresh_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let [_, a, b, c] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    // Brokers have 64 and more in the second place.
    Ipv4Addr::new(127, 1 + a % 63, b, c)
}

/// A port that no other broker of any test process has on any address while this lives.
pub(super) struct Port {
    pub(super) number: u16,
    _claim: UnixListener,
}

impl Port {
    /// Above the ports that brokers have on addresses of their own, below those that the kernel hands out.
    const RANGE: std::ops::Range<u32> = 20_000..32_000;

    pub(super) fn claim() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let step = id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let number = Self::RANGE.start + step % (Self::RANGE.end - Self::RANGE.start);
            let number = u16::try_from(number).expect("the range is one of ports");
            let Some(claim) = claim(&number.to_string()) else { continue };
            // A machine without IPv6 has nobody there either.
            let taken =
                |bound: io::Result<TcpListener>| bound.is_err_and(|e| e.kind() == io::ErrorKind::AddrInUse);
            if !taken(TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)))
                && !taken(TcpListener::bind((Ipv6Addr::UNSPECIFIED, number)))
            {
                return Self { number, _claim: claim };
            }
        }
    }
}

/// The right to an address or a port, if nobody has it.
fn claim(what: &str) -> Option<UnixListener> {
    let name = format!("citronella-tests-{what}");
    UnixListener::bind_addr(&UnixAddr::from_abstract_name(name).unwrap()).ok()
}
