//! Who may connect with a certificate: the rows of design section 4 on listeners with TLS that want one.

use crate::support::{
    Authority, Broker, Client, Conf, Credential, DoorKind, Fleet, Kind, Login, admitted, refused, turned_away,
};

const SETTINGS: &str = r#"
version = 1
[auth]
password_file = "passwd"
[roles.quarantine]
subscribe = ["jail/{device}"]
[everyone]
subscribe = ["who/{device}"]
"#;

/// The listeners of this file: both want certificates.  Websockets over TLS take up to a second for a log-in on
/// 2.0, so that not every row is tried there.
const DOORS: [&str; 2] = ["tls", "wss"];

fn listeners(conf: Conf, authority: &Authority) -> Conf {
    conf.tls("tls", authority, "require_certificate true").wss("wss", authority, "require_certificate true")
}

/// The entry of a certificate in `certificates`.
fn listed(credential: &Credential) -> String {
    format!(r#"{{ sha256 = "{}", serial = "{}" }}"#, credential.fingerprint(), credential.serial())
}

fn start(kind: Kind, fleet: &Fleet) -> Broker {
    listeners(Broker::conf(kind).line("allow_anonymous false").guarded_by(&fleet.config()), fleet.authority())
        .start()
}

broker_test!(a_certificate_is_its_device_if_the_device_has_it, |kind| {
    let fleet = Fleet::new(SETTINGS, "");
    let ca = fleet.authority();
    let good = ca.device("thunder10");
    let second = ca.client("second", "/O=Works/OU=Hall 3/CN=thunder10", &[]);
    let strange = ca.client("strange", "/CN=thunder10", &["subjectAltName=DNS:open"]);
    let lost = ca.client("lost", "/CN=thunder10", &[]);
    let open = ca.device("open");
    let open_lost = ca.client("open-lost", "/CN=open", &[]);
    let nobody = ca.device("nobody");
    let none = ca.device("none");
    fleet.write(
        "devices.toml",
        &format!(
            "version = 1\n[thunder10]\ncertificates = [{}, {}, {}]\nrevoked = ['{}']\n\
             [open]\ncertificates = 'any'\nrevoked = ['{}']\n[none]\n[other]\n",
            listed(&good),
            listed(&second),
            listed(&lost),
            lost.fingerprint(),
            open_lost.fingerprint(),
        ),
    );
    fleet.password(kind, "thunder10", "right");
    let broker = start(kind, &fleet);
    let plain = Login::new("");
    let named = plain.clone().user("thunder10");
    for name in DOORS {
        let door = broker.door(name);
        admitted(&door.showing(&good), &plain, "thunder10");
        refused(&broker, &door.showing(&strange), &plain, "is not one of the device's");
        refused(&broker, &door.showing(&lost), &plain, "is revoked");
        refused(&broker, &door.showing(&nobody), &plain, "no device is called `nobody`");
        turned_away(&broker, door, &plain);
        if name == "wss" {
            continue;
        }
        for credential in [&good, &second] {
            let door = door.showing(credential);
            admitted(&door, &plain, "thunder10");
            admitted(&door, &named, "thunder10");
            admitted(&door, &named.clone().password("right"), "thunder10");
            admitted(&door, &plain.clone().user("").password(""), "thunder10");
        }
        admitted(&door.showing(&open), &plain, "open");
        admitted(&door.showing(&open), &plain.clone().user("open"), "open");

        let door_of_good = door.showing(&good);
        refused(&broker, &door_of_good, &named.clone().password("wrong"), "wrong password");
        refused(&broker, &door_of_good, &plain.clone().user("other"), "the user name says otherwise");
        refused(&broker, &door_of_good, &plain.clone().user("Thunder10"), "the user name says otherwise");
        refused(&broker, &door_of_good, &plain.clone().user("~anonymous"), "the user name says otherwise");
        let odd = door.showing(&open);
        refused(&broker, &odd, &plain.clone().user("open").password("any"), "the device has no password");

        // A right password does not mend a certificate.
        let right = named.clone().password("right");
        refused(&broker, &door.showing(&strange), &right, "is not one of the device's");
        refused(&broker, &door.showing(&lost), &right, "is revoked");
        refused(&broker, &door.showing(&open_lost), &plain, "is revoked");
        refused(&broker, &door.showing(&nobody), &right, "the user name says otherwise");
        refused(&broker, &door.showing(&none), &plain, "is not one of the device's");
        turned_away(&broker, door, &right);
    }
});

broker_test!(auth_says_what_else_than_a_certificate_is_needed, |kind| {
    let fleet = Fleet::new(SETTINGS, "");
    let names = ["any", "certificate", "password", "both"];
    let mut devices = String::from("version = 1\n");
    for name in names {
        let credential = listed(&fleet.authority().device(name));
        devices += &format!("[{name}]\nauth = '{name}'\ncertificates = [{credential}]\n");
        fleet.password(kind, name, "right");
    }
    fleet.write("devices.toml", &devices);
    let broker = Broker::conf(kind)
        .guarded_by(&fleet.config())
        .tls("tls", fleet.authority(), "require_certificate true")
        .wss("wss", fleet.authority(), "require_certificate true")
        .tls("password-tls", fleet.authority(), "")
        .start();
    for name in names {
        let credential = fleet.authority().credential(name);
        let login = Login::new("");
        let password = login.clone().password("right");
        let named = password.clone().user(name);
        admitted(&broker.door("wss").showing(&credential), &named, name);
        let door = broker.door("tls").showing(&credential);
        admitted(&door, &named, name);
        if matches!(name, "password" | "both") {
            refused(&broker, &broker.door("wss").showing(&credential), &login, "must give a password");
            refused(&broker, &door, &login, "the device must give a password");
            refused(&broker, &door, &login.clone().user(name), "the device must give a password");
        } else {
            admitted(&door, &login, name);
        }
        refused(&broker, &door, &named.clone().password("wrong"), "wrong password");
        // Without a certificate it is the other half that is missing.
        let door = broker.door("password-tls");
        match name {
            "any" | "password" => admitted(door, &named, name),
            _ => refused(&broker, door, &named, "the device must show a certificate"),
        }
    }
    // A password without a name is MQTT 5 alone.
    let door = broker.door("tls").showing(&fleet.authority().credential("both"));
    let mut client = Client::welcome(&door, &Login::new("c").password("right"));
    assert_eq!(client.subscribe("who/both"), 2);
    let door = broker.door("password-tls").afar();
    Client::unwelcome(&door, &Login::new("c").password("right"));
    assert_eq!(
        broker.said_of(door.from.unwrap()),
        "log-in refused: a password without a user name (client `c`)"
    );
});

broker_test!(what_the_registry_says_of_a_device_counts_beside_its_certificate, |kind| {
    let fleet = Fleet::new(SETTINGS, "");
    let ca = fleet.authority();
    let mut devices = String::from("version = 1\n");
    for (name, line) in [
        ("past", "not_after = 2020-01-01T00:00:00Z"),
        ("future", "not_after = 2100-01-01T00:00:00Z"),
        ("off", ""),
        ("gone", ""),
        ("jailed", ""),
    ] {
        let state = match name {
            "off" => "state = 'disabled'",
            "gone" => "state = 'retired'",
            "jailed" => "state = 'quarantined'",
            _ => "",
        };
        let comma = if line.is_empty() { "" } else { ", " };
        devices += &format!(
            "[{name}]\n{state}\ncertificates = [{{ sha256 = '{}'{comma}{line} }}]\n",
            ca.device(name).fingerprint()
        );
        fleet.password(kind, name, "right");
    }
    fleet.write("devices.toml", &devices);
    let broker = listeners(Broker::conf(kind).guarded_by(&fleet.config()), ca)
        .listener("tcp", DoorKind::Tcp, "")
        .start();
    let login = Login::new("");
    let of = |name| broker.door("tls").showing(&ca.credential(name));
    admitted(&of("future"), &login, "future");
    for login in [login.clone(), login.clone().password("right").user("past")] {
        refused(&broker, &of("past"), &login, "the certificate has expired");
    }
    refused(&broker, &of("off"), &login, "the device is disabled");
    refused(&broker, &of("gone"), &login, "the device is retired");
    refused(&broker, &broker.door("wss").showing(&ca.credential("off")), &login, "the device is disabled");
    let mut jailed = Client::welcome(&of("jailed"), &login);
    assert_eq!((jailed.subscribe("jail/jailed"), jailed.subscribe("who/jailed")), (2, 0x87));
    for (name, reason) in [("off", "the device is disabled"), ("gone", "the device is retired")] {
        for password in ["right", "wrong"] {
            let login = login.clone().user(name).password(password);
            refused(&broker, broker.door("tcp"), &login, reason);
        }
    }

    // Without [roles.quarantine] there is nothing left for it.
    fleet.write("citronella.toml", &SETTINGS.replace("[roles.quarantine]", "[roles.other]"));
    broker.reload();
    jailed.ended();
    broker.wait_for_kicks();
    let mut jailed = Client::welcome(&of("jailed"), &login);
    assert_eq!((jailed.subscribe("jail/jailed"), jailed.subscribe("who/jailed")), (0x87, 0x87));
});

broker_test!(a_certificate_has_its_time, |kind| {
    let fleet = Fleet::new(SETTINGS, "version = 1\n[thunder10]\ncertificates = 'any'\n");
    fleet.write("passwd", "");
    let ca = fleet.authority();
    let good = ca.device("thunder10");
    let late = ca.expired("thunder10");
    let early = ca.dated("thunder10", "20900101000000Z", "20910101000000Z");
    let broker = start(kind, &fleet);
    let login = Login::new("");
    for door in DOORS.map(|name| broker.door(name)) {
        turned_away(&broker, &door.showing(&late), &login);
        turned_away(&broker, &door.showing(&early), &login);
        admitted(&door.showing(&good), &login, "thunder10");
    }
    drop(broker);
    // 2.0 cannot be told to leave dates alone.
    if kind.at_least(2, 1, 0) {
        let lines = "require_certificate true\ndisable_client_cert_date_checks true";
        let broker = Broker::conf(kind)
            .guarded_by(&fleet.config())
            .tls("tls", ca, lines)
            .wss("wss", ca, lines)
            .start();
        for door in DOORS.map(|name| broker.door(name)) {
            refused(&broker, &door.showing(&late), &login, "the certificate has expired");
            refused(&broker, &door.showing(&early), &login, "the certificate is not valid yet");
            admitted(&door.showing(&good), &login, "thunder10");
        }
    }
});

broker_test!(a_resumed_tls_session_is_judged_like_a_new_one, |kind| {
    let fleet = Fleet::new(SETTINGS, "version = 1\n[thunder10]\ncertificates = 'any'\n");
    fleet.write("passwd", "");
    let credential = fleet.authority().device("thunder10");
    let broker = start(kind, &fleet);
    let door = broker.door("tls").showing(&credential).resuming();
    let login = Login::new("");
    admitted(&door, &login, "thunder10");
    assert!(Client::welcome(&door, &login).has_resumed_tls());
    let text = format!(
        "version = 1\n[thunder10]\ncertificates = 'any'\nrevoked = ['{}']\n",
        credential.fingerprint()
    );
    fleet.write("devices.toml", &text);
    broker.reload();
    refused(&broker, &door, &login, "is revoked");
});
