//! Who is let in, and as whom; who is not, and why.

use std::{thread, time::Duration};

use super::{Broker, Client, Door, Login, Refused, Version, wait_for};

/// What a refused SUBSCRIBE is answered (MQTT 3.1.1 §3.9.3, MQTT 5.0 §3.9.3).
pub(crate) const fn not_subscribed(version: Version) -> u8 {
    match version {
        Version::V31 | Version::V311 => 0x80,
        Version::V5 => 0x87,
    }
}

/// What every client that is refused is told, whatever the reason (MQTT 3.1.1 §3.2.2.3, MQTT 5.0 §3.2.2.2).
pub(crate) const fn not_authorized(version: Version) -> u8 {
    match version {
        Version::V31 | Version::V311 => 5,
        Version::V5 => 0x87,
    }
}

/// The answer that is no "not now": whoever is refused for now comes again.
#[track_caller]
pub(crate) fn answered(door: &Door, login: &Login) -> Result<Client, Refused> {
    let attempt = || match Client::open(door, login) {
        Err(Refused::Closed | Refused::Connack(0x89)) => {
            thread::sleep(Duration::from_millis(50));
            None
        }
        answer => Some(answer),
    };
    wait_for(attempt).unwrap_or_else(|| panic!("{login:?} is never answered"))
}

/// With both versions of MQTT: connects, and is that device.  The policy lets every device subscribe to
/// `who/{device}` and to nothing else below `who`.
#[track_caller]
pub(crate) fn admitted(door: &Door, login: &Login, name: &str) {
    for version in [Version::V311, Version::V5] {
        let mut client = Client::welcome(door, &login.clone().version(version));
        assert_eq!(client.subscribe(&format!("who/{name}")), 2, "{login:?} is not `{name}`");
        assert_eq!(client.subscribe("who/else"), not_subscribed(version));
        client.disconnect();
    }
}

/// With both versions of MQTT: the CONNACK says no more than that it is a refusal, and the log says why.
#[track_caller]
pub(crate) fn refused(broker: &Broker, door: &Door, login: &Login, reason: &str) {
    for version in [Version::V311, Version::V5] {
        refused_once(broker, door, &login.clone().version(version), reason);
    }
}

/// The same with the login's own version.
#[track_caller]
pub(crate) fn refused_once(broker: &Broker, door: &Door, login: &Login, reason: &str) {
    let (door, before) = (door.afar(), broker.log().len());
    let answer = Client::unwelcome(&door, login);
    assert_eq!(answer, Refused::Connack(not_authorized(login.version)), "{login:?}");
    // A 2.0 broker believes what a websocket client says of its address; the log does not repeat it.
    let said = if door.kind.is_websocket() && !broker.kind().at_least(2, 1, 0) {
        broker.said_after(before, "websocket")
    } else {
        broker.said_of(door.from.unwrap())
    };
    assert!(said.contains(reason), "{login:?} is refused for another reason than `{reason}`: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// With both versions of MQTT: the broker itself does not let this client come as far as to us.
#[track_caller]
pub(crate) fn turned_away(broker: &Broker, door: &Door, login: &Login) {
    for version in [Version::V311, Version::V5] {
        let door = door.afar();
        let answer = Client::unwelcome(&door, &login.clone().version(version));
        assert!(matches!(answer, Refused::Below(_) | Refused::Closed), "{login:?}: {answer:?}");
        assert_eq!(broker.said_of(door.from.unwrap()), "");
    }
}
