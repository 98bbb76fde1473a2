//! `citronella explain`: would this be allowed, and why?

use citronella::policy::Request;
use serde::Serialize;

use super::{
    Answer,
    output::{Outcome, Output},
    world::World,
};

/// Show the decision that the broker would get, and the rule behind it
///
/// Exits 0 when it is allowed, 1 when it is denied, 2 when the files cannot be used.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  citronella explain thunder10 publish sensors/thunder10/temp\n  citronella explain phone subscribe 'sensors/#'\n  citronella explain --format json phone receive sensors/a"
)]
pub(crate) struct Arguments {
    /// Client identifier that asks; the device's name unless given
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
    device: String,
    /// What it asks for
    #[arg(value_enum)]
    action: Action,
    /// Topic name, or topic filter for subscribe and unsubscribe
    topic: String,
}

#[derive(Clone, Copy, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Action {
    /// Send a message to a topic
    Publish,
    /// Ask for a filter
    Subscribe,
    /// Be delivered a message on a topic
    Receive,
    /// Give a subscription up
    Unsubscribe,
}

impl Arguments {
    fn request(&self) -> Request<'_> {
        match self.action {
            Action::Publish => Request::Publish {
                topic: &self.topic,
                qos: self.qos,
                retain: self.retain,
                payload_bytes: self.payload_size,
            },
            Action::Subscribe => Request::Subscribe { filter: &self.topic },
            Action::Receive => Request::Receive { topic: &self.topic },
            Action::Unsubscribe => Request::Unsubscribe { filter: &self.topic },
        }
    }
}

#[derive(Serialize)]
struct Json<'a> {
    decision: &'static str,
    reason: String,
    rule: Option<JsonRule>,
    witness: Option<String>,
    device: &'a str,
    client_id: &'a str,
    action: Action,
    topic: &'a str,
}

/// The rule that decided.
#[derive(Serialize)]
struct JsonRule {
    file: String,
    line: u32,
    filter: String,
    /// `role NAME`, `device NAME`, `everyone` or `anonymous`.
    owner: String,
}

pub(crate) fn run(world: &World, output: &Output, arguments: &Arguments) -> Answer {
    let snapshot = super::check::load(world)?;
    let client_id = arguments.client_id.as_deref().unwrap_or(&arguments.device);
    let decision = snapshot.authorize(&arguments.device, client_id, &arguments.request());
    let outcome = if decision.is_allowed() { Outcome::Yes } else { Outcome::No };
    let reason = decision.to_string();
    let json = Json {
        decision: if decision.is_allowed() { "allow" } else { "deny" },
        reason: reason.clone(),
        rule: decision.rule().map(|rule| JsonRule {
            file: rule.place().file.display().to_string(),
            line: rule.place().line,
            filter: rule.template().to_string(),
            owner: rule.owner().to_string(),
        }),
        witness: decision.witness(),
        device: &arguments.device,
        client_id,
        action: arguments.action,
        topic: &arguments.topic,
    };
    output.verdict(outcome, &reason, &json)?;
    Ok(outcome)
}
