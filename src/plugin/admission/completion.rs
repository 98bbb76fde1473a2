//! Answers that come from other threads, told to the broker at its tick.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{
    super::{
        Plugin,
        event::{Host, Peer, Wake},
    },
    question::{Purpose, Question},
    worker::Finished,
};
use crate::{
    ident::ANONYMOUS,
    login::{self, Judged, Refused},
};

/// How long a tick may tell answers: the rest waits for the next, so that the loop goes on.
const TURN: Duration = Duration::from_millis(3);

impl Plugin {
    /// Tells the broker what was found out about clients that wait. No lock is held while the broker is called.
    pub(in crate::plugin) fn complete_log_ins(&self, host: &dyn Host) -> Wake {
        let admission = &self.admission;
        if admission.pool.open() == 0 {
            // The last one may have been taken back by its client, and then no answer comes.
            self.counters.queue.set(0);
            self.release_memory(Instant::now());
            return Wake::Later;
        }
        let start = Instant::now();
        while let Some(finished) = admission.pool.answer() {
            self.complete(host, &finished);
            if start.elapsed() >= TURN {
                break;
            }
        }
        for (client_id, applicant) in admission.waiting.overdue(Instant::now()) {
            self.counters.postponed.add();
            let why = ("postponed", "its hash was not computed within 30 s");
            self.tell(host, &self.snapshot.load()).not_now(applicant.comer(), why);
            host.complete(&client_id, false);
        }
        self.counters.queue.set(admission.pool.open_number());
        Wake::Soon
    }

    fn complete(&self, host: &dyn Host, finished: &Finished) {
        let (admission, question) = (&self.admission, &finished.question);
        self.counters.hashes.add(finished.took);
        admission.waiting.answered(question.mark);
        let waits = admission.waiting.end(question);
        let (peer, now) = (question.peer(), Instant::now());
        match (&question.purpose, &finished.right) {
            (Purpose::Device(name), Ok(true)) => {
                admission.verified.remember(name, &question.hash, question.password());
                admission.throttle.succeeded(peer, name);
                admission.budget.succeeded(peer);
                if waits {
                    self.welcome(host, question, name);
                }
            }
            (Purpose::Device(name), Ok(false)) => {
                admission.throttle.failed(peer, name, now);
                self.turn_away(host, (question, waits), &Refused::WrongPassword);
            }
            (Purpose::Device(_), Err(error)) => {
                self.turn_away(host, (question, waits), &Refused::Unverifiable(*error));
            }
            (Purpose::Refuse { name, reason }, _) => {
                admission.throttle.failed(peer, name, now);
                self.turn_away(host, (question, waits), reason);
            }
        }
    }

    /// The password is right, and everything else is judged once more: the files may have changed since, and somebody
    /// may have come with the same client id.
    fn welcome(&self, host: &dyn Host, question: &Question, name: &str) {
        let snapshot = self.snapshot.load();
        let session_of = host.session_of(&question.client_id);
        let login = question.login(session_of.as_deref());
        let certificate = login.certificate.read(&snapshot);
        match login::judge_read(&snapshot, &login, &certificate) {
            Ok(Judged::Verify(device, hash)) if device.name().as_str() == name && *hash == question.hash => {
                if !self.enter(&snapshot, name, (&login, &certificate)) {
                    return self.turn_away(host, (question, true), &Refused::Changed);
                }
                self.tell(host, &snapshot).admitted(question.comer(), name);
                self.admitted(host, name, (&question.client_id, question.peer()));
                host.complete(&question.client_id, true);
            }
            Ok(_) => {
                // With another hash it is another password, until it is compared.
                self.turn_away(host, (question, true), &Refused::WrongPassword);
            }
            Err(refused) => self.turn_away(host, (question, true), &refused),
        }
    }

    fn turn_away(&self, host: &dyn Host, (question, waits): (&Question, bool), reason: &dyn fmt::Display) {
        self.tell(host, &self.snapshot.load()).not_admitted(question.comer(), reason);
        if waits {
            host.complete(&question.client_id, false);
        }
    }

    /// Remembers who was let in. Anybody can come without a name, as often as they like: that earns an address nothing, and
    /// pushes out no device's session.
    pub(super) fn admitted(&self, host: &dyn Host, name: &str, (client_id, peer): (&str, Peer)) {
        if name == ANONYMOUS {
            return;
        }
        self.admission.budget.succeeded(peer);
        if !host.knows_sessions() {
            self.admission.owners.admitted(client_id, name);
        }
    }
}
