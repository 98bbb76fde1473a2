//! A real broker, a client that can do what no well-behaved one does, and the command.
//!
//! Nothing here sleeps for a guess: whatever a test waits for is a fact with a deadline.
#![allow(dead_code, unused_imports, reason = "a harness has parts that not every set of tests uses")]

mod address;
mod broker;
mod cc;
mod certs;
mod client;
mod cmd;
mod conf;
mod door;
mod fleet;
mod kind;
mod login;
mod packet;
mod verdict;
mod wire;

pub(crate) use broker::{Broker, Refusing};
pub(crate) use cc::compiled;
pub(crate) use certs::{Authority, Credential};
pub(crate) use client::{Client, Gone, Message, Publish, Refused};
pub(crate) use cmd::{Cmd, Outcome};
pub(crate) use conf::{Conf, plugin_lines};
pub(crate) use door::{Door, DoorKind};
pub(crate) use fleet::Fleet;
pub(crate) use kind::{Kind, plugin};
pub(crate) use login::{Login, Version, Will};
pub(crate) use packet::Packet;
pub(crate) use verdict::{
    admitted, answered, not_authorized, not_subscribed, refused, refused_once, turned_away,
};
pub(crate) use wire::Wire;

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a fact may take before its absence is a failure.  Generous: two cores may carry many brokers,
/// and an emulator some of them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks every few milliseconds until there is an answer, or the deadline has passed.
pub(crate) fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// One test for each broker: `broker_test!(name, |kind| { … })` makes `name::on_2_0_11`, `name::on_2_0_21` and
/// `name::on_2_1`.  A broker that is not there fails its tests; `make test BROKERS=…` leaves tests out by name.
macro_rules! broker_test {
    ($(#[$meta:meta])* $name:ident, |$kind:ident| $body:block) => {
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "what the file imports is for all of its tests")]
            use super::*;

            fn body($kind: crate::support::Kind) $body

            #[test]
            fn on_2_0_11() {
                body(crate::support::Kind::named("2.0.11"));
            }

            #[test]
            fn on_2_0_21() {
                body(crate::support::Kind::named("2.0.21"));
            }

            #[test]
            fn on_2_1() {
                body(crate::support::Kind::named("2.1"));
            }
        }
    };
}
