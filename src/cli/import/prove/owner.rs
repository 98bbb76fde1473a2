//! The format's owner: how the broker is told to read the source, and who may ask it.
//!
//! Copies of the source get one more user, who may publish everything. In a copy of the JSON everybody with a password
//! gets one that is known here, for the rules alone are under proof.

use std::path::PathBuf;

use citronella::import::Person;
use serde_json::{Value, json};

use super::{
    super::super::output::Failure, Proof, Source, broker::Login, cannot, is_anonymous, questions::Questions,
};

/// What the broker starts with.
pub(super) struct Owner {
    pub(super) files: Vec<(&'static str, String)>,
    pub(super) conf: String,
    pub(super) watcher: Login,
    password: Option<&'static str>,
}

const PASSWORD: &str = "proof";
/// PBKDF2 of it with one iteration, over twelve zero bytes.
const PASSWORD_HASH: &str =
    "2w9d3WZsPOeABWErn7VEPazbdAK6ONkbal8s8F2BKAQz5wRgTD4BLRV56adoprq4IU1aeb6JP7zBoCtPueborQ==";
const PASSWORD_SALT: &str = "AAAAAAAAAAAAAAAA";

/// Where Debian's packages have it, oldest first.
const DYNSEC_PLUGIN: &str = "mosquitto_dynamic_security.so";

impl Owner {
    pub(super) fn of(proof: &Proof<'_>, questions: &Questions<'_>) -> Result<Self, Failure> {
        let mut name = "citronella-proof".to_owned();
        while proof.imported.people.iter().any(|person| person.name == name) {
            name.push('-');
        }
        let everything = || std::iter::once("#".to_owned()).chain(questions.dollars());
        match proof.source {
            Source::Acl(text) => {
                let mut text = format!("{text}\nuser {name}\n");
                text.extend(everything().map(|filter| format!("topic write {filter}\n")));
                Ok(Self {
                    files: vec![("acl", text)],
                    conf: "allow_anonymous true\nacl_file acl".into(),
                    watcher: Login::named(&name, &name),
                    password: None,
                })
            }
            Source::Dynsec(text) => {
                let plugin = match &proof.options.dynsec_plugin {
                    Some(path) => path.clone(),
                    None => installed().ok_or_else(|| {
                        cannot("has no dynamic-security plugin")
                            .help("`--dynsec-plugin PATH` says where it is")
                    })?,
                };
                let text = with_watcher(text, &name, everything())?;
                let anonymous = proof.anonymous;
                Ok(Self {
                    files: vec![("dynsec.json", text)],
                    conf: format!(
                        "allow_anonymous {anonymous}\nplugin {}\nplugin_opt_config_file dynsec.json",
                        plugin.display()
                    ),
                    watcher: Login { password: Some(PASSWORD), ..Login::named(&name, &name) },
                    password: Some(PASSWORD),
                })
            }
        }
    }

    pub(super) fn login(&self, person: &Person, client_id: &str) -> Login {
        if is_anonymous(person) {
            return Login { username: None, password: None, client_id: client_id.to_owned() };
        }
        Login { password: self.password, ..Login::named(&person.name, client_id) }
    }

    /// What to subscribe to so that every topic comes that can: an acl_file refuses no filter.
    pub(super) fn filters(&self, topics: &[String], filters: &[String]) -> Vec<String> {
        let mut all: Vec<String> = ["#", "+", "+/#"].map(str::to_owned).to_vec();
        if self.password.is_some() {
            all.extend(filters.iter().chain(topics).cloned());
        } else {
            all.extend(topics.iter().filter(|topic| topic.starts_with('$')).cloned());
            all.extend(topics.iter().step_by(7).cloned());
        }
        all.sort();
        all.dedup();
        all
    }
}

fn installed() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let places = folders.flat_map(|folder| [folder.join("mosquitto"), folder]);
    places.map(|folder| folder.join(DYNSEC_PLUGIN)).find(|path| path.exists())
}

/// The JSON with a known password for everybody who has one, and with whoever watches.
fn with_watcher(text: &str, name: &str, filters: impl Iterator<Item = String>) -> Result<String, Failure> {
    let mut tree: Value = serde_json::from_str(text)?;
    let Some(top) = tree.as_object_mut() else { return Err(cannot("was to read no object")) };
    let list = |top: &mut serde_json::Map<String, Value>, key: &str| {
        top.entry(key).or_insert_with(|| json!([])).as_array_mut().map(std::mem::take).unwrap_or_default()
    };
    let known = json!({ "password": PASSWORD_HASH, "salt": PASSWORD_SALT, "iterations": 1 });
    let give = |client: &mut serde_json::Map<String, Value>| {
        for (key, value) in known.as_object().into_iter().flatten() {
            client.insert(key.clone(), value.clone());
        }
    };
    let (mut clients, mut roles) = (list(top, "clients"), list(top, "roles"));
    for client in clients.iter_mut().filter_map(Value::as_object_mut) {
        if client.remove("encoded_password").is_some() || client.contains_key("password") {
            give(client);
        }
    }
    let acls: Vec<Value> = filters
        .map(
            |filter| json!({ "acltype": "publishClientSend", "topic": filter, "priority": 0, "allow": true }),
        )
        .collect();
    roles.push(json!({ "rolename": name, "acls": acls }));
    let mut watcher = json!({ "username": name, "roles": [{ "rolename": name, "priority": 0 }] });
    if let Some(watcher) = watcher.as_object_mut() {
        give(watcher);
    }
    clients.push(watcher);
    top.insert("clients".into(), clients.into());
    top.insert("roles".into(), roles.into());
    Ok(tree.to_string())
}
