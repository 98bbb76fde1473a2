//! A new client, from its CONNECT to the answer.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{
    super::{
        Plugin,
        event::{AuthReply, BasicAuth, Host, Newcomer},
        records::Comer,
    },
    CHEAP,
    memory::Recall,
    question::{Purpose, Question},
    throttle::Standing,
    worker::decoy_after,
};
use crate::{
    login::{self, Judged, Login, Refused},
    password::PasswordHash,
    snapshot::Snapshot,
};

/// A log-in that is to be answered.
pub(super) struct Attempt<'a> {
    pub(super) plugin: &'a Plugin,
    pub(super) host: &'a dyn Host,
    pub(super) event: &'a BasicAuth<'a>,
    pub(super) newcomer: &'a dyn Newcomer,
    pub(super) login: Login<'a>,
    pub(super) certificate: login::Read,
    pub(super) snapshot: &'a Snapshot,
}

impl Attempt<'_> {
    /// The answer. Whoever gives a password and is refused waits as long as for a wrong password of the costliest
    /// kind in use, so that a clock does not tell which names exist.
    pub(super) fn answer(&self) -> AuthReply {
        let admission = &self.plugin.admission;
        let snapshot = self.snapshot;
        let judged = login::judge_read(snapshot, &self.login, &self.certificate);
        let password = match (&judged, self.login.password) {
            (Ok(Judged::Admit(name)), _) => return self.welcome(name),
            (Err(refused), None) => return self.refuse(refused),
            (Ok(Judged::Verify(..)), None) => return self.refuse(&Refused::PasswordMissing),
            (Ok(Judged::Verify(..)) | Err(_), Some(password)) => password,
        };
        let name = match &judged {
            Ok(Judged::Verify(device, _)) => device.name().as_str(),
            _ => self.login.username.unwrap_or_default(),
        };
        let standing = admission.throttle.standing(self.event.peer, name, Instant::now());
        let recall = match &judged {
            Ok(Judged::Verify(_, hash)) if !matches!(standing, Standing::HeldOff { look: false, .. }) => {
                admission.verified.recall(name, hash, password)
            }
            _ => Recall::Unknown,
        };
        if recall == Recall::Right {
            self.plugin.counters.memory.hits.add();
            return self.right(name);
        }
        if let Standing::HeldOff { left, .. } = standing {
            self.plugin.counters.throttled.add();
            let seconds = left.as_secs() + 1;
            return self.later(("held off", &format!("too many failures, {seconds} s to go")));
        }
        self.plugin.counters.memory.misses.add();
        match judged {
            Ok(Judged::Verify(_, hash)) if hash.cost() <= CHEAP => {
                match self.plugin.compute(self.host, (hash, None), password).0 {
                    Ok(true) => {
                        admission.verified.remember(name, hash, password);
                        self.right(name)
                    }
                    Ok(false) => {
                        let decoy = decoy_after(hash, snapshot.costliest_hash());
                        self.fail(&Refused::WrongPassword, decoy, name)
                    }
                    Err(error) => self.refuse(&Refused::Unverifiable(error)),
                }
            }
            Ok(Judged::Verify(_, hash)) => {
                let decoy = decoy_after(hash, snapshot.costliest_hash());
                // Where another password is known to be the right one, this one only takes its time.
                let purpose = match recall {
                    Recall::Wrong => refusal(name, &Refused::WrongPassword),
                    Recall::Right | Recall::Changed | Recall::Unknown => Purpose::Device(name.into()),
                };
                self.slowly(purpose, (hash.clone(), decoy))
            }
            Ok(Judged::Admit(name)) => self.welcome(name),
            Err(refused) => self.fail(&refused, snapshot.costliest_hash(), name),
        }
    }

    /// Refused, after the time of this hash.
    fn fail(&self, refused: &Refused<'_>, decoy: Option<PasswordHash>, name: &str) -> AuthReply {
        if let Some(decoy) = decoy {
            if decoy.cost() > CHEAP {
                return self.slowly(refusal(name, refused), (decoy, None));
            }
            // Nothing could follow from either answer.
            let _ = decoy.verify(self.login.password.unwrap_or_default());
        }
        self.plugin.admission.throttle.failed(self.event.peer, name, Instant::now());
        self.refuse(refused)
    }

    /// Compares the password with a hash that takes long, in the first way that can be gone.
    fn slowly(&self, purpose: Purpose, hashes: (PasswordHash, Option<PasswordHash>)) -> AuthReply {
        let admission = &self.plugin.admission;
        let (peer, settings) = (self.event.peer, self.snapshot.settings());
        let question = Question::new(&self.login, peer, purpose, hashes);
        if !self.host.on_main_thread() {
            return self.at_once(&question);
        }
        if self.host.can_delay() && !self.event.mqtt5 {
            return self.delay(question);
        }
        let share = Duration::from_millis(u64::from(settings.hash_budget));
        if admission.budget.may_spend(share, peer, Instant::now()) {
            return self.at_once(&question);
        }
        let known = admission.budget.knows(peer);
        if let Some(question) = admission.waiting.postpone(question) {
            let mark = question.mark;
            if !admission.pool.ask(question, known) {
                admission.waiting.answered(mark);
            }
        }
        self.plugin.counters.postponed.add();
        self.later(("postponed", "hashing has had its share of the time"))
    }

    /// On this thread, whatever it costs.
    fn at_once(&self, question: &Question) -> AuthReply {
        let admission = &self.plugin.admission;
        let hashes = (&question.hash, question.decoy.as_ref());
        let (right, took) = self.plugin.compute(self.host, hashes, question.password());
        if self.host.on_main_thread() {
            admission.budget.spend(self.event.peer, took);
        }
        match (&question.purpose, right) {
            (Purpose::Device(name), Ok(true)) => {
                admission.verified.remember(name, &question.hash, question.password());
                self.right(name)
            }
            (Purpose::Device(name), Ok(false)) => {
                admission.throttle.failed(self.event.peer, name, Instant::now());
                self.refuse(&Refused::WrongPassword)
            }
            (Purpose::Device(_), Err(error)) => self.refuse(&Refused::Unverifiable(error)),
            (Purpose::Refuse { name, reason }, _) => {
                admission.throttle.failed(self.event.peer, name, Instant::now());
                self.refuse(reason)
            }
        }
    }

    /// The client waits, and the broker is told later. Its name is set now, while there is a client to name; until it
    /// is admitted nothing can be done with it, and at its end the broker forgets the name before it sends the will.
    fn delay(&self, mut question: Question) -> AuthReply {
        let admission = &self.plugin.admission;
        match &question.purpose {
            Purpose::Device(name) => {
                if let Err(reason) = self.name(name) {
                    return self.refuse(&reason);
                }
            }
            Purpose::Refuse { .. } => {
                // Nobody's id is taken while somebody waits who is refused in any case: the broker turns away whoever
                // else comes with it. So nobody who guesses keeps a device out that was here since our start. Another
                // device's id is taken until its turn has come, 30 s at most: there is no safe way to give a client
                // that waits its own id back (it may have left, and nobody says so).
                let hidden = admission.waiting.nobodys_id();
                if self.newcomer.take_id(&hidden).is_ok() {
                    question.client_id = hidden.into();
                }
            }
        }
        admission.waiting.begin(&mut question);
        let client_id = question.client_id.clone();
        let known = admission.budget.knows(self.event.peer);
        if admission.pool.ask(question, known) {
            self.plugin.counters.queue.set(admission.pool.open_number());
            return AuthReply::Delay;
        }
        admission.waiting.forget(&client_id);
        self.plugin.counters.postponed.add();
        self.later(("postponed", "too many wait for their hashes"))
    }

    /// The password is right.
    fn right(&self, name: &str) -> AuthReply {
        self.plugin.admission.throttle.succeeded(self.event.peer, name);
        self.welcome(name)
    }

    /// In, under this name.
    fn welcome(&self, name: &str) -> AuthReply {
        if let Err(reason) = self.name(name) {
            return self.refuse(&reason);
        }
        if self.host.on_main_thread()
            && !self.plugin.enter(self.snapshot, name, (&self.login, &self.certificate))
        {
            return self.refuse(&Refused::Changed);
        }
        self.plugin.tell(self.host, self.snapshot).admitted(self.comer(), name);
        self.plugin.admitted(self.host, name, (self.event.client_id, self.event.peer));
        AuthReply::Admit
    }

    /// Gives the client its name, unless it has said it itself. Off the main thread the broker must not be called;
    /// there only names that are right already get in.
    fn name(&self, name: &str) -> Result<(), String> {
        match (self.event.username == Some(name), self.host.on_main_thread()) {
            (true, _) => Ok(()),
            (false, true) => self.newcomer.rename(name),
            (false, false) => Err("another thread may not name clients".to_owned()),
        }
    }

    fn refuse(&self, reason: &dyn fmt::Display) -> AuthReply {
        self.plugin.tell(self.host, self.snapshot).not_admitted(self.comer(), reason);
        AuthReply::Refuse
    }

    /// Refused for now, which is not the same as a wrong password, and must not look like it.
    fn later(&self, why: (&'static str, &str)) -> AuthReply {
        self.plugin.tell(self.host, self.snapshot).not_now(self.comer(), why);
        // Only MQTT 5 has a word for it, and only 2.1 says it.
        if self.host.can_delay() && self.event.mqtt5 { AuthReply::Busy } else { AuthReply::Close }
    }

    fn comer(&self) -> Comer<'_> {
        Comer::new(self.event, self.login.username)
    }
}

/// What a client's password is computed for that is refused in any case.
fn refusal(name: &str, refused: &Refused<'_>) -> Purpose {
    Purpose::Refuse { name: name.into(), reason: refused.to_string() }
}
