use super::{super::tests::Folder, *};

const SETTINGS: &str = "version = 1
[roles.sensor]
publish = ['a/#', 'b']
deny = ['a/x']
[roles.quarantine]
publish = ['q']
";

/// What device `d` loses when both files change so.
fn loss((settings, devices): (&str, &str), (new_settings, new_devices): (&str, &str)) -> Loss {
    let load = |settings, devices: &str| {
        let loaded = Folder::new(settings, &format!("version = 1\n[d]\n{devices}")).load();
        loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.report))
    };
    let (old, new) = (load(settings, devices), load(new_settings, new_devices));
    let found = old.losses(&new).find(|(name, _)| *name == "d").map(|(_, loss)| loss);
    for snapshot in [&old, &new] {
        let own = snapshot.indexes("d").and_then(|(_, own)| own);
        assert!(own.is_none_or(Index::is_packed), "the blocks of a whole registry would stay in memory");
    }
    found.unwrap_or_default()
}

fn of_rules(old: &str, new: &str) -> bool {
    let loss = loss((SETTINGS, old), (SETTINGS, new));
    assert!(!loss.device && !loss.credentials, "{old} {new}");
    loss.rights
}

#[test]
fn rights_shrink_where_something_allowed_is_missing_or_something_new_is_denied() {
    for (old, new, shrinks) in [
        ("role = 'sensor'", "role = 'sensor'", false),
        ("role = 'sensor'", "role = 'sensor'\npublish = ['c']", false),
        ("role = 'sensor'", "", true),
        ("role = 'sensor'", "publish = ['a/#', 'b']\ndeny = ['a/x']", false),
        ("role = 'sensor'", "publish = ['b', 'a/#']", false),
        ("role = 'sensor'", "publish = ['a/#']\ndeny = ['a/x']", true),
        ("role = 'sensor'", "role = 'sensor'\ndeny = ['c']", true),
        ("role = 'sensor'", "role = 'sensor'\nhide = ['a/x']", false),
        ("publish = ['a']", "pubsub = ['a']", false),
        ("pubsub = ['a']", "publish = ['a']", true),
        ("pubsub = ['a']", "publish = ['a']\nsubscribe = ['a']", true),
        ("publish = ['a']", "publish = ['a']\nmax_qos = 1", true),
        ("publish = ['a']\nmax_qos = 1", "publish = ['a']\nmax_qos = 2", false),
        ("publish = ['a']\nretain = false", "publish = ['a']", false),
        ("publish = ['a']", "publish = ['a']\nretain = false", true),
        ("publish = ['a']\nmax_payload = 9", "publish = ['a']\nmax_payload = 8", true),
        ("role = 'sensor'", "role = 'sensor'\nstate = 'quarantined'", true),
        ("role = 'sensor'\nstate = 'quarantined'", "role = 'sensor'", true),
        ("state = 'quarantined'", "publish = ['q', 'r']", false),
        ("publish = ['a']\nattr = { x = 'y' }", "publish = ['a']\nattr = { x = 'z' }", false),
        ("publish = ['{attr.x}']\nattr = { x = 'y' }", "publish = ['{attr.x}']\nattr = { x = 'z' }", true),
    ] {
        assert_eq!(of_rules(old, new), shrinks, "{old} -> {new}");
    }
}

#[test]
fn settings_that_tell_clients_apart_otherwise_are_asked_about_anew() {
    for (old, new, asks) in [
        ("", "[identity]\ncertificate = ['san-dns']\n", true),
        ("[identity]\nclient_id = 'any'\n", "", true),
        ("", "[identity]\nclient_id = 'any'\n", false),
        ("[compat]\nwide_subscribe = 'filter'\n", "", true),
        ("", "[compat]\nwide_subscribe = 'filter'\n", false),
    ] {
        let settings = |more: &str| format!("{SETTINGS}{more}");
        assert_eq!(loss((&settings(old), ""), (&settings(new), "")).rights, asks, "{old} -> {new}");
    }
}

#[test]
fn credentials_are_lost_one_by_one() {
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    let listed = |fingerprints: &[&str]| {
        let each = fingerprints.iter().map(|fingerprint| format!("{{ sha256 = '{fingerprint}' }}"));
        format!("certificates = [{}]", each.collect::<Vec<_>>().join(", "))
    };
    let until = format!("certificates = [{{ sha256 = '{one}', not_after = 2020-01-01T00:00:00Z }}]");
    let any = "certificates = 'any'".to_owned();
    let revoked = format!("{any}\nrevoked = ['{one}']");
    let hash = |salt: &str| {
        format!(
            "password = '$7$101${salt}$kDzGFRSDnWyULeglXLLuEZ3c2kZWCgeS9RSv2Ru0CSqrwHDLMPtYXLwcEzJVQmuRY9bwm2aT4rmuKKTFW8qR4Q=='"
        )
    };
    for (old, new, loses) in [
        (listed(&[&one]), listed(&[&one, &two]), false),
        (listed(&[&one, &two]), listed(&[&two]), true),
        (listed(&[&one]), any.clone(), false),
        (any.clone(), listed(&[&one]), true),
        (any.clone(), revoked.clone(), true),
        (revoked, any.clone(), false),
        (listed(&[&one]), until.clone(), true),
        (hash("c2FsdA=="), hash("c2FsdA=="), false),
        (hash("c2FsdA=="), hash("c2FsdHNhbHQ="), true),
        (hash("c2FsdA=="), String::new(), true),
        (String::new(), hash("c2FsdA=="), false),
        (any.clone(), format!("{any}\nauth = 'both'\n{}", hash("c2FsdA==")), true),
    ] {
        let loss = loss((SETTINGS, &old), (SETTINGS, &new));
        assert_eq!((loss.credentials, loss.device, loss.rights), (loses, false, false), "{old} -> {new}");
    }
    for state in ["disabled", "retired"] {
        assert!(loss((SETTINGS, ""), (SETTINGS, &format!("state = '{state}'"))).device);
        assert_eq!(loss((SETTINGS, &format!("state = '{state}'")), (SETTINGS, "")), Loss::default());
    }
}

#[test]
fn more_than_half_is_suspicious() {
    let removed = |devices, hashes| Removed { devices, hashes }.is_suspicious();
    assert!(!removed((0, 0), (0, 0)));
    assert!(!removed((1, 2), (0, 0)));
    assert!(removed((2, 3), (0, 0)) && removed((1, 1), (0, 0)));
    assert!(removed((0, 4), (3, 4)) && !removed((0, 4), (2, 4)));
}
