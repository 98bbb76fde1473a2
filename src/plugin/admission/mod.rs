//! Who gets in: what BASIC_AUTH answers, and what a password costs before it is known.
//!
//! The rules are those of `login`; here is the state about them. A certificate needs none of it. A password that was
//! verified before is remembered, and costs a look-up from then on. For the first time of a slow hash there are three
//! ways, the first that can be gone:
//!
//! 1. The client waits while another thread computes (`worker`), and the broker is told at a tick. COMPAT: since
//!    Mosquitto 2.1.0, and not for MQTT 5: up to 2.1.2 a client that leaves while it waits stays in the broker's list
//!    of delayed wills after its memory is freed (context.c, will_delay.c), and only MQTT 5 has delayed wills.
//! 2. It is computed at once, within a share of the loop's time (`budget`).
//! 3. The client is refused for now, and another thread computes; when the client comes again, the answer is known.

mod attempt;
mod budget;
mod completion;
mod memory;
mod owners;
mod question;
mod queue;
mod recent;
mod throttle;
mod waiting;
mod worker;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    Plugin,
    counters::Counters,
    event::{AuthReply, BasicAuth, Host, Newcomer, Presented},
    locked,
};
use crate::{
    clock::UnixSeconds,
    config::Settings,
    login::{self, Judged, Login, Refused},
    password::{Memory, PasswordHash, VerifyError},
    snapshot::Snapshot,
};
use attempt::Attempt;
use budget::Budget;
use memory::{Recall, Verified};
use owners::Owners;
use throttle::Throttle;
use waiting::Waiting;
use worker::Pool;

/// Hashes up to this cost ([`PasswordHash::cost`]) are computed at once and for nothing: some 0.1 ms, what
/// `mosquitto_passwd` of 2.0 makes.
const CHEAP: u64 = 512;

/// How long argon2id's memory is kept after a hash on the broker's thread.
const KEEP: Duration = Duration::from_secs(60);

/// What is known of clients and their passwords from one event to the next.
pub(super) struct Admission {
    verified: Verified,
    throttle: Throttle,
    budget: Budget,
    pool: Pool,
    waiting: Waiting,
    owners: Owners,
    /// For hashes on the broker's thread, and when the last was.
    memory: Mutex<(Memory, Option<Instant>)>,
}

impl Admission {
    /// Nothing known yet, and as many threads as these settings say, once they are needed.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub(super) fn new(settings: &Settings, counters: &Arc<Counters>) -> Result<Self, getrandom::Error> {
        Ok(Self {
            verified: Verified::new()?,
            throttle: Throttle::default(),
            budget: Budget::new(Instant::now()),
            pool: Pool::new(settings.workers, counters),
            waiting: Waiting::default(),
            owners: Owners::default(),
            memory: Mutex::default(),
        })
    }
}

impl Plugin {
    /// A client connects, or the broker asks about a session again.
    #[must_use]
    pub fn basic_auth(&self, host: &dyn Host, event: &BasicAuth<'_>, newcomer: &dyn Newcomer) -> AuthReply {
        let snapshot = self.snapshot.load();
        // COMPAT: 2.1 says whose a session is; of 2.0 we know what we have seen.
        let seen = if host.knows_sessions() { None } else { self.admission.owners.owner(event.client_id) };
        let login = Login {
            client_id: event.client_id,
            username: self.reauth.given_name(event),
            password: event.password,
            certificate: event.certificate,
            session_of: event.session_of.or(seen.as_deref()),
            now: UnixSeconds::now(),
        };
        if self.reauth.is_known(event) {
            return match self.still_welcome(host, (&snapshot, &login)) {
                Ok(()) => {
                    self.counters.sessions.kept.add();
                    AuthReply::Admit
                }
                Err(refused) if may_be_refused(host, event) => {
                    self.tell(host, &snapshot).session_ended(event, &refused);
                    AuthReply::Refuse
                }
                Err(_) => AuthReply::Admit,
            };
        }
        if host.on_main_thread() {
            // The broker asks about nobody whose id another one waits with: who waited with it has left, and the answer
            // that comes for him must not let in this one.
            self.admission.waiting.forget(event.client_id);
        }
        let certificate = login.certificate.read(&snapshot);
        Attempt { plugin: self, host, event, newcomer, login, certificate, snapshot: &snapshot }.answer()
    }

    /// Whether a session may stay. Its password was verified when it began, so nothing slow is computed here: SIGHUP
    /// asks about all sessions in one turn of the loop.
    fn still_welcome<'s>(
        &self,
        host: &dyn Host,
        (snapshot, login): (&'s Snapshot, &Login<'_>),
    ) -> Result<(), Refused<'s>> {
        let Judged::Verify(device, hash) = login::still_welcome(snapshot, login)? else { return Ok(()) };
        let Some(password) = login.password else { return Ok(()) };
        let name = device.name().as_str();
        let cheap = hash.cost() <= CHEAP;
        match self.admission.verified.recall(name, hash, password) {
            Recall::Right => Ok(()),
            Recall::Wrong => Err(Refused::WrongPassword),
            // The hash was changed, and the password most likely with it.
            Recall::Changed if !cheap => Err(Refused::WrongPassword),
            // Forgotten because there are too many, which is no reason to throw anybody out.
            Recall::Unknown if !cheap => Ok(()),
            Recall::Changed | Recall::Unknown => match self.compute(host, (hash, None), password).0 {
                Ok(true) => {
                    self.admission.verified.remember(name, hash, password);
                    Ok(())
                }
                Ok(false) => Err(Refused::WrongPassword),
                Err(_) => Ok(()),
            },
        }
    }

    /// Compares a password on this thread; a wrong one takes the time of `decoy` too.
    fn compute(
        &self,
        host: &dyn Host,
        (hash, decoy): (&PasswordHash, Option<&PasswordHash>),
        password: &[u8],
    ) -> (Result<bool, VerifyError>, Duration) {
        let start = Instant::now();
        let compute = |memory: &mut Memory| {
            let right = hash.verify_with(password, memory);
            if let (Ok(false), Some(decoy)) = (right, decoy) {
                // Nothing could follow from either answer.
                let _ = decoy.verify_with(password, memory);
            }
            right
        };
        let right = if host.on_main_thread() {
            let mut kept = locked(&self.admission.memory);
            let right = compute(&mut kept.0);
            kept.1 = Some(Instant::now());
            right
        } else {
            // The loop must not wait for another thread's hash.
            compute(&mut Memory::new())
        };
        let took = start.elapsed();
        self.counters.hashes.add(took);
        (right, took)
    }

    /// Gives argon2id's memory back after a while without hashes.
    fn release_memory(&self, now: Instant) {
        if let Ok(mut kept) = self.admission.memory.try_lock()
            && kept.1.is_some_and(|last| now.saturating_duration_since(last) >= KEEP)
        {
            *kept = (Memory::new(), None);
        }
    }
}

/// Whether a known session that is welcome no longer may be told so.
///
/// COMPAT: up to 2.0.22 refusing an offline session with an expiry corrupts the broker's memory (mosquitto issues 3341 and
/// 3418), and 2.0 cannot tell which sessions are offline. Such a session stays: if it is connected it was kicked when
/// what admitted it was withdrawn, and if it is away it is given nothing and has to log in again.
fn may_be_refused(host: &dyn Host, event: &BasicAuth<'_>) -> bool {
    // Who shows a certificate is connected. But a websocket that 2.0.21 begins to close during SIGHUP is in the list of
    // clients that it then builds anew (keepalive.c), and has ended brokers; at the tick that is over.
    let connected = !matches!(event.certificate, Presented::None) && !event.websocket;
    host.may_refuse_offline_sessions() || connected
}

#[cfg(test)]
mod tests;
