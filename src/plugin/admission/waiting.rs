//! Clients that wait for their password to be compared, by client id, and which question is theirs.
//!
//! The broker completes a client by its id alone. A client that leaves while it waits leaves no event behind, and
//! whoever comes next with its id is asked about like anybody: so each question has a ticket, a new question with the
//! same id takes the place of the old one, and an answer counts only for the ticket it was asked with.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    super::{event::Peer, locked},
    question::Question,
};

/// How long a client waits at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who waits.
#[derive(Default)]
pub(super) struct Waiting {
    clients: Mutex<HashMap<Box<str>, Client>>,
    /// Credentials that are compared while nobody waits for the answer.
    postponed: Mutex<HashSet<u64>>,
    tickets: AtomicU64,
    secret: RandomState,
}

struct Client {
    ticket: u64,
    since: Instant,
    cancel: Arc<AtomicBool>,
    peer: Peer,
}

impl Waiting {
    /// This client waits from now on.
    pub(super) fn begin(&self, question: &mut Question) {
        let ticket = self.ticket();
        question.ticket = Some(ticket);
        let client = Client {
            ticket,
            since: Instant::now(),
            cancel: Arc::clone(&question.cancel),
            peer: question.peer,
        };
        if let Some(before) = locked(&self.clients).insert(question.client_id.clone(), client) {
            before.cancel.store(true, Ordering::Release);
        }
    }

    /// Nobody waits with this client id any more.
    pub(super) fn forget(&self, client_id: &str) {
        if let Some(client) = locked(&self.clients).remove(client_id) {
            client.cancel.store(true, Ordering::Release);
        }
    }

    /// Whether the client that this question is about still waits; it does no longer after this.
    pub(super) fn end(&self, question: &Question) -> bool {
        let mut clients = locked(&self.clients);
        let waits =
            clients.get(&question.client_id).is_some_and(|client| Some(client.ticket) == question.ticket);
        if waits {
            clients.remove(&question.client_id);
        }
        waits
    }

    /// Takes out who has waited too long.
    pub(super) fn overdue(&self, now: Instant) -> Vec<(Box<str>, Peer)> {
        let mut clients = locked(&self.clients);
        let late = clients.extract_if(|_, client| now.saturating_duration_since(client.since) >= PATIENCE);
        late.map(|(client_id, client)| {
            client.cancel.store(true, Ordering::Release);
            (client_id, client.peer)
        })
        .collect()
    }

    /// The question, if these credentials are not asked about already.
    pub(super) fn postpone(&self, question: Question) -> Option<Question> {
        let who = (question.username.as_deref(), question.peer, question.password(), question.hash.to_text());
        let mark = self.secret.hash_one(who);
        locked(&self.postponed).insert(mark).then(|| Question { mark: Some(mark), ..question })
    }

    /// They are asked about no longer.
    pub(super) fn answered(&self, mark: Option<u64>) {
        if let Some(mark) = mark {
            locked(&self.postponed).remove(&mark);
        }
    }

    /// A client id that nobody has or can guess.
    pub(super) fn nobodys_id(&self) -> String {
        format!("~refused-{:016x}", self.secret.hash_one(self.ticket()))
    }

    fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question::of_test(std::net::Ipv4Addr::LOCALHOST)
    }

    #[test]
    fn an_answer_counts_for_the_ticket_it_was_asked_with() {
        let waiting = Waiting::default();
        let [mut victim, mut attacker] = [question(), question()];
        waiting.begin(&mut victim);
        waiting.begin(&mut attacker);
        assert!(victim.is_void());
        assert!(!waiting.end(&victim), "another one waits with its id");
        assert!(waiting.end(&attacker));
        assert!(!waiting.end(&attacker), "once");
    }

    #[test]
    fn who_is_admitted_at_once_ends_the_wait_of_who_had_the_id() {
        let waiting = Waiting::default();
        let mut victim = question();
        waiting.begin(&mut victim);
        waiting.forget("c");
        assert!(victim.is_void());
        assert!(!waiting.end(&victim));
    }

    #[test]
    fn nobody_waits_for_ever() {
        let waiting = Waiting::default();
        let mut client = question();
        waiting.begin(&mut client);
        assert_eq!(waiting.overdue(Instant::now()), []);
        assert_eq!(waiting.overdue(Instant::now() + PATIENCE), [("c".into(), client.peer)]);
        assert!(client.is_void() && !waiting.end(&client));
    }

    #[test]
    fn the_same_credentials_are_asked_about_once_at_a_time() {
        let waiting = Waiting::default();
        let first = waiting.postpone(question()).unwrap();
        assert!(waiting.postpone(question()).is_none());
        waiting.answered(first.mark);
        assert!(waiting.postpone(question()).is_some());
        assert_ne!(waiting.nobodys_id(), waiting.nobodys_id());
    }
}
