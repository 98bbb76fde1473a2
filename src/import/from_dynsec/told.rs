//! What is said of clients, groups and names.

use super::{super::dynsec::Client, Code, Loss, Rules};

impl Rules<'_> {
    pub(super) fn note_binding(&mut self, client: &Client, id: &str, disabled: bool) {
        let message = if disabled {
            format!(
                "`{}` may only use the client id `{id}`, which nothing here can say; it is disabled, and `--unbound` admits it with any",
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
