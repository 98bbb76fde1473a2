//! Entries of roles to rules.

use super::{
    super::{
        dynsec::{Acl, AclType, Dynsec},
        filters::{self, Kind, Trouble, translate},
        from_acl::describe,
    },
    Block, Code, For, Key, Loss, Meaning, Note, Order, Rule,
};
use crate::{policy::Effect, topic::SHARE};

pub(super) struct Rules<'f> {
    pub(super) file: &'f Dynsec,
    pub(super) name: &'f str,
    pub(super) meaning: Meaning,
    pub(super) order: &'f Order,
    pub(super) notes: Vec<Note>,
}

/// Entries that are asked for one thing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asked {
    Send,
    Receive,
    Subscribe,
}

impl Asked {
    const ALL: [Self; 3] = [Self::Send, Self::Receive, Self::Subscribe];

    pub(super) fn of(kind: AclType) -> Option<Self> {
        match kind {
            AclType::Send => Some(Self::Send),
            AclType::Receive => Some(Self::Receive),
            AclType::SubscribeLiteral | AclType::SubscribePattern => Some(Self::Subscribe),
            AclType::UnsubscribeLiteral | AclType::UnsubscribePattern => None,
        }
    }
}

impl<'f> Rules<'f> {
    pub(super) fn note(&mut self, (code, line): (Code, u32), message: String, losses: Vec<Loss>) {
        let note = Note { code, file: self.name.to_owned(), line, message, losses };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether this is allowed where no entry says anything.
    fn default_of(&self, asked: Asked) -> bool {
        let defaults = self.file.defaults;
        match asked {
            Asked::Send => defaults.publish_client_send,
            Asked::Receive => defaults.publish_client_receive,
            Asked::Subscribe => defaults.subscribe,
        }
    }

    /// Whether something may match both.
    fn meets(&self, one: &Acl, other: &Acl) -> bool {
        let (mut first, mut second) = (&*one.topic, &*other.topic);
        if self.hides_nothing() && Asked::of(one.kind) == Some(Asked::Subscribe) {
            first = first.trim_start_matches('$');
            second = second.trim_start_matches('$');
        }
        filters::meets(first, second)
    }

    /// Whether a pattern that begins with a wildcard may cover what begins with `$`, as it does in 2.0.
    pub(super) fn hides_nothing(&self) -> bool {
        self.meaning != Meaning::V2_1
    }

    /// The entries that are asked for somebody with these roles, in order, each with its role.
    fn entries(&self, order: &[usize], asked: Asked) -> Vec<(usize, &'f Acl)> {
        let file: &'f Dynsec = self.file;
        let mut found = Vec::new();
        for role in order {
            let Some(acls) = file.roles.get(*role).map(|role| &role.acls) else { continue };
            let own = acls.iter().filter(|acl| Asked::of(acl.kind) == Some(asked));
            let (literal, others): (Vec<&Acl>, Vec<&Acl>) =
                own.partition(|acl| acl.kind == AclType::SubscribeLiteral);
            found.extend(literal.into_iter().chain(others).map(|acl| (*role, acl)));
        }
        found
    }

    /// Whether the denial takes something away from anybody who has the role.
    fn is_needed(&self, role: usize, deny: &Acl, asked: Asked) -> bool {
        self.order.all.iter().filter(|order| order.contains(&role)).any(|order| {
            let entries = self.entries(order, asked);
            let mut later = entries.iter().skip_while(|(_, acl)| *acl != deny).skip(1);
            self.default_of(asked)
                || later.any(|(_, acl)| acl.allow && self.meets(acl, deny) && !is_only_spelled(deny, acl))
        })
    }

    /// A denied filter with wildcards is kept only where what else is allowed cannot go round it.
    fn is_wild_literal(&self, role: usize, deny: &Acl) -> bool {
        let wild = deny.kind == AclType::SubscribeLiteral && deny.topic.contains(['+', '#']);
        wild && !self.order.all.iter().filter(|order| order.contains(&role)).any(|order| {
            let entries = self.entries(order, Asked::Subscribe);
            entries
                .iter()
                .skip_while(|(_, acl)| *acl != deny)
                .skip(1)
                .any(|(_, acl)| acl.allow && self.meets(acl, deny) && !is_only_spelled(deny, acl))
        })
    }

    /// The rules of a role, as they are for this subject.
    pub(super) fn role(&mut self, index: usize, subject: For<'_>) -> Block {
        let mut block = Block::default();
        let Some(role) = self.file.roles.get(index) else { return block };
        for acl in &role.acls {
            let origin = format!("{}:{}: {}", self.name, acl.line, shown(acl));
            let before = block.rules.len();
            match Asked::of(acl.kind) {
                None => self.unsubscribe(acl),
                Some(asked) if !acl.allow => self.denial((index, acl), asked, (&mut block, subject)),
                Some(Asked::Send) => self.add(&mut block, (acl, subject), (Key::Publish, &acl.topic)),
                Some(Asked::Receive) => self.received((index, acl), (&mut block, subject)),
                Some(Asked::Subscribe) => self.subscribed((index, acl), (&mut block, subject)),
            }
            if block.rules.len() == before {
                block.remarks.push(format!("{origin}: left out"));
            }
        }
        block
    }

    fn add(&mut self, block: &mut Block, (acl, subject): (&Acl, For<'_>), (key, filter): (Key, &str)) {
        let effect = if acl.allow { Effect::Allow } else { Effect::Deny };
        let kind = if acl.kind == AclType::SubscribeLiteral { Kind::Plain } else { Kind::Dynsec };
        let (templates, trouble) = translate(filter, effect, (kind, self.meaning), subject);
        if let Some(trouble) = trouble {
            let (code, what) = describe(trouble, effect);
            let losses = if trouble == Trouble::Unusable { Vec::new() } else { vec![loss(acl, None)] };
            self.note((code, acl.line), format!("`{}` {what}", shown(acl)), losses);
        }
        let origin = format!("{}:{}: {}", self.name, acl.line, shown(acl));
        block.rules.extend(templates.into_iter().map(|template| Rule {
            key,
            template,
            origin: origin.clone(),
        }));
    }

    fn unsubscribe(&mut self, acl: &Acl) {
        if !acl.allow {
            let message = format!("`{}` is left out: here a subscription may always be given up", shown(acl));
            self.note((Code::Unsubscribe, acl.line), message, Vec::new());
        }
    }

    fn denial(&mut self, (role, acl): (usize, &Acl), asked: Asked, (block, subject): (&mut Block, For<'_>)) {
        if asked == Asked::Subscribe && is_shared(acl) {
            let message = format!(
                "`{}` is left out: here a shared subscription is allowed where its filter is, which no rule can refuse",
                shown(acl)
            );
            return self.note((Code::SharedSubscriptions, acl.line), message, Vec::new());
        }
        if self.is_wild_literal(role, acl) {
            let message = format!(
                "`{}` is left out: it denied this spelling of the filter, and others brought the same",
                shown(acl)
            );
            return self.note((Code::LiteralWildcard, acl.line), message, Vec::new());
        }
        if !self.is_needed(role, acl, asked) {
            let message =
                format!("`{}` is left out: nothing after it allows anything that it denies", shown(acl));
            return self.note((Code::NoEffect, acl.line), message, Vec::new());
        }
        if asked == Asked::Subscribe {
            let message = format!(
                "`{}` denied subscriptions inside it, not what wider ones brought; here it denies both",
                shown(acl)
            );
            self.note((Code::DeniedSubscription, acl.line), message, vec![loss(acl, None)]);
        }
        let key = match asked {
            Asked::Send => Key::DenyPublish,
            Asked::Receive => Key::Hide,
            Asked::Subscribe => Key::DenySubscribe,
        };
        self.add(block, (acl, subject), (key, &acl.topic));
        if asked == Asked::Subscribe && self.hides_nothing() && acl.topic.starts_with(['+', '#']) {
            // 2.0 denies what begins with `$` too; a rule here that begins with a wildcard does not.
            let file: &'f Dynsec = self.file;
            let allows = file.roles.iter().flat_map(|role| &role.acls);
            for allow in allows.filter(|other| other.allow && Asked::of(other.kind) == Some(asked)) {
                if allow.topic.starts_with('$') && self.meets(allow, acl) {
                    self.add(block, (acl, subject), (key, &allow.topic));
                }
            }
        }
    }

    /// An allowed delivery is a rule of its own only where it is the subscriptions that are open by default.
    fn received(&mut self, (role, acl): (usize, &Acl), (block, subject): (&mut Block, For<'_>)) {
        if self.default_of(Asked::Subscribe)
            && !self.default_of(Asked::Receive)
            && !self.is_refused(role, acl)
        {
            self.add(block, (acl, subject), (Key::Subscribe, &acl.topic));
        }
    }

    fn subscribed(&mut self, (role, acl): (usize, &Acl), (block, subject): (&mut Block, For<'_>)) {
        if is_shared(acl) {
            let message = format!(
                "`{}` is left out: allow its filter instead, without `$share` and the group, and both are allowed",
                shown(acl)
            );
            return self.note((Code::SharedSubscriptions, acl.line), message, vec![loss(acl, None)]);
        }
        if self.is_refused(role, acl) {
            return;
        }
        let pattern = acl.kind == AclType::SubscribePattern;
        if pattern && self.hides_nothing() && acl.topic.starts_with(['+', '#']) {
            let message =
                format!("`{}` covered topics that begin with `$` too in 2.0, here it does not", shown(acl));
            let dollar = Loss { who: None, filter: "$".into(), publish: false, receive: true };
            self.note((Code::DollarTopics, acl.line), message, vec![dollar]);
        }
        if self.default_of(Asked::Receive) {
            return self.add(block, (acl, subject), (Key::Subscribe, &acl.topic));
        }
        // What is subscribed to is delivered only where an entry allows that as well.
        let file: &'f Dynsec = self.file;
        let companions = self.order.companions(role);
        let roles = companions.iter().filter_map(|role| file.roles.get(*role));
        let receive: Vec<&Acl> = roles
            .flat_map(|role| &role.acls)
            .filter(|acl| acl.kind == AclType::Receive && acl.allow)
            .collect();
        let mut both: Vec<String> =
            receive.iter().filter_map(|other| filters::intersection(&acl.topic, &other.topic)).collect();
        both.sort();
        both.dedup();
        if both != [acl.topic.clone()] {
            let message = format!(
                "`{}` is cut down to what `publishClientReceive` of roles that come with it delivers",
                shown(acl)
            );
            self.note((Code::NeverDelivered, acl.line), message, vec![loss(acl, None)]);
        }
        for filter in both {
            self.add(block, (acl, subject), (Key::Subscribe, &filter));
        }
    }

    /// Whether the entry is left out because a role refuses filters with wildcards; says so.
    fn is_refused(&mut self, role: usize, acl: &Acl) -> bool {
        let refused = acl.topic.contains(['+', '#']) && self.refuses_wildcards(role);
        if refused {
            let message = format!(
                "`{}` is left out: its role, or one that goes before it, refuses filters with wildcards, which no rule here can; write out the topics, or allow the filter",
                shown(acl)
            );
            self.note((Code::WildcardSubscriptions, acl.line), message, vec![loss(acl, None)]);
        }
        refused
    }

    /// Whether somebody with this role is refused filters with wildcards before its entries are asked, or by it.
    fn refuses_wildcards(&self, role: usize) -> bool {
        self.order.all.iter().any(|order| {
            let before = order.iter().take_while(|other| **other != role).chain([&role]);
            order.contains(&role) && self.refuse_wildcards(before)
        })
    }

    fn refuse_wildcards<'r>(&self, mut roles: impl Iterator<Item = &'r usize>) -> bool {
        roles.any(|role| self.file.roles.get(*role).is_some_and(|role| !role.wildcards))
    }

    /// `[everyone]`: what is allowed where no entry says anything.
    pub(super) fn defaults(&mut self) -> Block {
        let mut block = Block::default();
        let (defaults, line) = (self.file.defaults, self.file.defaults_line);
        let all = [
            (defaults.publish_client_send, Key::Publish, "publishClientSend", (true, false)),
            (
                defaults.subscribe && defaults.publish_client_receive,
                Key::Subscribe,
                "subscribe",
                (false, true),
            ),
        ];
        for (open, key, word, (publish, receive)) in all {
            if !open {
                continue;
            }
            let refused = self.order.all.iter().any(|order| self.refuse_wildcards(order.iter()));
            if receive && refused {
                let message = format!(
                    "`defaultACLAccess` of `{word}` is left out: a role refuses filters with wildcards, which no rule here can"
                );
                let lost =
                    ["#", "$"].map(|filter| Loss { who: None, filter: filter.into(), publish, receive });
                self.note((Code::WildcardSubscriptions, line), message, lost.to_vec());
                continue;
            }
            let origin = format!("{}:{line}: defaultACLAccess {word}", self.name);
            block.rules.push(Rule { key, template: "#".into(), origin });
            let message = format!(
                "`defaultACLAccess` allows `{word}` of everything; here of all topics that do not begin with `$`"
            );
            let loss = Loss { who: None, filter: "$".into(), publish, receive };
            self.note((Code::DefaultAccess, line), message, vec![loss]);
        }
        if !defaults.unsubscribe && line > 0 {
            let message = "here a subscription may always be given up".to_owned();
            self.note((Code::Unsubscribe, line), message, Vec::new());
        }
        block
    }

    /// What was allowed before it was denied, for anybody.
    pub(super) fn note_order(&mut self) {
        for order in &self.order.all {
            for asked in Asked::ALL {
                let entries = self.entries(order, asked);
                for (at, (_, allow)) in entries.iter().enumerate().filter(|(_, (_, acl))| acl.allow) {
                    for (role, deny) in entries.iter().skip(at + 1).filter(|(_, acl)| !acl.allow) {
                        let kept = self.is_needed(*role, deny, asked) && !self.is_wild_literal(*role, deny);
                        if kept && self.meets(allow, deny) {
                            let message = format!(
                                "`{}` went before `{}` of line {}; here the denial wins where both match",
                                shown(allow),
                                shown(deny),
                                deny.line
                            );
                            self.note(
                                (Code::Priority, allow.line),
                                message,
                                vec![loss(allow, None), loss(deny, None)],
                            );
                        }
                    }
                }
            }
        }
    }

    /// The rules of `anonymousGroup`.
    pub(super) fn anonymous(&mut self, admitted: bool) -> Option<Block> {
        let (group, line) = self.file.anonymous_group.as_ref()?;
        if !admitted {
            let message = format!(
                "clients without a user name had the rights of the group `{group}`; they are not admitted, `citronella import --anonymous` admits them"
            );
            self.note((Code::Anonymous, *line), message, Vec::new());
            return None;
        }
        let mut block = Block::default();
        let roles = self.order.anonymous.clone().unwrap_or_default();
        for role in roles {
            block.rules.extend(self.role(role, For::Nobody).rules);
        }
        let defaults = self.defaults();
        block.rules.extend(defaults.rules);
        Some(block)
    }
}

/// Whether it is about `$share/GROUP/FILTER`, which the plugin compares as it is spelled.
pub(super) fn is_shared(acl: &Acl) -> bool {
    acl.topic.split('/').next() == Some(SHARE)
}

/// Whether the allow brings all that the denied filter would have brought, by another spelling.
fn is_only_spelled(deny: &Acl, allow: &Acl) -> bool {
    let wild = deny.kind == AclType::SubscribeLiteral && deny.topic.contains(['+', '#']);
    wild && allow.kind == AclType::SubscribePattern
        && (allow.topic != deny.topic || allow.topic.ends_with('#'))
        || (wild && allow.kind == AclType::SubscribeLiteral && allow.topic != deny.topic)
}

fn loss(acl: &Acl, who: Option<&str>) -> Loss {
    Loss {
        who: who.map(str::to_owned),
        filter: filters::widened(&acl.topic),
        publish: acl.kind == AclType::Send,
        receive: acl.kind != AclType::Send,
    }
}

pub(super) fn shown(acl: &Acl) -> String {
    format!("{} {} {}", if acl.allow { "allow" } else { "deny" }, acl.kind.word(), acl.topic)
}
