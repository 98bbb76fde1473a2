//! `citronella explain`: would this be allowed, and why?

use citronella::policy::{self, Message, Request};
use serde::{Deserialize, Serialize};

mod answer;
mod batch;
mod who;

pub(crate) use answer::Answer;

use super::{
    Answer as Ended, lack,
    output::{Failure, Output},
    world::World,
};

const EXAMPLES: &str = "\
Examples:
  citronella explain thunder10 publish sensors/thunder10/temp
  citronella explain phone subscribe 'sensors/#'
  citronella explain --format json phone receive sensors/a
  citronella explain --who receive sensors/thunder10/temp
  echo '{\"device\":\"phone\",\"action\":\"subscribe\",\"topic\":\"sensors/#\"}' \\
    | citronella explain --batch

--batch reads one question a line, {\"device\", \"action\", \"topic\"} and if need be \"client_id\",
\"qos\", \"retain\", \"payload_size\", and writes what --format json prints, a line for each, in order,
before it waits for more. A line that is no question is answered by {\"error\", \"line\"}. It exits 0
when every line was a question, whatever the answers, and 2 when some line was not. A name that
no device has gets no `help` there.";

/// Show the decision that the broker would get, and the rule behind it
///
/// Exits 0 when it is allowed, 1 when it is denied, 2 when the files cannot be used; with --who, 0 when somebody may
/// and 1 when nobody may.
#[derive(clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "citronella explain [OPTIONS] <DEVICE> <ACTION> <TOPIC>\n       \
                      citronella explain [OPTIONS] --who <ACTION> <TOPIC>\n       \
                      citronella explain --batch"
)]
pub(crate) struct Arguments {
    /// List the devices that may publish, subscribe to or receive a topic, by the rules that let them; each asks with
    /// its name as client identifier
    #[arg(
        long,
        num_args = 2,
        value_names = ["ACTION", "TOPIC"],
        allow_hyphen_values = true,
        conflicts_with_all = ["device", "client_id"]
    )]
    who: Option<Vec<String>>,
    /// Answer questions from standard input, one JSON object a line
    #[arg(
        long,
        conflicts_with_all = ["device", "client_id", "who", "qos", "retain", "payload_size"]
    )]
    batch: bool,
    /// Client identifier that asks; the device's name unless given. Whether it may have that identifier is decided when it
    /// connects, not here
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// QoS of the message that is published
    #[arg(long, value_name = "0|1|2", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// The message that is published is to be retained
    #[arg(long)]
    retain: bool,
    /// Size of the message that is published
    #[arg(long, value_name = "BYTES", default_value = "0")]
    payload_size: u32,
    /// The device, or `~anonymous`
    #[arg(required_unless_present_any = ["who", "batch"], requires = "topic")]
    device: Option<String>,
    /// What it asks for
    #[arg(value_enum)]
    action: Option<Action>,
    /// Topic name, or topic filter for subscribe and unsubscribe
    topic: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Send a message to a topic
    Publish,
    /// Ask for a filter
    Subscribe,
    /// Be delivered a message on a topic
    Receive,
    /// Give a subscription up
    Unsubscribe,
}

impl Action {
    fn request(self, topic: &str, message: Message) -> Request<'_> {
        policy::Action::from(self).request(topic, message)
    }
}

impl From<Action> for policy::Action {
    fn from(action: Action) -> Self {
        match action {
            Action::Publish => Self::Publish,
            Action::Subscribe => Self::Subscribe,
            Action::Receive => Self::Receive,
            Action::Unsubscribe => Self::Unsubscribe,
        }
    }
}

impl From<policy::Action> for Action {
    fn from(action: policy::Action) -> Self {
        match action {
            policy::Action::Publish => Self::Publish,
            policy::Action::Subscribe => Self::Subscribe,
            policy::Action::Receive => Self::Receive,
            policy::Action::Unsubscribe => Self::Unsubscribe,
        }
    }
}

pub(crate) fn run(world: &World, output: &Output, arguments: &Arguments) -> Ended {
    let Arguments { qos, retain, payload_size: payload_bytes, .. } = *arguments;
    let message = Message { qos, retain, payload_bytes };
    if let Some([action, topic]) = arguments.who.as_deref() {
        return who::run(world, output, &who::Question::new(action, topic, message)?);
    }
    if arguments.batch {
        return batch::run(world);
    }
    let (Some(device), Some(action), Some(topic)) = (&arguments.device, arguments.action, &arguments.topic)
    else {
        // The definitions above let nothing else through.
        return Err(Failure::new("a question has a device, an action and a topic"));
    };
    let snapshot = super::check::load(world)?;
    let client_id = arguments.client_id.as_deref().unwrap_or(device);
    let decision = snapshot.authorize(device, client_id, &action.request(topic, message));
    let answer = Answer {
        help: snapshot.help(device, &decision),
        decision: &decision,
        device,
        client_id,
        action,
        topic,
    };
    output.advised((answer.outcome(), answer.help.as_deref()), &decision, &answer)?;
    lack::warn(world, output, snapshot.device(device));
    Ok(answer.outcome())
}
