//! What is said of clients, groups and names.

use super::{
    super::dynsec::{Acl, Client},
    Code, Loss, Rules,
    rules::{Asked, is_shared, shown},
};

impl Rules<'_> {
    pub(super) fn note_binding(&mut self, client: &Client, id: &str, disabled: bool) {
        let message = if disabled {
            format!(
                "`{}` may only use the client id `{id}`, which nothing here can say; it is disabled, and `citronella import --unbound` admits it with any",
                client.username
            )
        } else {
            format!("`{}` was bound to the client id `{id}` and may use any here", client.username)
        };
        let all = ["#", "$"].map(|filter| Loss {
            who: Some(client.username.clone()),
            filter: filter.into(),
            publish: true,
            receive: true,
        });
        self.note((Code::ClientId, client.line), message, if disabled { all.to_vec() } else { Vec::new() });
    }

    /// Who had a client id of its own may use a few more.
    pub(super) fn note_own_client_ids(&mut self) {
        let Some(client) = self.file.clients.first() else { return };
        let message = "each client was bound to the client id that is its name; here to that and to those that go on \
                       after it with `:`, `-`, `_`, `.` or `/`";
        self.note((Code::ClientId, client.line), message.to_owned(), Vec::new());
    }

    /// Subscriptions are allowed by an entry that says nothing of shared ones, which the plugin compares as spelled.
    pub(super) fn note_shared(&mut self) {
        let file = self.file;
        let subscribes = |acl: &&Acl| acl.allow && Asked::of(acl.kind) == Some(Asked::Subscribe);
        // In 2.0 what begins with a wildcard covers what begins with `$`.
        let covers = |acl: &Acl| is_shared(acl) || self.hides_nothing() && acl.topic.starts_with(['+', '#']);
        let entries = file.roles.iter().flat_map(|role| &role.acls);
        let first = entries.filter(subscribes).find(|acl| !covers(acl));
        if let Some(acl) = first.filter(|_| !file.defaults.subscribe) {
            let message = format!(
                "`{}` and others like it did not allow shared subscriptions (`$share/GROUP/FILTER`); here those of what \
                 they allow are allowed too",
                shown(acl)
            );
            self.note((Code::SharedSubscriptions, acl.line), message, Vec::new());
        }
    }

    /// Names that nothing bears; the plugin skips them.
    pub(super) fn note_dangling(&mut self) {
        let file = self.file;
        let role = |name: &str| file.roles.iter().any(|role| role.name == name);
        let client = |name: &str| file.clients.iter().any(|client| client.username == name);
        let roles = file
            .clients
            .iter()
            .flat_map(|client| &client.roles)
            .chain(file.groups.iter().flat_map(|group| &group.roles));
        let mut found: Vec<(u32, String)> = roles
            .filter(|named| !role(&named.name))
            .map(|named| (named.line, format!("no role is called `{}`", named.name)))
            .collect();
        let members = file.groups.iter().flat_map(|group| &group.clients);
        found.extend(
            members
                .filter(|named| !client(&named.name))
                .map(|named| (named.line, format!("no client is called `{}`", named.name))),
        );
        for (line, message) in found {
            self.note((Code::Dangling, line), message, Vec::new());
        }
    }
}
