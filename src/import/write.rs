//! The draft as TOML, with the source's lines as comments.

use std::fmt::Write as _;

use super::{Note, Person};
use crate::diag::Visible;

/// What is written.
#[derive(Default)]
pub(super) struct Draft {
    /// The file or files it comes from.
    pub(super) origin: String,
    /// `client_id = "device"`
    pub(super) own_client_ids: bool,
    pub(super) roles: Vec<(String, Block)>,
    pub(super) everyone: Block,
    pub(super) anonymous: Option<Block>,
    pub(super) devices: Vec<Device>,
    pub(super) notes: Vec<Note>,
    pub(super) people: Vec<Person>,
    pub(super) filters: Vec<(String, u32)>,
}

/// A table of rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// Comments at its head.
    pub(super) remarks: Vec<String>,
    pub(super) rules: Vec<Rule>,
}

/// A rule and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) key: Key,
    pub(super) template: String,
    /// `acl:12: topic read a/b`
    pub(super) origin: String,
}

/// Keys of a block, in the order in which they are written.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Key {
    Publish,
    Subscribe,
    Pubsub,
    Deny,
    DenyPublish,
    DenySubscribe,
    Hide,
}

impl Key {
    const ALL: [(Self, &str); 7] = [
        (Self::Publish, "publish"),
        (Self::Subscribe, "subscribe"),
        (Self::Pubsub, "pubsub"),
        (Self::Deny, "deny"),
        (Self::DenyPublish, "deny_publish"),
        (Self::DenySubscribe, "deny_subscribe"),
        (Self::Hide, "hide"),
    ];
}

/// A device.
#[derive(Default)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) roles: Vec<String>,
    pub(super) disabled: bool,
    pub(super) hash: Option<String>,
    pub(super) block: Block,
}

impl Block {
    pub(super) fn is_empty(&self) -> bool {
        self.remarks.is_empty() && self.rules.is_empty()
    }
}

pub(super) fn settings(draft: &Draft) -> String {
    let mut text = format!(
        "# Imported from {} by `citronella import`. The comments cite its lines.\nversion = 1\n\n\
         [registry]\nfile = \"devices.toml\"\n\n",
        Visible(&draft.origin)
    );
    if draft.own_client_ids {
        text.push_str("# Each client was bound to the client id that is its name; this allows `NAME-…` and the like as well.\n[identity]\nclient_id = \"device\"\n\n");
    }
    text.push_str(
        "# As the source did: a subscription that is wider than the rules is accepted, and what it brings is filtered.\n\
         # Take the line out for exact answers; `citronella check --strict-subscribe` says what would be refused.\n\
         [compat]\nwide_subscribe = \"filter\"\n",
    );
    for (name, block) in &draft.roles {
        let _ = write!(text, "\n[roles.{}]\n", key(name));
        rules(&mut text, block);
    }
    if !draft.everyone.is_empty() {
        text.push_str("\n[everyone]\n");
        rules(&mut text, &draft.everyone);
    }
    if let Some(block) = &draft.anonymous {
        text.push_str("\n[anonymous]\n");
        rules(&mut text, block);
    }
    text
}

pub(super) fn devices(draft: &Draft) -> String {
    let mut text = format!(
        "# Imported from {} by `citronella import`. `citronella device …` keeps comments and order.\nversion = 1\n",
        Visible(&draft.origin)
    );
    for device in &draft.devices {
        let _ = write!(text, "\n[{}]\n", key(&device.name));
        remarks(&mut text, &device.block);
        match &*device.roles {
            [] => {}
            [role] => {
                let _ = writeln!(text, "role = {}", quoted(role));
            }
            roles => {
                let roles: Vec<String> = roles.iter().map(|role| quoted(role)).collect();
                let _ = writeln!(text, "roles = [{}]", roles.join(", "));
            }
        }
        if device.disabled {
            text.push_str("state = \"disabled\"\n");
        }
        if let Some(hash) = &device.hash {
            let _ = writeln!(text, "password = {}", quoted(hash));
        }
        lists(&mut text, block_of(device));
    }
    text
}

fn block_of(device: &Device) -> &Block {
    &device.block
}

fn rules(text: &mut String, block: &Block) {
    remarks(text, block);
    lists(text, block);
}

fn remarks(text: &mut String, block: &Block) {
    for remark in &block.remarks {
        let _ = writeln!(text, "# {}", Visible(remark));
    }
}

fn lists(text: &mut String, block: &Block) {
    for (key, word) in Key::ALL {
        let own: Vec<&Rule> = block.rules.iter().filter(|rule| rule.key == key).collect();
        if own.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{word} = [");
        for rule in own {
            let _ = writeln!(text, "    {}, # {}", quoted(&rule.template), Visible(&rule.origin));
        }
        text.push_str("]\n");
    }
}

/// Rust's escapes are not TOML's.
fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

fn key(name: &str) -> String {
    toml_edit::Key::new(name).display_repr().into_owned()
}
