use std::path::Path;

use super::*;
use crate::{config, diag::Report};

fn devices(text: &str) -> Registry {
    let mut report = Report::new();
    let roles = "version = 1\n[roles.sensor]\n[roles.gateway]\n";
    let config = config::parse(Path::new("citronella.toml"), roles, &mut report);
    let registry = read::parse(Path::new("devices.toml"), text, &config, &mut report);
    let found: Vec<String> = report.iter().map(ToString::to_string).collect();
    assert_eq!(found, [""; 0]);
    registry
}

#[test]
fn a_device_is_what_its_table_says() {
    let (one, two) = ("5f".repeat(32), "91".repeat(32));
    let registry = devices(&format!(
        "version = 1\n\n[gw-7]\nroles = [\"gateway\", \"sensor\"]\nattr = {{ site = \"rome\" }}\nstate = \"quarantined\"\nauth = \"both\"\ncertificates = [{{ sha256 = \"{}\", serial = \"4A:01\", not_after = 2028-11-21T01:00:00+01:00 }}]\nrevoked = [\"{two}\"]\npublish = [\"x\"]\n",
        one.to_uppercase()
    ));
    let device = registry.get("gw-7").unwrap();
    assert_eq!(device.place().line, 3);
    assert_eq!(device.roles().len(), 2);
    assert_eq!(device.attributes().get("site"), Some("rome"));
    assert_eq!((device.state(), device.auth()), (State::Quarantined, Auth::Both));
    let expected = Certificate {
        sha256: one.parse().unwrap(),
        serial: Some("4a01".into()),
        not_after: Some(UnixSeconds(1_858_377_600)),
    };
    assert_eq!(device.certificates(), &Certificates::Listed(Box::new([expected])));
    assert_eq!(device.revoked(), [two.parse().unwrap()]);
    assert_eq!(registry.rules_of("gw-7").unwrap().blocks()[0].rules.len(), 1);
    assert!(device.password().is_none());
}

#[test]
fn an_empty_table_is_an_active_device_that_can_show_nothing() {
    let registry = devices("version = 1\n[a]\n");
    let device = registry.get("a").unwrap();
    assert_eq!((device.state(), device.auth()), (State::Active, Auth::Any));
    assert_eq!(device.certificates(), &Certificates::Listed(Box::new([])));
    assert!(device.roles().is_empty() && registry.rules_of("a").is_none());
}

#[test]
fn fingerprints_are_read_as_openssl_prints_them() {
    let plain = "0a".repeat(32);
    let colons = vec!["0A"; 32].join(":");
    let fingerprint: Fingerprint = colons.parse().unwrap();
    assert_eq!(fingerprint.to_string(), plain);
    assert_eq!(plain.parse(), Ok(fingerprint));
    for bad in ["", ":", &plain[1..], &format!("{plain}00"), &plain.replace('a', "g"), &colons[1..]] {
        assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintError), "{bad}");
    }
}

#[test]
fn names_that_differ_in_case_only_are_one() {
    let mut registry = devices("version = 1\n[a]\n");
    let mut again = devices("version = 1\n\n[A]\n").into_devices();
    let (device, own) = again.next().unwrap();
    assert_eq!(registry.insert(device, own).unwrap_err().line, 2);
    assert_eq!(registry.len(), 1);
}

const WHOLE: &str = r#"version = 1
[a."b"]
[c] # é
role = "sensor"
attr = { s = 'r', "t" = """
u""" }
certificates = [{ sha256 = "5f", not_after = 2028-11-21T00:00:00Z }, ]
password = { hash = "$6$a$b", generated = true }
publish = ["x/{device}/+", 'é{attr.s}/#']
[[d]]
e.f = 0x1_0
[c]
"#;

#[test]
fn whatever_stands_in_a_file_it_is_read_to_the_end_and_reported() {
    let config = config::parse(Path::new("c"), "version = 1\n", &mut Report::new());
    let mut texts: Vec<String> = Vec::new();
    for (at, ch) in WHOLE.char_indices() {
        let (before, after) = WHOLE.split_at(at);
        let rest = &after[ch.len_utf8()..];
        texts.extend([before.to_owned(), after.to_owned()]);
        texts.extend(
            ["", "\"", "[", "]", "{", "=", "\n", "é", "\0", "'''"]
                .map(|other| format!("{before}{other}{rest}")),
        );
    }
    for open in ["a = [", "a = {b=", "[", "a.", "\"", "["] {
        texts.push(open.repeat(50_000));
    }
    texts.push(format!("a = {}", "[".repeat(100_000)));
    for text in texts {
        let mut report = Report::new();
        read::parse(Path::new("d"), &text, &config, &mut report);
        config::parse(Path::new("c"), &text, &mut report);
        let clean = text.trim_end() == "version = 1";
        assert_eq!(report.has_errors(), !clean, "{text}");
        for found in &report {
            assert!(found.to_string().starts_with(['c', 'd']), "{found:#}");
        }
    }
}
