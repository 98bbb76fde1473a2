//! What is told of the answers: counted, logged and recorded.

use std::{fmt, time::Instant};

use super::{
    Plugin,
    audit::{Event, Record, Under},
    counters::{Answers, Counters, Results, Shown},
    event::{AclCheck, BasicAuth, Host, Level, Peer, Whence},
    kicks::Why,
    log::Refusal,
    repeats::{Repeats, Run},
    watch::Outcome,
};
use crate::{
    clock::UnixSeconds,
    diag::Quoted,
    policy::{Decision, Request},
    snapshot::Snapshot,
};

/// A new client and what it says of itself.
#[derive(Clone, Copy)]
pub(super) struct Comer<'a> {
    /// The user name as the client gave it.
    pub(super) username: Option<&'a str>,
    pub(super) client_id: &'a str,
    pub(super) peer: Peer,
    pub(super) certificate: Shown,
    pub(super) password: Shown,
}

impl<'a> Comer<'a> {
    /// The one of this event, which may be about a session that has another name by now.
    pub(super) fn new(event: &BasicAuth<'a>, username: Option<&'a str>) -> Self {
        let BasicAuth { client_id, peer, .. } = *event;
        let [certificate, password] = [event.certificate.into(), event.password.into()];
        Self { username, client_id, peer, certificate, password }
    }

    fn record(self) -> Record<'a> {
        Record {
            who: self.username,
            client_id: Some(self.client_id),
            credential: Some(Shown::word(self.certificate, self.password)),
            ..Record::default()
        }
    }

    fn results(self, counters: &Counters) -> &Results {
        counters.log_ins.of(self.certificate, self.password)
    }
}

impl fmt::Display for Comer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", Quoted(self.client_id))?;
        self.username.map_or(Ok(()), |name| write!(f, ", user name {}", Quoted(name)))
    }
}

/// Tells what was answered under a snapshot.
#[derive(Clone, Copy)]
pub(super) struct Teller<'a> {
    plugin: &'a Plugin,
    under: Under<'a>,
}

impl Plugin {
    /// For answers under this snapshot.
    pub(super) fn tell<'a>(&'a self, host: &'a dyn Host, snapshot: &'a Snapshot) -> Teller<'a> {
        Teller { plugin: self, under: Under { host, log: &self.log, snapshot } }
    }

    /// The counters for such a question.
    pub(super) fn answers(&self, event: &AclCheck<'_>) -> &Answers {
        self.counters.checks.of(&event.request)
    }
}

impl Teller<'_> {
    fn note<'r>(&'r self, what: (Event, Peer), record: impl FnOnce() -> Record<'r>) -> bool {
        self.plugin.audit.note(self.under, what, record)
    }

    fn refusal(&self, what: (Refusal, Peer), text: impl FnOnce() -> String) -> bool {
        self.plugin.log.refusal(self.under.host, what, text)
    }

    /// A new client is admitted under this name.
    pub(super) fn admitted(&self, comer: Comer<'_>, name: &str) {
        comer.results(&self.plugin.counters).admitted.add();
        self.note((Event::LogIn, comer.peer), || Record {
            who: Some(name),
            decision: Some("admitted"),
            ..comer.record()
        });
    }

    /// A new client is refused.
    pub(super) fn not_admitted(&self, comer: Comer<'_>, reason: &dyn fmt::Display) {
        comer.results(&self.plugin.counters).refused.add();
        self.refusal((Refusal::LogIn, comer.peer), || format!("log-in refused: {reason} ({comer})"));
        self.note((Event::LogIn, comer.peer), || Record {
            decision: Some("refused"),
            reason: Some(reason.to_string()),
            ..comer.record()
        });
    }

    /// A new client is refused for now: `held off` or `postponed`, and why.
    pub(super) fn not_now(&self, comer: Comer<'_>, (what, reason): (&'static str, &str)) {
        comer.results(&self.plugin.counters).postponed.add();
        self.refusal((Refusal::LogIn, comer.peer), || format!("log-in {what}: {reason} ({comer})"));
        self.note((Event::LogIn, comer.peer), || Record {
            decision: Some(what),
            reason: Some(reason.to_owned()),
            ..comer.record()
        });
    }

    /// A session that was welcome before is no longer.
    pub(super) fn session_ended(&self, event: &BasicAuth<'_>, reason: &dyn fmt::Display) {
        let BasicAuth { username, client_id, peer, .. } = *event;
        self.plugin.counters.sessions.ended.add();
        self.refusal((Refusal::LogIn, peer), || {
            let name = username.unwrap_or_default();
            format!("session ended: {reason} (client {}, device {})", Quoted(client_id), Quoted(name))
        });
        self.note((Event::Session, peer), || Record {
            decision: Some("ended"),
            reason: Some(reason.to_string()),
            ..Comer::new(event, username).record()
        });
    }

    /// Somebody asks for something, and no rule was needed to refuse it.
    #[cold]
    pub(super) fn nobody(&self, event: &AclCheck<'_>, why: &str) {
        self.plugin.answers(event).refused.add();
        let peer = (event.whence)().peer();
        self.refusal((Refusal::Access, peer), || {
            format!("access refused: client {} {why}", Quoted(id_of(event)))
        });
        self.note((Event::Access, peer), || Record {
            reason: Some(format!("the client {why}")),
            ..of_access(event)
        });
    }

    /// A device may not do what it asks for.
    pub(super) fn denied(
        &self,
        repeats: &mut Repeats,
        event: &AclCheck<'_>,
        (name, decision): (&str, &Decision<'_>),
    ) {
        self.plugin.answers(event).refused.add();
        // What is not delivered is not worth a line: it happens with every message under a hidden topic.
        if matches!(event.request, Request::Receive { .. }) {
            return;
        }
        let whence = (event.whence)();
        if !repeats.count(whence) {
            self.denied_anew(repeats, (event, whence), (name, decision));
        }
    }

    #[inline(never)]
    fn denied_anew(
        &self,
        repeats: &mut Repeats,
        (event, whence): (&AclCheck<'_>, Whence<'_>),
        (name, decision): (&str, &Decision<'_>),
    ) {
        self.unsaid(repeats.end());
        let peer = whence.peer();
        // The witness in it is dear, and made once.
        let told = std::cell::LazyCell::new(|| decision.to_string());
        let logged = self.refusal((Refusal::Access, peer), || {
            format!("device {}, client {}: {}", Quoted(name), Quoted(id_of(event)), *told)
        });
        let recorded = self.note((Event::Access, peer), || Record {
            rule: decision.rule().map(|rule| rule.place().to_string()),
            reason: Some(told.clone()),
            ..of_access(event)
        });
        if !logged && !recorded {
            repeats.begin(whence);
        }
    }

    /// So many refusals of a place were neither logged nor recorded.
    pub(super) fn unsaid(&self, run: Option<Run>) {
        if let Some(run) = run.filter(|run| run.count > 0) {
            let (peer, now) = (run.whence().peer(), Instant::now());
            self.plugin.log.more_refusals((Refusal::Access, peer), run.count, now);
            self.plugin.audit.note_unsaid(self.under, (Event::Access, peer), (run.count, now));
        }
    }

    /// The connections under this name are closed because of a change.
    pub(super) fn kick(&self, name: &str, why: Why) {
        let Counters { kicks, .. } = &*self.plugin.counters;
        let reason = match why {
            Why::LockedOut => {
                kicks.locked_out.add();
                "a session of it is welcome no longer"
            }
            Why::Shrunk => {
                kicks.shrunk.add();
                "it may do less than before, and is to ask anew"
            }
        };
        self.note((Event::Kick, Peer::Unknown), || Record {
            who: Some(name),
            reason: Some(reason.to_owned()),
            ..Record::default()
        });
    }

    /// The files were loaded again.
    pub(super) fn reload(&self, outcome: &Outcome) {
        let Counters { reloads, .. } = &*self.plugin.counters;
        match outcome.decision {
            "loaded" => reloads.loaded.add(),
            "held" => reloads.held.add(),
            _ => reloads.failed.add(),
        }
        if outcome.decision == "loaded" {
            self.plugin.counters.in_force(self.under.snapshot, UnixSeconds::now());
            self.plugin.audit.in_force(self.under.snapshot);
        }
        let record = || Record {
            decision: Some(outcome.decision),
            reason: outcome.reason.clone(),
            revision: Some(&outcome.revision),
            ..Record::default()
        };
        if let Some((to, directory)) = &outcome.left {
            self.plugin.audit.note_last(self.under, (*to, directory), (Event::Reload, &record()));
        }
        self.note((Event::Reload, Peer::Unknown), record);
    }
}

impl Plugin {
    /// An event is refused because it is not what the broker promises.
    pub fn note_refusal(&self, host: &dyn Host, kind: Refusal, reason: &dyn fmt::Display) {
        self.counters.internal_errors.events.add();
        let what = match kind {
            Refusal::LogIn => "log-in",
            Refusal::Access => "access",
        };
        let tell = self.snapshot.load();
        let tell = self.tell(host, &tell);
        tell.refusal((kind, asker(host)), || format!("{what} refused: {reason}"));
        tell.note_fault(kind, &|| reason.to_string());
    }

    /// A panic of ours ended what the broker had called, and was told as `what`; what was asked, if anything was, is
    /// refused.
    pub fn note_panic(&self, host: &dyn Host, asked: Option<Refusal>, what: &str) {
        self.counters.internal_errors.panics.add();
        self.log.write(host, Level::Error, what);
        if let Some(kind) = asked {
            self.tell(host, &self.snapshot.load()).note_fault(kind, &|| what.to_owned());
        }
    }
}

impl Teller<'_> {
    /// Something was refused because of a fault, of which no more is known than this.
    fn note_fault(&self, kind: Refusal, reason: &dyn Fn() -> String) {
        let event = match kind {
            Refusal::LogIn => Event::LogIn,
            Refusal::Access => Event::Access,
        };
        self.note((event, asker(self.under.host)), || Record {
            decision: Some("refused"),
            reason: Some(reason()),
            ..Record::default()
        });
    }
}

/// Who asked, as far as the thread tells.
fn asker(host: &dyn Host) -> Peer {
    if host.on_main_thread() { Peer::Unknown } else { Peer::Http }
}

/// The client id, which nobody needed so far; nothing if it is not text.
fn id_of<'a>(event: &AclCheck<'a>) -> &'a str {
    (event.client_id)().unwrap_or_default()
}

fn of_access<'a>(event: &AclCheck<'a>) -> Record<'a> {
    let action = match event.request {
        Request::Publish { .. } => "publish",
        Request::Receive { .. } => "deliver",
        Request::Subscribe { .. } => "subscribe",
        Request::Unsubscribe { .. } => "unsubscribe",
    };
    Record {
        who: event.username,
        client_id: Some(id_of(event)),
        action: Some(action),
        topic: Some(event.request.topic()),
        decision: Some("refused"),
        ..Record::default()
    }
}
