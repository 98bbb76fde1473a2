use std::{path::PathBuf, time::Duration};

use super::*;
use crate::policy::{Actions, Effect, Limits, WideSubscribe};

fn read(text: &str) -> Config {
    let mut report = Report::new();
    let config = parse(Path::new("/etc/citronella/citronella.toml"), text, &mut report);
    let found: Vec<String> = report.iter().map(ToString::to_string).collect();
    assert_eq!(found, [""; 0]);
    config
}

#[test]
fn what_is_not_written_has_its_default() {
    let config = read("version = 1\n");
    let settings = &config.settings;
    assert_eq!(settings.registry_file, PathBuf::from("/etc/citronella/devices.toml"));
    assert_eq!(settings.password_file, None);
    assert_eq!(settings.certificate, [IdentitySource::CommonName]);
    assert_eq!(settings.client_ids, ClientIds::Protect);
    assert_eq!(settings.default_certificates, DefaultCertificates::None);
    assert_eq!(settings.wide_subscribe, WideSubscribe::Strict);
    assert!(!settings.identity_options);
    assert_eq!(settings.audit, Audit { to: AuditTo::File, max_bytes: 16 * 1024 * 1024 });
    let (sys, file) = (Some(Duration::from_secs(10)), Some(Duration::from_secs(30)));
    assert_eq!(settings.metrics, Metrics { sys_interval: sys, file_interval: file });
    assert!(config.everyone.is_none() && config.anonymous.is_none());
}

#[test]
fn every_setting_is_read() {
    let config = read(
        r#"version = 1
[registry]
file = "more/d.toml"
[auth]
password_file = "/etc/mosquitto/passwd"
[identity]
certificate = ["san-dns", { san-uri = "urn:dev:" }, "cn"]
client_id = "device"
default_certificates = "any"
[compat]
wide_subscribe = "filter"
identity_options = true
[audit]
to = "log"
max_bytes = 0
[metrics]
sys_interval = 0
file_interval = 5
[anonymous]
"#,
    );
    let settings = &config.settings;
    assert_eq!(settings.registry_file, PathBuf::from("/etc/citronella/more/d.toml"));
    assert_eq!(settings.password_file.as_deref(), Some(Path::new("/etc/mosquitto/passwd")));
    assert_eq!(
        settings.certificate,
        [
            IdentitySource::SanDns,
            IdentitySource::SanUri { prefix: "urn:dev:".into() },
            IdentitySource::CommonName
        ]
    );
    assert_eq!(settings.client_ids, ClientIds::Device);
    assert_eq!(settings.default_certificates, DefaultCertificates::Any);
    assert_eq!(settings.wide_subscribe, WideSubscribe::Filter);
    assert!(settings.identity_options);
    assert_eq!(settings.audit, Audit { to: AuditTo::Log, max_bytes: 0 });
    let file = Some(Duration::from_secs(5));
    assert_eq!(settings.metrics, Metrics { sys_interval: None, file_interval: file });
    assert!(config.anonymous.unwrap().rules.is_empty());
}

#[test]
fn each_key_of_a_block_is_the_rule_it_says_in_the_order_of_the_file() {
    let config = read(
        "version = 1\n[everyone]\nhide = \"h\"\ndeny_subscribe = \"ds\"\ndeny_publish = \"dp\"\ndeny = [\"d\", \"d2\"]\npubsub = \"ps\"\nsubscribe = \"s\"\npublish = \"p\"\nretain = false\nmax_qos = 1\nmax_payload = 0x10\n",
    );
    let everyone = config.everyone.unwrap();
    let delivered = Actions::SUBSCRIBE.and(Actions::RECEIVE);
    let all = delivered.and(Actions::PUBLISH);
    let rules: Vec<_> = everyone
        .rules
        .iter()
        .map(|rule| (rule.effect, rule.actions, rule.template.as_str(), rule.place.line))
        .collect();
    assert_eq!(
        rules,
        [
            (Effect::Deny, Actions::RECEIVE, "h", 3),
            (Effect::Deny, delivered, "ds", 4),
            (Effect::Deny, Actions::PUBLISH, "dp", 5),
            (Effect::Deny, all, "d", 6),
            (Effect::Deny, all, "d2", 6),
            (Effect::Allow, all, "ps", 7),
            (Effect::Allow, delivered, "s", 8),
            (Effect::Allow, Actions::PUBLISH, "p", 9),
        ]
    );
    assert_eq!(everyone.limits, Limits { max_qos: Some(1), no_retain: true, max_payload: Some(16) });
}

#[test]
fn inclusions_are_followed_to_the_end_and_counted_once() {
    let roles = read(
        "version = 1\n[roles.a]\ninclude = [\"b\", \"c\"]\n[roles.b]\ninclude = \"d\"\n[roles.c]\ninclude = \"d\"\n[roles.d]\n[roles.e]\n",
    )
    .roles;
    let of = |names: &[&str]| -> String {
        let ids: Vec<RoleId> = names.iter().map(|name| roles.find(name).unwrap()).collect();
        roles.expand(&ids).iter().map(|id| roles.name(*id)).collect()
    };
    assert_eq!(of(&["a"]), "abcd");
    assert_eq!(of(&["d", "b"]), "bd");
    assert_eq!(of(&["e", "e"]), "e");
    assert_eq!(of(&[]), "");
    assert_eq!(roles.find("f"), None);
}

#[test]
fn a_mistake_at_the_end_of_the_file_points_at_its_last_character() {
    for text in ["version = 1\na = [1, 2 # é", "version = 1\na = [1 # é\n\n", "version = 1\n\"é\""] {
        let mut report = Report::new();
        parse(Path::new("citronella.toml"), text, &mut report);
        let (source, span) = report.iter().next().and_then(|found| found.place.clone()).unwrap();
        let cited = source.text().get(span);
        assert!(cited.is_some_and(|cited| "é\"".contains(cited)), "{text:?}: {cited:?}");
    }
}
