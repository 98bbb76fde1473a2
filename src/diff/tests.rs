use super::*;
use crate::snapshot::Permissions;

/// A configuration of these settings and this registry.
fn snapshot(settings: &str, devices: &str) -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("citronella.toml");
    std::fs::write(&config, format!("version = 1\n{settings}")).unwrap();
    std::fs::write(folder.path().join("devices.toml"), format!("version = 1\n{devices}")).unwrap();
    let loaded = Snapshot::load(&config, Permissions::Ignore);
    loaded
        .snapshot
        .unwrap_or_else(|| panic!("{:?}", loaded.report.iter().map(ToString::to_string).collect::<Vec<_>>()))
}

/// `devices: [client id:] sign action filter [except filters]`, in the order of the report.
fn told(old: (&str, &str), new: (&str, &str)) -> Vec<String> {
    let diff = compare(&snapshot(old.0, old.1), &snapshot(new.0, new.1));
    let line = |group: &Group, id: &ClientId, change: &Change| {
        let sign = match change.kind {
            Kind::Gained { .. } => "+",
            Kind::Lost => "-",
            Kind::Limits { .. } => "~",
        };
        let id = match id {
            ClientId::Other => String::new(),
            id => format!(" {id:?}"),
        };
        let except =
            if change.except.is_empty() { String::new() } else { format!(" except {:?}", change.except) };
        format!("{}{id}: {sign} {} {}{except}", group.devices.join(" "), change.action, change.filter)
    };
    let lines = |group: &Group| -> Vec<String> {
        let all =
            group.changes.iter().flat_map(|(id, changes)| changes.iter().map(move |change| (id, change)));
        all.map(|(id, change)| line(group, id, change)).collect()
    };
    diff.rights.iter().flat_map(lines).collect()
}

const FLEET: &str = "[a]\nrole = 'r'\ncertificates = 'any'\n[b]\nrole = 'r'\ncertificates = 'any'\n[x]\nrole = 'r'\ncertificates = 'any'\n";

#[test]
fn devices_that_share_a_role_are_one_entry_unless_their_names_are_spelled() {
    let old = "[roles.r]\npublish = ['s/{device}/#']";
    let new = "[roles.r]\npublish = ['s/{device}/+', 't/{device}']";
    assert_eq!(
        told((old, FLEET), (new, FLEET)),
        ["a b x: - publish s/{device}", "a b x: - publish s/{device}/+/+/#", "a b x: + publish t/{device}"]
    );
    let new = "[roles.r]\npublish = ['s/{device}/#', 's/x/#', 's/y']";
    assert_eq!(
        told((old, FLEET), (new, FLEET)),
        ["a b: + publish s/x/#", "a b: + publish s/y", "x: + publish s/y"]
    );
}

#[test]
fn other_words_for_the_same_are_no_difference() {
    let old = "[roles.r]\npublish = ['a/#', 'b']\n[everyone]\nsubscribe = ['c']";
    let new =
        "[roles.r]\ninclude = ['q']\npublish = ['b', 'a', 'a/+/#', 'a/x']\n[roles.q]\nsubscribe = ['c']";
    assert!(compare(&snapshot(old, FLEET), &snapshot(new, FLEET)).is_empty());
}

#[test]
fn a_value_that_changes_is_told_as_text() {
    let settings = "[roles.r]\npublish = ['site/{attr.site}/#']";
    let at = |site| format!("[a]\nrole = 'r'\nattr = {{ site = '{site}' }}\n");
    assert_eq!(
        told((settings, &at("rome")), (settings, &at("milan"))),
        ["a: - publish site/rome/#", "a: + publish site/milan/#"]
    );
}

#[test]
fn client_ids_that_rules_spell_are_told_apart() {
    let old = "[roles.r]\npublish = ['z']";
    let new = "[roles.r]\npublish = ['z', 'c/{clientid}']\ndeny_publish = ['c/boss']";
    let device = "[a]\nrole = 'r'\n";
    assert_eq!(told((old, device), (new, device)), ["a: + publish c/{clientid}"]);
    let old = "[roles.r]\npublish = ['c/{clientid}']\ndeny_publish = ['c/boss']";
    let new = "[roles.r]\npublish = ['c/{clientid}']";
    assert_eq!(told((old, device), (new, device)), ["a Text(\"boss\"): + publish c/boss"]);
}

#[test]
fn what_happens_to_sessions_is_told_by_device() {
    let fingerprint = "a".repeat(64);
    let old = format!(
        "[gone]\ncertificates = 'any'\n[off]\ncertificates = 'any'\n[bare]\ncertificates = 'any'\n[less]\n\
         certificates = 'any'\nsubscribe = ['a']\n[cut]\ncertificates = [{{ sha256 = '{fingerprint}' }}]\n\
         [never]\n[same]\ncertificates = 'any'\n"
    );
    let new = format!(
        "[off]\ncertificates = 'any'\nstate = 'disabled'\n[bare]\n[less]\ncertificates = 'any'\n[cut]\n\
         certificates = [{{ sha256 = '{fingerprint}' }}, {{ sha256 = '{}' }}]\nrevoked = ['{fingerprint}']\n\
         [same]\ncertificates = 'any'\n[more]\ncertificates = 'any'\n",
        "b".repeat(64)
    );
    let diff = compare(&snapshot("", &old), &snapshot("", &new));
    let effects: Vec<(Effect, Vec<&str>)> = diff
        .effects
        .iter()
        .map(|(effect, names)| (*effect, names.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(
        effects,
        [
            (Effect::LockedOut, vec!["bare", "gone", "off"]),
            (Effect::Kicked, vec!["cut"]),
            (Effect::Subscriptions, vec!["less"])
        ]
    );
    let about = |name: &str| {
        let found = diff.devices.iter().find(|(_, names)| names.iter().any(|known| known == name));
        found.map(|(about, _)| about.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    assert_eq!(about("cut").as_deref(), Some("1 certificate more accepted, 1 certificate revoked"));
    assert_eq!(about("off").as_deref(), Some("state: disabled (was active)"));
    assert_eq!(about("more").as_deref(), Some("added"));
    assert_eq!(about("same"), None);
}

#[test]
fn anonymous_clients_and_settings_are_compared() {
    let old = "[anonymous]\npublish = ['a']";
    let new = "[identity]\nclient_id = 'any'\ncertificate = ['cn', { san-uri = 'urn:' }]";
    assert_eq!(told((old, ""), (new, "")), ["~anonymous: - publish a"]);
    let diff = compare(&snapshot(old, ""), &snapshot(new, ""));
    let settings: Vec<String> = diff.settings.iter().map(ToString::to_string).collect();
    assert_eq!(
        settings,
        [
            "identity.certificate: \"cn\", { san-uri = \"urn:\" } (was \"cn\")",
            "identity.client_id: any (was protect)",
            "anonymous clients: refused (was admitted)"
        ]
    );
}

#[test]
fn limits_are_compared_by_the_messages_they_let_through() {
    let old = "[roles.r]\npublish = ['a/#']\nmax_qos = 1";
    let new = "[roles.r]\npublish = ['a/#']\nmax_qos = 1\n[everyone]\npublish = ['a/b']\nmax_payload = 10\nmax_qos = 0";
    let device = "[a]\nrole = 'r'\n";
    assert!(compare(&snapshot(old, device), &snapshot(new, device)).is_empty());
    let new = "[roles.r]\npublish = ['a/#']\nmax_qos = 1\n[everyone]\npublish = ['a/b']\nmax_payload = 10";
    assert_eq!(told((old, device), (new, device)), ["a: ~ publish a/b"]);
}
