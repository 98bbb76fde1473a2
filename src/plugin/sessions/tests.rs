use super::*;

/// A snapshot of device `d` and others, in a folder that may go.
fn snapshot(settings: &str, devices: &str) -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("citronella.toml");
    std::fs::write(&path, format!("version = 1\n{settings}")).unwrap();
    std::fs::write(folder.path().join("devices.toml"), format!("version = 1\n{devices}")).unwrap();
    let loaded = Snapshot::load(&path, crate::snapshot::Permissions::Ignore);
    loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.report))
}

fn certificate(byte: u8, last: i64) -> Shown {
    Shown { certificate: Some((crate::registry::Fingerprint([byte; 32]), UnixSeconds(last))), password: None }
}

const ANY: &str = "[d]\ncertificates = 'any'\n[e]\ncertificates = 'any'";
const NOW: UnixSeconds = UnixSeconds(1_000);

#[test]
fn only_who_showed_what_is_withdrawn_has_lost() {
    let (sessions, before) = (Sessions::default(), snapshot("", ANY));
    assert!(sessions.admit(|| true, ("d", certificate(1, 5_000))));
    assert!(sessions.admit(|| true, ("e", certificate(2, 5_000))));
    assert!(!sessions.has_lost(&before, "d", NOW));
    let after = snapshot(
        "",
        &format!("[d]\ncertificates = 'any'\nrevoked = ['{}']\n[e]\ncertificates = 'any'", "02".repeat(32)),
    );
    assert!(!sessions.has_lost(&after, "d", NOW), "it is another's");
    let after = snapshot("", &format!("[d]\ncertificates = 'any'\nrevoked = ['{}']", "01".repeat(32)));
    assert!(sessions.has_lost(&after, "d", NOW) && sessions.has_lost(&after, "e", NOW));
    assert!(!sessions.has_lost(&after, "f", NOW), "nobody of this name is there");
    sessions.forget("d");
    assert!(!sessions.has("d") && sessions.has("e"));
}

#[test]
fn what_was_shown_must_be_enough_still() {
    let sessions = Sessions::default();
    let good = |shown: Shown, devices: &str| sessions.holds(&snapshot("", devices), ("d", &shown), NOW);
    let hash = "password = '$7$101$c2FsdA==$kDzGFRSDnWyULeglXLLuEZ3c2kZWCgeS9RSv2Ru0CSqrwHDLMPtYXLwcEzJVQmuRY9bwm2aT4rmuKKTFW8qR4Q=='";
    let with = |auth: &str| format!("[d]\ncertificates = 'any'\nauth = '{auth}'\n{hash}");
    let snapshot = snapshot("", &with("any"));
    let mark = sessions.mark(snapshot.device("d").and_then(|device| device.password()).unwrap());
    let (shown, password) = (certificate(1, 5_000), Shown { certificate: None, password: Some(mark) });
    let both = Shown { password: Some(mark), ..shown };
    for (auth, expected) in [
        ("any", [true, true, true]),
        ("certificate", [true, false, true]),
        ("password", [false, true, true]),
        ("both", [false, false, true]),
    ] {
        assert_eq!([shown, password, both].map(|shown| good(shown, &with(auth))), expected, "{auth}");
    }
    assert!(!good(Shown { password: Some(mark + 1), ..password }, &with("any")), "another hash");
    assert!(!good(password, "[d]\ncertificates = 'any'"), "no hash");
    assert!(!good(shown, "[d]\ncertificates = 'any'\nstate = 'disabled'"));
    assert!(good(shown, "[d]\ncertificates = 'any'\nstate = 'quarantined'"));
}

#[test]
fn a_certificate_ends_its_sessions_in_the_second_after_its_last() {
    let (sessions, any) = (Sessions::default(), snapshot("", ANY));
    for (name, last) in [("d", 2_000), ("e", 3_000)] {
        let shown = certificate(1, last);
        assert!(sessions.admit(|| true, (name, shown)));
        sessions.expires(login::expiry(&any, (name, &shown)));
    }
    assert_eq!(sessions.next_expiry(), UnixSeconds(2_001));
    assert!(sessions.expired(&any, UnixSeconds(2_000)).is_empty());
    assert_eq!(sessions.expired(&any, UnixSeconds(2_001)), ["d"]);
    assert_eq!(sessions.next_expiry(), UnixSeconds(3_001));
    let keep = snapshot("[identity]\non_expiry = 'keep'", ANY);
    assert!(sessions.expired(&keep, UnixSeconds(9_000)).is_empty());
    assert!(sessions.holds(&keep, ("e", &certificate(1, 3_000)), UnixSeconds(9_000)));
    let sooner = format!(
        "[e]\ncertificates = [{{ sha256 = '{}', not_after = 1970-01-01T00:30:00Z }}]",
        "01".repeat(32)
    );
    assert_eq!(
        sessions.expired(&snapshot("", &sooner), UnixSeconds(1_801)),
        ["e"],
        "the registry ends it sooner"
    );
}

#[test]
fn more_credentials_than_are_kept_are_not_forgotten() {
    let (sessions, any) = (Sessions::default(), snapshot("", ANY));
    for byte in 0..20 {
        sessions.admit(|| true, ("d", certificate(byte, 5_000)));
        assert_eq!(sessions.has_lost(&any, "d", NOW), byte >= 4);
    }
    assert!(!sessions.admit(|| false, ("d", certificate(1, 5_000))), "the files changed just then");
}

#[test]
fn of_many_certificates_the_one_that_ends_first_ends_the_sessions() {
    let (sessions, any) = (Sessions::default(), snapshot("", ANY));
    for (byte, last) in [(1, 5_000), (2, 6_000), (3, 7_000), (4, 8_000), (5, 2_000), (6, 3_000)] {
        let shown = certificate(byte, last);
        assert!(sessions.admit(|| true, ("d", shown)));
        sessions.expires(login::expiry(&any, ("d", &shown)));
    }
    assert!(sessions.expired(&any, UnixSeconds(2_000)).is_empty());
    assert_eq!(sessions.expired(&any, UnixSeconds(2_001)), ["d"]);
}

#[test]
fn an_end_that_is_near_wakes_the_thread_that_sleeps() {
    let near = |last| is_near(UnixSeconds(last), NOW);
    assert_eq!([900, 1_000, 1_005, 1_006, i64::MAX].map(near), [true, true, true, false, false]);
}
