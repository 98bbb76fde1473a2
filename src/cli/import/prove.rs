//! `--prove`: the same questions to the broker that reads the source, and to what was made of it.

mod broker;
mod owner;
mod questions;

use std::{collections::BTreeSet, fmt, path::PathBuf};

use citronella::{
    diag::Visible,
    ident,
    import::{Imported, Loss, Note, Person},
    mqtt::{Client, MqttError},
    policy::Request,
    snapshot::Snapshot,
    topic::{Filter, Name},
};
use serde::Serialize;

use super::super::output::Failure;
use broker::{Broker, Login, Wire};
use owner::Owner;
use questions::Questions;

/// What the proof needs to know.
pub(super) struct Proof<'a> {
    pub(super) imported: &'a Imported,
    pub(super) snapshot: &'a Snapshot,
    /// The text of the acl_file, or of the JSON.
    pub(super) source: Source<'a>,
    pub(super) anonymous: bool,
    pub(super) options: &'a Options,
}

#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Acl(&'a str),
    Dynsec(&'a str),
}

/// How it is proved.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Ask the broker of this machine what the source gives, and list every difference; exits 1 if there is one that
    /// no note announces
    #[arg(long)]
    pub(super) prove: bool,
    /// The broker to ask
    #[arg(long, value_name = "PATH", default_value = "/usr/sbin/mosquitto", requires = "prove")]
    broker: PathBuf,
    /// The broker's dynamic-security plugin, if it is not where Debian has it
    #[arg(long, value_name = "PATH", requires_all = ["prove", "dynsec"])]
    dynsec_plugin: Option<PathBuf>,
    /// About how many questions to ask; more of them where there are many topics and devices
    #[arg(long, value_name = "NUMBER", default_value_t = 20_000, requires = "prove")]
    questions: usize,
}

/// What came of it.
#[derive(Default, Serialize)]
pub(super) struct Proved {
    /// Questions asked.
    questions: usize,
    /// Who cannot connect to the source's broker, and was not asked about.
    not_asked: Vec<String>,
    /// Subscriptions that the source refuses and that are accepted and filtered here.
    wider_subscriptions: usize,
    differences: Vec<Difference>,
}

/// One answer that is not the same.
#[derive(Serialize)]
struct Difference {
    who: String,
    action: &'static str,
    topic: String,
    source: &'static str,
    here: &'static str,
    /// The line that announces it.
    announced: Option<String>,
    /// The decision here, with its rule.
    reason: String,
}

impl Proved {
    /// Whether every difference was announced.
    pub(super) fn holds(&self) -> bool {
        self.differences.iter().all(|found| found.announced.is_some())
    }
}

impl fmt::Display for Proved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in &self.differences {
            let Difference { who, action, topic, source, here, announced, reason } = found;
            write!(f, "{}: {action} `{}`: source {source}, here {here}: ", Visible(who), Visible(topic))?;
            match announced {
                Some(note) => writeln!(f, "announced by {}", Visible(note))?,
                None => writeln!(f, "NOT ANNOUNCED: {}", Visible(reason))?,
            }
        }
        if !self.not_asked.is_empty() {
            let names = self.not_asked.join(", ");
            writeln!(f, "not asked, for they cannot connect to the source: {}", Visible(&names))?;
        }
        if self.wider_subscriptions > 0 {
            let wider = self.wider_subscriptions;
            writeln!(
                f,
                "{wider} subscriptions that the source refuses are accepted here and bring what is allowed"
            )?;
        }
        let new = self.differences.iter().filter(|found| found.announced.is_none()).count();
        let known = self.differences.len() - new;
        write!(f, "{} questions: {known} announced differences, {new} others", self.questions)
    }
}

/// Asks everything of both.
pub(super) fn run(proof: &Proof<'_>) -> Result<Proved, Failure> {
    let people = people(proof);
    let questions = Questions::of(&proof.imported.filters, &people, proof.options.questions);
    let owner = Owner::of(proof, &questions)?;
    let broker = Broker::start(&proof.options.broker, &owner.files, &owner.conf)?;
    let mut watcher = broker.connect(&owner.watcher)?.ok_or_else(|| cannot("refuses whoever watches"))?;
    let mut proved = Proved::default();
    for (index, person) in people.iter().enumerate() {
        let client_id = questions.client_id(person, index);
        let login = owner.login(person, &client_id);
        let Some(mut client) = broker.connect(&login)? else {
            proved.not_asked.push(person.name.clone());
            continue;
        };
        let topics = questions.topics(person, index);
        let filters = owner.filters(&topics, &questions.filters(person, index));
        let mut ask = Ask { proof, person, client_id: &client_id, proved: &mut proved };
        ask.publish(&mut client, &topics).map_err(broken)?;
        ask.receive((&mut client, &mut watcher), &topics, &filters).map_err(broken)?;
    }
    Ok(proved)
}

/// Everybody who may come in, clients without a name as well.
fn people(proof: &Proof<'_>) -> Vec<Person> {
    let mut people = proof.imported.people.clone();
    if proof.anonymous {
        people.push(Person::anonymous());
    }
    people
}

struct Ask<'p, 'a> {
    proof: &'p Proof<'a>,
    person: &'p Person,
    client_id: &'p str,
    proved: &'p mut Proved,
}

/// What is sent; no rule of the source looks at it.
const PAYLOAD: &[u8] = b"?";

/// A reason code that refuses.
const REFUSED: u8 = 0x80;

impl Ask<'_, '_> {
    fn publish(&mut self, client: &mut Client<Wire>, topics: &[String]) -> Result<(), MqttError> {
        // Whoever asks, the broker keeps these for itself.
        for topic in topics.iter().filter(|topic| !topic.starts_with("$SYS")) {
            let theirs = client.publish(topic, PAYLOAD)? < REFUSED;
            let request = Request::Publish { topic, qos: 1, retain: false, payload_bytes: 1 };
            self.compare(("publish", topic), &request, (theirs, true));
        }
        Ok(())
    }

    /// Whether a message comes by any of the subscriptions that are accepted.
    fn receive(
        &mut self,
        (client, watcher): (&mut Client<Wire>, &mut Client<Wire>),
        topics: &[String],
        filters: &[String],
    ) -> Result<(), MqttError> {
        let mut ours: Vec<&str> = Vec::new();
        for filter in filters {
            let granted = client.subscribe(&[filter], 0)?.first().is_some_and(|code| *code < REFUSED);
            let accepted = self.authorize(&Request::Subscribe { filter });
            self.proved.questions += 1;
            self.proved.wider_subscriptions += usize::from(accepted && !granted);
            if accepted {
                ours.push(filter);
            }
        }
        // These are the broker's to send, and commands to it.
        let own = |topic: &&String| !topic.starts_with("$SYS") && !topic.starts_with("$CONTROL");
        let topics: Vec<&String> = topics.iter().filter(own).collect();
        for some in topics.chunks(100) {
            for topic in some {
                if watcher.publish(topic, PAYLOAD)? >= REFUSED {
                    return Err(MqttError::Malformed("a refusal to whoever may do everything"));
                }
            }
            // What was sent to this client before stands before this answer.
            client.ping()?;
            let came: BTreeSet<String> = client.take_messages().map(|message| message.topic).collect();
            for topic in some {
                let subscribed = Name::parse(topic).is_ok_and(|name| {
                    let mut filters = ours.iter().filter_map(|filter| Filter::parse(filter).ok());
                    filters.any(|filter| filter.matches(name))
                });
                let answers = (came.contains(*topic), subscribed);
                self.compare(("receive", topic), &Request::Receive { topic }, answers);
            }
        }
        Ok(())
    }

    fn authorize(&self, request: &Request<'_>) -> bool {
        self.proof.snapshot.authorize(&self.person.device, self.client_id, request).is_allowed()
    }

    /// Notes a difference between their answer and ours, which is no where nothing brings the message.
    fn compare(
        &mut self,
        (action, topic): (&'static str, &str),
        request: &Request<'_>,
        (theirs, reachable): (bool, bool),
    ) {
        self.proved.questions += 1;
        let decision = self.proof.snapshot.authorize(&self.person.device, self.client_id, request);
        let ours = reachable && decision.is_allowed();
        if theirs == ours {
            return;
        }
        let word = |allowed| if allowed { "allows" } else { "refuses" };
        let announced = self.announced(action, topic).filter(|_| theirs);
        let reason = if reachable { decision.to_string() } else { "no subscription brings it".to_owned() };
        self.proved.differences.push(Difference {
            who: self.person.name.clone(),
            action,
            topic: topic.to_owned(),
            source: word(theirs),
            here: word(ours),
            announced: announced.map(|note| format!("{}:{} [{}]", note.file, note.line, note.code)),
            reason,
        });
    }

    /// The note that says that this is lost.
    fn announced(&self, action: &str, topic: &str) -> Option<&Note> {
        let is_lost = |loss: &Loss| {
            let own = loss.who.as_ref().is_none_or(|who| *who == self.person.name);
            let asked = if action == "publish" { loss.publish } else { loss.receive };
            let matches = || {
                if loss.filter == "$" {
                    return topic.starts_with('$');
                }
                let filter = Filter::parse(&loss.filter);
                filter.is_ok_and(|filter| Name::parse(topic).is_ok_and(|name| filter.matches(name)))
            };
            own && asked && matches()
        };
        self.proof.imported.notes.iter().find(|note| note.losses.iter().any(is_lost))
    }
}

fn cannot(what: &str) -> Failure {
    Failure::new(format!("nothing is proved: the broker {what}"))
}

fn broken(error: MqttError) -> Failure {
    Failure::new(format!("nothing is proved: {error}"))
}

/// What a client without a name is called here, as [`Person::device`].
pub(super) fn is_anonymous(person: &Person) -> bool {
    person.device == ident::ANONYMOUS
}

impl Login {
    fn named(name: &str, client_id: &str) -> Self {
        Self { username: Some(name.to_owned()), password: None, client_id: client_id.to_owned() }
    }
}
