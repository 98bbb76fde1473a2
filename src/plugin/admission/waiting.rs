//! Clients that wait for their password to be compared, by client id, and which question is theirs.
//!
//! The broker completes a client by its id alone. A client that leaves while it waits leaves no event behind, and
//! whoever comes next with its id is asked about like anybody: so each question has a ticket, a new question with the
//! same id takes the place of the old one, and an answer counts only for the ticket it was asked with.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    super::locked,
    question::{Applicant, Question},
};

/// How long a client waits at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who waits.
#[derive(Default)]
pub(super) struct Waiting {
    clients: Mutex<Clients>,
    /// Credentials that are compared while nobody waits for the answer.
    postponed: Mutex<HashSet<u64>>,
    tickets: AtomicU64,
    secret: RandomState,
}

#[derive(Default)]
struct Clients {
    by_id: HashMap<Box<str>, Client>,
    /// Their ids in the order in which they came, which is that of their tickets: only the first can be overdue.
    order: BTreeMap<u64, Box<str>>,
}

struct Client {
    ticket: u64,
    since: Instant,
    cancel: Arc<AtomicBool>,
    applicant: Applicant,
}

impl Clients {
    /// The one before with that id, if there is one.
    fn insert(&mut self, client_id: Box<str>, client: Client) -> Option<Client> {
        let before = self.remove(&client_id);
        self.order.insert(client.ticket, client_id.clone());
        self.by_id.insert(client_id, client);
        before
    }

    fn remove(&mut self, client_id: &str) -> Option<Client> {
        let client = self.by_id.remove(client_id)?;
        self.order.remove(&client.ticket);
        Some(client)
    }
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
            applicant: question.applicant.clone(),
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
        let waits = clients
            .by_id
            .get(&question.client_id)
            .is_some_and(|client| Some(client.ticket) == question.ticket);
        if waits {
            clients.remove(&question.client_id);
        }
        waits
    }

    /// Takes out who has waited too long: the id that each waits with, and who it is.
    pub(super) fn overdue(&self, now: Instant) -> Vec<(Box<str>, Applicant)> {
        let (mut clients, mut late) = (locked(&self.clients), Vec::new());
        while let Some((_, client_id)) = clients.order.first_key_value() {
            let client_id = client_id.clone();
            let waits_on = |client: &Client| now.saturating_duration_since(client.since) < PATIENCE;
            if clients.by_id.get(&client_id).is_some_and(waits_on) {
                break;
            }
            let Some(client) = clients.remove(&client_id) else { break };
            client.cancel.store(true, Ordering::Release);
            late.push((client_id, client.applicant));
        }
        late
    }

    /// The question, if these credentials are not asked about already.
    pub(super) fn postpone(&self, question: Question) -> Option<Question> {
        let Applicant { username, peer, .. } = &question.applicant;
        let who = (username, peer, question.password(), &question.hash);
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
        assert_eq!(waiting.overdue(Instant::now() + PATIENCE), [("c".into(), client.applicant.clone())]);
        assert!(client.is_void() && !waiting.end(&client));
    }

    #[test]
    fn whoever_waits_longest_is_overdue_first_and_nothing_is_left_of_others() {
        let (waiting, start) = (Waiting::default(), Instant::now());
        let named = |number: usize| Question { client_id: number.to_string().into(), ..question() };
        let mut questions: Vec<_> = (0..100).map(named).collect();
        for question in &mut questions {
            waiting.begin(question);
        }
        assert!(questions.iter().step_by(2).all(|question| waiting.end(question)));
        // One comes again, and is the last by that.
        waiting.begin(&mut named(1));
        let late = waiting.overdue(start + PATIENCE + Duration::from_secs(60));
        let ids: Vec<String> = late.iter().map(|(id, _)| id.to_string()).collect();
        let expected: Vec<String> =
            (3..100).step_by(2).chain([1]).map(|number: usize| number.to_string()).collect();
        assert_eq!(ids, expected);
        let clients = locked(&waiting.clients);
        assert!(clients.by_id.is_empty() && clients.order.is_empty());
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
