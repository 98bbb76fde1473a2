//! Who may connect, in all combinations: the function that the plugin asks against the table of the documentation,
//! written down once more here.

use std::{collections::BTreeMap, fmt::Write as _};

use citronella::{
    clock::UnixSeconds,
    ident::{ANONYMOUS, DeviceName},
    login::{self, Judged, Login, Presented, Refused},
    password,
    pki::{Authority, DeviceRequest, NewAuthority},
    secret::Secret,
    snapshot::{Permissions, Snapshot},
};

use crate::support::Fleet;

const STATES: [&str; 4] = ["active", "disabled", "quarantined", "retired"];
const AUTHS: [&str; 4] = ["any", "certificate", "password", "both"];

/// The judgement on a new client, its password compared.
fn admit<'s>(snapshot: &'s Snapshot, login: &Login<'_>) -> Result<&'s str, Refused<'s>> {
    compare(login::judge(snapshot, login)?, login)
}

/// The same of a session that was there before.
fn still_welcome<'s>(snapshot: &'s Snapshot, login: &Login<'_>) -> Result<(), Refused<'s>> {
    compare(login::still_welcome(snapshot, login)?, login).map(drop)
}

fn compare<'s>(judged: Judged<'s>, login: &Login<'_>) -> Result<&'s str, Refused<'s>> {
    match judged {
        Judged::Admit(name) => Ok(name),
        Judged::Verify(device, hash) => match hash.verify(login.password.unwrap()) {
            Ok(true) => Ok(device.name().as_str()),
            Ok(false) => Err(Refused::WrongPassword),
            Err(error) => Err(Refused::Unverifiable(error)),
        },
    }
}

/// What the client shows on the TLS connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Certificate {
    None,
    Listed,
    Unlisted,
    Revoked,
    NobodyKnows,
    Malformed,
    Unreadable,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Username {
    None,
    Own,
    AnotherDevice,
    Nobody,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Password {
    None,
    Right,
    Wrong,
}

/// The table: the device's name if it gets in.
fn expected(
    (auth, state): (&str, &str),
    certificate: Certificate,
    username: Username,
    password: Password,
) -> bool {
    let usable = matches!(state, "active" | "quarantined");
    match certificate {
        Certificate::Listed => {
            matches!(username, Username::None | Username::Own)
                && usable
                && password != Password::Wrong
                && !(matches!(auth, "password" | "both") && password == Password::None)
        }
        Certificate::None => {
            username == Username::Own
                && usable
                && password == Password::Right
                && !matches!(auth, "certificate" | "both")
        }
        _ => false,
    }
}

/// A registry with a device for each way of proving and each state, certificates for all of them, and one password.
struct World {
    snapshot: Snapshot,
    /// By device: listed, not listed, revoked.
    certificates: BTreeMap<String, [Vec<u8>; 3]>,
    nobody: Vec<u8>,
    password: String,
    _fleet: Fleet,
}

impl World {
    fn new(settings: &str) -> Self {
        let fleet = Fleet::new(&format!("version = 1\n{settings}"), "version = 1\n");
        let now = jiff::Timestamp::now();
        let new = NewAuthority { iterations: 1, ..NewAuthority::new("Test") };
        let passphrase = Secret::from("test".to_owned());
        let mut issuer = Authority::init(&fleet.path("pki"), &new, &passphrase, now).unwrap();
        let mut issue = |name: &str| {
            let issued =
                issuer.issue_device(&DeviceRequest::new(DeviceName::new(name).unwrap()), now).unwrap();
            (issued.certificate.clone(), issued.sha256())
        };
        let generated = password::generate().unwrap();
        let password = String::from_utf8(generated.text.expose().to_vec()).unwrap();
        let mut devices = "version = 1\n[other]\ncertificates = \"any\"\n".to_owned();
        let mut certificates = BTreeMap::new();
        for auth in AUTHS {
            for state in STATES {
                let name = format!("{auth}-{state}");
                let [(listed, sha256), (unlisted, _), (revoked, gone)] =
                    [issue(&name), issue(&name), issue(&name)];
                writeln!(
                    devices,
                    "[{name}]\nauth = \"{auth}\"\nstate = \"{state}\"\ncertificates = [{{ sha256 = \"{sha256}\" }}, {{ sha256 = \"{gone}\" }}]\n\
                     revoked = [\"{gone}\"]\npassword = \"{}\"",
                    generated.hash.to_text()
                )
                .unwrap();
                certificates.insert(name, [listed, unlisted, revoked]);
            }
        }
        let (nobody, _) = issue("nobody");
        fleet.write("devices.toml", &devices);
        let loaded = Snapshot::load(&fleet.config(), Permissions::Judge);
        let snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.report));
        Self { snapshot, certificates, nobody, password, _fleet: fleet }
    }

    fn present(&self, name: &str, certificate: Certificate) -> Presented<'_> {
        let [listed, unlisted, revoked] = &self.certificates[name];
        match certificate {
            Certificate::None => Presented::None,
            Certificate::Listed => Presented::Der(listed),
            Certificate::Unlisted => Presented::Der(unlisted),
            Certificate::Revoked => Presented::Der(revoked),
            Certificate::NobodyKnows => Presented::Der(&self.nobody),
            Certificate::Malformed => Presented::Der(&listed[..listed.len() - 1]),
            Certificate::Unreadable => Presented::Unreadable,
        }
    }
}

#[test]
fn every_combination_is_answered_as_the_table_says() {
    let world = World::new("");
    let mut admitted = 0;
    for auth in AUTHS {
        for state in STATES {
            let name = format!("{auth}-{state}");
            for certificate in [
                Certificate::None,
                Certificate::Listed,
                Certificate::Unlisted,
                Certificate::Revoked,
                Certificate::NobodyKnows,
                Certificate::Malformed,
                Certificate::Unreadable,
            ] {
                for username in [Username::None, Username::Own, Username::AnotherDevice, Username::Nobody] {
                    for password in [Password::None, Password::Right, Password::Wrong] {
                        let login = Login {
                            client_id: "c",
                            username: match username {
                                Username::None => None,
                                Username::Own => Some(&name),
                                Username::AnotherDevice => Some("other"),
                                Username::Nobody => Some("stranger"),
                            },
                            password: match password {
                                Password::None => None,
                                Password::Right => Some(world.password.as_bytes()),
                                Password::Wrong => Some(b"wrong"),
                            },
                            certificate: world.present(&name, certificate),
                            session_of: None,
                            now: UnixSeconds::now(),
                        };
                        let answer = admit(&world.snapshot, &login);
                        let wanted = expected((auth, state), certificate, username, password);
                        let case = format!("{name} {certificate:?} {username:?} {password:?}: {answer:?}");
                        assert_eq!(answer.as_deref().ok(), wanted.then_some(name.as_str()), "{case}");
                        admitted += usize::from(wanted);
                    }
                }
            }
        }
    }
    // 8 usable devices; with a certificate 2 user names by 1 or 2 passwords, without 1: none of it vacuous.
    assert_eq!(admitted, 2 * (4 + 1 + 4 + 2 + 1 + 2));
}

#[test]
fn a_certificate_is_good_from_its_first_second_to_its_last() {
    let world = World::new("");
    let [listed, ..] = &world.certificates["any-active"];
    let view = citronella::pki::inspect::certificate(listed).unwrap();
    let (first, last) = (view.not_before.as_second(), view.not_after.as_second());
    for (now, wanted) in [
        (first - 1, Err(Refused::NotYetValid)),
        (first, Ok("any-active")),
        (last, Ok("any-active")),
        (last + 1, Err(Refused::Expired)),
    ] {
        let login = Login {
            client_id: "c",
            username: None,
            password: None,
            certificate: Presented::Der(listed),
            session_of: None,
            now: UnixSeconds(now),
        };
        assert_eq!(admit(&world.snapshot, &login), wanted, "{now}");
    }
}

#[test]
fn without_name_and_certificate_anonymous_rules_or_none() {
    let login = |password| Login {
        client_id: "c",
        username: None,
        password,
        certificate: Presented::None,
        session_of: None,
        now: UnixSeconds::now(),
    };
    let closed = World::new("");
    assert_eq!(admit(&closed.snapshot, &login(None)), Err(Refused::Anonymous));
    let open = World::new("[anonymous]\nsubscribe = [\"public/#\"]\n");
    assert_eq!(admit(&open.snapshot, &login(None)), Ok(ANONYMOUS));
    assert_eq!(admit(&open.snapshot, &login(Some(b"x"))), Err(Refused::PasswordWithoutName));
    let claimed = Login { username: Some(ANONYMOUS), ..login(None) };
    assert!(matches!(admit(&open.snapshot, &claimed), Err(Refused::Unknown { .. })));
}

#[test]
fn a_client_id_that_begins_with_a_name_is_that_devices() {
    let ask = |settings: &str, device: &str, client_id: &str| {
        let world = World::new(settings);
        let [listed, ..] = &world.certificates[device];
        let login = Login {
            client_id,
            username: None,
            password: None,
            certificate: Presented::Der(listed),
            session_of: None,
            now: UnixSeconds::now(),
        };
        admit(&world.snapshot, &login).is_ok()
    };
    let device = "any-active";
    for (client_id, protect, own) in [
        ("any-active", true, true),
        ("any-active-2", true, true),
        ("any-active:a/b", true, true),
        ("any-activex", true, false),
        ("random", true, false),
        ("other", false, false),
        ("other_1", false, false),
        ("otherwise", true, false),
        // The longest name counts, whoever has the shorter one.
        ("any-quarantined.x", false, false),
        // A device that is switched off keeps its ids.
        ("any-retired", false, false),
    ] {
        assert_eq!(ask("", device, client_id), protect, "protect {client_id}");
        assert_eq!(ask("[identity]\nclient_id = \"device\"\n", device, client_id), own, "device {client_id}");
        assert!(ask("[identity]\nclient_id = \"any\"\n", device, client_id), "any {client_id}");
    }
}

#[test]
fn a_session_is_taken_over_by_its_own_device_only() {
    let ask = |settings: &str, session_of: &'static str, certificate: &str| {
        let world = World::new(&format!("{settings}[anonymous]\n"));
        let shown = world.certificates.get(certificate).map(|[listed, ..]| Presented::Der(listed));
        let login = Login {
            client_id: "mosq-1",
            username: None,
            password: None,
            certificate: shown.unwrap_or(Presented::None),
            session_of: Some(session_of),
            now: UnixSeconds::now(),
        };
        admit(&world.snapshot, &login).is_ok()
    };
    let any = "[identity]\nclient_id = \"any\"\n";
    for (session_of, device, wanted) in [
        ("any-active", "any-active", true),
        ("other", "any-active", false),
        // The beginning of a name is another name.
        ("any", "any-active", true),
        ("any-retired", "any-active", false),
        ("other", "", false),
        (ANONYMOUS, "any-active", true),
        (ANONYMOUS, "", true),
        ("gone", "any-active", true),
    ] {
        assert_eq!(ask("", session_of, device), wanted, "protect: {device:?} takes over {session_of}");
        assert!(ask(any, session_of, device), "any: {device:?} takes over {session_of}");
    }
}

/// As an offline session is asked about: its name, and nothing else.
fn offline(name: Option<&str>) -> Login<'_> {
    Login {
        client_id: "c",
        username: name,
        password: None,
        certificate: Presented::None,
        session_of: None,
        now: UnixSeconds::now(),
    }
}

#[test]
fn a_session_stays_while_its_device_is_wanted() {
    let world = World::new("[anonymous]\n");
    for auth in AUTHS {
        for state in STATES {
            let name = format!("{auth}-{state}");
            let wanted = matches!(state, "active" | "quarantined");
            assert_eq!(still_welcome(&world.snapshot, &offline(Some(&name))).is_ok(), wanted, "{name}");
        }
    }
    assert_eq!(still_welcome(&world.snapshot, &offline(Some(ANONYMOUS))), Ok(()));
    assert_eq!(still_welcome(&world.snapshot, &offline(None)), Err(Refused::NoName));
    assert!(still_welcome(&world.snapshot, &offline(Some("stranger"))).is_err());

    let online = |certificate, password: Option<&'static [u8]>| Login {
        certificate: world.present("any-active", certificate),
        password,
        ..offline(Some("any-active"))
    };
    assert_eq!(still_welcome(&world.snapshot, &online(Certificate::Listed, None)), Ok(()));
    for (certificate, password) in [
        (Certificate::Revoked, None),
        (Certificate::Unlisted, None),
        (Certificate::NobodyKnows, None),
        (Certificate::Listed, Some(b"changed".as_slice())),
        (Certificate::None, Some(b"changed".as_slice())),
    ] {
        assert!(still_welcome(&world.snapshot, &online(certificate, password)).is_err(), "{certificate:?}");
    }
}
