//! Who gets in: what BASIC_AUTH answers, and what a password costs before it is known.
//!
//! The rules are those of `login`; here is the state about them. A certificate needs none of it. A password that
//! was verified before is remembered, and costs a look-up from then on.

mod memory;
mod recent;

use crate::{
    clock::UnixSeconds,
    login::{self, Judged, Login, Refused},
    password::PasswordHash,
    snapshot::Snapshot,
};

use super::{
    Plugin,
    event::{AuthReply, BasicAuth, Host, Presented},
    records::Comer,
};
use memory::{Recall, Verified};

/// What is known of clients and their passwords from one event to the next.
pub(super) struct Admission {
    verified: Verified,
}

impl Admission {
    /// Nothing yet.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { verified: Verified::new()? })
    }
}

impl Plugin {
    /// A client connects, or the broker asks about a session again. `rename` gives the client another user name.
    #[must_use]
    pub fn basic_auth(
        &self,
        host: &dyn Host,
        event: &BasicAuth<'_>,
        rename: &dyn Fn(&str) -> Result<(), String>,
    ) -> AuthReply {
        let snapshot = self.snapshot.load();
        let login = Login {
            client_id: event.client_id,
            username: self.reauth.given_name(event),
            password: event.password,
            certificate: event.certificate,
            session_of: None,
            now: UnixSeconds::now(),
        };
        if self.reauth.is_known(event) {
            return match self.still_welcome(&snapshot, &login) {
                Ok(()) => {
                    self.counters.sessions.kept.add();
                    AuthReply::Admit
                }
                Err(refused) => {
                    self.tell(host, &snapshot).session_ended(event, &refused);
                    self.end_session(host, event)
                }
            };
        }
        let comer = Comer { event, username: login.username };
        let name = match self.admit(&snapshot, &login) {
            Ok(name) => name,
            Err(refused) => {
                self.tell(host, &snapshot).not_admitted(comer, &refused);
                return AuthReply::Refuse;
            }
        };
        // Off the main thread the broker must not be called; there only names that are right already get in.
        let named = event.username == Some(name);
        let renamed = match (named, host.on_main_thread()) {
            (true, _) => Ok(()),
            (false, true) => rename(name),
            (false, false) => Err("another thread may not name clients".to_owned()),
        };
        match renamed {
            Ok(()) => {
                self.tell(host, &snapshot).admitted(comer, name);
                self.kicks.admitted(event.client_id);
                AuthReply::Admit
            }
            Err(reason) => {
                self.tell(host, &snapshot).not_admitted(comer, &reason);
                AuthReply::Refuse
            }
        }
    }

    /// Whether a new client gets in, its password compared.
    fn admit<'s>(&self, snapshot: &'s Snapshot, login: &Login<'_>) -> Result<&'s str, Refused<'s>> {
        match (login::judge(snapshot, login), login.password) {
            (Ok(Judged::Admit(name)), _) => Ok(name),
            (Ok(Judged::Verify(device, hash)), Some(password)) => {
                let name = device.name().as_str();
                if self.admission.verified.recall(name, hash, password) == Recall::Right {
                    return Ok(name);
                }
                verify(hash, password)
                    .inspect_err(|_| take_the_rest_of_the_time(snapshot, hash, password))?;
                self.admission.verified.remember(name, hash, password);
                Ok(name)
            }
            (Ok(Judged::Verify(..)), None) => Err(Refused::PasswordMissing),
            (Err(refused), password) => {
                if let Some(password) = password {
                    take_the_time(snapshot, password);
                }
                Err(refused)
            }
        }
    }

    /// Whether a session may stay. Its password was verified when it began; what was not verified against the hash of
    /// now is compared once more.
    fn still_welcome<'s>(&self, snapshot: &'s Snapshot, login: &Login<'_>) -> Result<(), Refused<'s>> {
        let Judged::Verify(device, hash) = login::still_welcome(snapshot, login)? else { return Ok(()) };
        let Some(password) = login.password else { return Ok(()) };
        let name = device.name().as_str();
        match self.admission.verified.recall(name, hash, password) {
            Recall::Right => return Ok(()),
            Recall::Wrong => return Err(Refused::WrongPassword),
            Recall::Changed | Recall::Unknown => {}
        }
        match verify(hash, password) {
            Ok(()) => {
                self.admission.verified.remember(name, hash, password);
                Ok(())
            }
            // Memory that is missing now is no reason to throw anybody out.
            Err(Refused::Unverifiable(_)) => Ok(()),
            Err(refused) => Err(refused),
        }
    }

    /// A known session is welcome no longer.
    fn end_session(&self, host: &dyn Host, event: &BasicAuth<'_>) -> AuthReply {
        // Who shows a certificate is connected. But a websocket that 2.0.21 begins to close during SIGHUP is in the list
        // of clients that it then builds anew (keepalive.c), and has ended brokers; at the tick that is over.
        let connected = !matches!(event.certificate, Presented::None) && !event.websocket;
        if host.may_refuse_offline_sessions() || connected {
            return AuthReply::Refuse;
        }
        self.kicks.end(event.client_id, event.username.unwrap_or_default());
        AuthReply::Admit
    }
}

fn verify(hash: &PasswordHash, password: &[u8]) -> Result<(), Refused<'static>> {
    match hash.verify(password) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refused::WrongPassword),
        Err(error) => Err(Refused::Unverifiable(error)),
    }
}

/// After a wrong password for a hash that is cheaper than others in use: without this the time would tell its
/// device from a name that nobody has.
fn take_the_rest_of_the_time(snapshot: &Snapshot, hash: &PasswordHash, password: &[u8]) {
    if snapshot.costliest_hash().is_some_and(|costliest| costliest.cost() > hash.cost()) {
        take_the_time(snapshot, password);
    }
}

/// Takes as long as a wrong password of the costliest kind in use, so that a clock does not tell which names
/// exist.
fn take_the_time(snapshot: &Snapshot, password: &[u8]) {
    if let Some(decoy) = snapshot.costliest_hash() {
        // Nothing could follow from either answer.
        let _ = decoy.verify(password);
    }
}
