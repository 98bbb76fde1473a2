//! From the model's words to the engine's.

use std::{path::Path, sync::Arc};

use citronella::{
    diag::Place,
    policy::{
        Actions, Attributes, Block, Decision, Effect, Index, Limits, Owner, Policy, Request, Rule, Subject,
        WideSubscribe,
    },
    topic::Template,
};

use crate::model;

/// A client as the engine knows it.
pub(crate) struct Client {
    model: model::Client,
    attributes: Attributes,
}

impl Client {
    pub(crate) fn new(model: &model::Client) -> Self {
        let site = model.site.iter().map(|site| ("site".to_owned(), site.clone()));
        Self { model: model.clone(), attributes: Attributes::new(site) }
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            device: self.model.device.as_deref(),
            client_id: &self.model.client_id,
            attributes: &self.attributes,
        }
    }
}

/// Two indexes, as a device has them.
pub(crate) struct Engine {
    indexes: [Option<Index>; 2],
    /// The same rules in the form for many of them.
    trees: [Option<Index>; 2],
    pub(crate) wide: WideSubscribe,
}

impl Engine {
    /// All rules in one block of one index.
    pub(crate) fn new(rules: &[model::Rule], wide: bool) -> Self {
        Self::split(rules, wide, |_| (0, 0))
    }

    /// Rule `n` goes into the index and the block that `place(n)` says.
    pub(crate) fn split(rules: &[model::Rule], wide: bool, place: impl Fn(usize) -> (usize, usize)) -> Self {
        let index = |which: usize, compile: fn(&[Arc<Block>]) -> Index| {
            let mut blocks: Vec<Vec<Rule>> = vec![vec![]; 4];
            for (number, rule) in rules.iter().enumerate().filter(|(number, _)| place(*number).0 == which) {
                blocks[place(number).1].push(compiled(number, rule));
            }
            let block =
                |rules| Arc::new(Block { owner: Owner::Role("r".into()), limits: Limits::default(), rules });
            let blocks: Vec<_> = blocks.into_iter().map(block).collect();
            blocks.iter().any(|block| !block.rules.is_empty()).then(|| compile(&blocks))
        };
        let wide = if wide { WideSubscribe::Filter } else { WideSubscribe::Strict };
        let both = |compile| [index(0, compile), index(1, compile)];
        Self { indexes: both(Index::compile), trees: both(Index::compile_tree), wide }
    }

    /// All its rules.
    pub(crate) fn blocks(&self) -> Vec<Arc<Block>> {
        self.indexes.iter().flatten().flat_map(|index| index.blocks().to_vec()).collect()
    }

    pub(crate) fn decide<'a>(&'a self, client: &'a Client, ask: (model::Action, &'a str)) -> Decision<'a> {
        let decide = |indexes: &'a [Option<Index>; 2]| {
            let policy = Policy::new(indexes[0].as_ref(), indexes[1].as_ref(), self.wide);
            policy.decide(&client.subject(), &request(ask))
        };
        let (decision, by_trees) = (decide(&self.indexes), decide(&self.trees));
        assert_eq!(
            decision.to_string(),
            by_trees.to_string(),
            "{ask:?}: both forms of an index answer alike"
        );
        decision
    }

    pub(crate) fn allows(&self, client: &model::Client, ask: (model::Action, &str)) -> bool {
        self.decide(&Client::new(client), ask).is_allowed()
    }
}

fn request((action, topic): (model::Action, &str)) -> Request<'_> {
    match action {
        model::Action::Publish => Request::Publish { topic, qos: 0, retain: false, payload_bytes: 0 },
        model::Action::Subscribe => Request::Subscribe { filter: topic },
        model::Action::Receive => Request::Receive { topic },
        model::Action::Unsubscribe => Request::Unsubscribe { filter: topic },
    }
}

/// Written in line `number` + 1.
fn compiled(number: usize, rule: &model::Rule) -> Rule {
    let action = |action: &model::Action| match action {
        model::Action::Publish => Actions::PUBLISH,
        model::Action::Subscribe => Actions::SUBSCRIBE,
        model::Action::Receive => Actions::RECEIVE,
        model::Action::Unsubscribe => panic!("no rule speaks of unsubscribing"),
    };
    Rule {
        effect: if rule.allow { Effect::Allow } else { Effect::Deny },
        actions: rule.about.iter().map(action).fold(Actions::default(), Actions::and),
        template: Template::parse(&rule.filter).unwrap_or_else(|error| panic!("{}: {error}", rule.filter)),
        place: Place { file: Path::new("policy.toml").into(), line: u32::try_from(number).unwrap() + 1 },
    }
}
