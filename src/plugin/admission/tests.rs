use std::net::Ipv4Addr;

use super::*;
use crate::plugin::{Level, Peer, PluginOption, Session, reauth::Ticks};

/// A broker of 2.0, which cannot be asked whose a session is.
struct Old;

impl Host for Old {
    fn may_refuse_offline_sessions(&self) -> bool {
        false
    }
    fn ticks_with_per_listener_settings(&self) -> bool {
        true
    }
    fn on_main_thread(&self) -> bool {
        true
    }
    fn write(&self, _: Level, _: &str) {}
    fn kick(&self, _: &str) {}
    fn publish(&self, _: &str, _: &str) {}
}

struct Client;

impl Newcomer for Client {
    fn rename(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
    fn take_id(&self, _: &str) -> Result<(), String> {
        Err("not in 2.0".to_owned())
    }
}

#[test]
fn whoever_comes_without_a_name_earns_nothing_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("citronella.toml");
    let settings = "version = 1\n[state]\ndirectory = '.'\n[anonymous]\npublish = ['open']\n";
    std::fs::write(&config, settings).unwrap();
    std::fs::write(folder.path().join("devices.toml"), "version = 1\n[d]\n").unwrap();
    let option = PluginOption { key: "config".to_owned(), value: config.display().to_string().into_bytes() };
    let plugin = Plugin::start(&[option], &Old).unwrap();
    let peer = Peer::Address(Ipv4Addr::LOCALHOST.into());
    let event = BasicAuth {
        client_id: "c",
        username: None,
        password: None,
        peer,
        certificate: Presented::None,
        session: Session::Undecided,
        websocket: false,
        mqtt5: true,
        session_of: None,
    };
    assert_eq!(plugin.basic_auth(&Old, &event, &Client), AuthReply::Admit);
    let Admission { budget, owners, .. } = &plugin.admission;
    assert!(!budget.knows(peer), "that is for who brought a right password");
    assert_eq!(owners.owner("c"), None, "many of them would push out the owners of sessions");
}

#[test]
fn with_per_listener_settings_no_tick_of_2_0_is_taken_for_granted() {
    assert!(Old.ticks_with_per_listener_settings(), "by its exports it could be 2.0.15 or later");
    assert_eq!(Ticks::with_per_listener_settings(&Old), Ticks::Perhaps);
}
