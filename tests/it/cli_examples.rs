//! `conf-examples/`: each one loads, answers as its README says, and so does a real broker with it.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

use crate::{
    cli_support::Home,
    support::{Broker, Client, Credential, Door, DoorKind, Kind, Login, Publish, plugin},
};

const EXAMPLES: [&str; 3] = ["minimal", "home", "fleet"];

fn example(name: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf-examples").join(name).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An authority, and the example's files in the place of what `init` wrote.
fn home(name: &str, init: &[&str]) -> Home {
    let home = Home::empty();
    home.init(init).ok();
    for file in ["citronella.toml", "devices.toml"] {
        home.write(&format!("etc/{file}"), example(name, file));
    }
    // Other plugins may run on this machine, and write where the examples do.
    let state = format!("\n[state]\ndirectory = '{}'\n", home.path("etc/state").display());
    home.write("etc/citronella.toml", example(name, "citronella.toml") + &state);
    home
}

/// A row of the table in the example's README.
#[derive(Debug)]
struct Question {
    device: String,
    action: String,
    topic: String,
    allowed: bool,
}

fn questions(name: &str) -> Vec<Question> {
    let text = example(name, "README.md");
    let rows: Vec<Question> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| device |"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [device, action, topic, answer] = cells[..] else { panic!("four cells: {line}") };
            assert!(matches!(answer, "yes" | "no"), "{line}");
            let topic = topic.trim_matches('`').to_owned();
            Question { device: device.to_owned(), action: action.to_owned(), topic, allowed: answer == "yes" }
        })
        .collect();
    assert!(rows.len() >= 8, "the table of {name}");
    rows
}

#[test]
fn each_is_sound_without_a_warning() {
    for name in EXAMPLES {
        let home = home(name, &[]);
        let outcome = home.run(&["check", "--deny-warnings"]);
        assert_eq!(outcome.status, Some(0), "{name}: {outcome:?}");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf-examples");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        // Other folders hold units, filters, or what `cli_import` makes again.
        .filter(|entry| entry.path().join("citronella.toml").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    found.sort();
    // `starter` is what `init` writes.
    let known = ["fleet", "home", "minimal", "starter"];
    assert_eq!(found, known, "an example that no test knows");
}

#[test]
fn explain_answers_as_the_readme_says() {
    for name in EXAMPLES {
        let home = home(name, &[]);
        for question in questions(name) {
            let Question { device, action, topic, allowed } = &question;
            let outcome = home.run(&["explain", device, action, topic]);
            assert_eq!(outcome.status, Some(i32::from(!allowed)), "{name}: {question:?}: {outcome:?}");
        }
    }
}

#[test]
fn what_the_comments_claim_is_so() {
    let fleet = home("fleet", &[]);
    let flow = ["pump-0001", "publish", "site/rome/pump-0001/telemetry/flow"];
    let ask = |home: &Home, more: &[&str], question: &[&str]| {
        home.run(&[&["explain"], more, question].concat()).status
    };
    assert_eq!(ask(&fleet, &["--payload-size", "4096", "--qos", "1"], &flow), Some(0));
    assert_eq!(ask(&fleet, &["--payload-size", "5000"], &flow), Some(1));
    assert_eq!(ask(&fleet, &["--retain"], &flow), Some(1));
    assert_eq!(
        ask(
            &fleet,
            &["--retain", "--payload-size", "1024"],
            &["pump-0001", "publish", "site/rome/pump-0001/state"]
        ),
        Some(0)
    );
    assert_eq!(fleet.json(&["device", "show", "pump-0001"])["any_certificate"], true);
    let house = home("home", &[]);
    assert_eq!(ask(&house, &["--payload-size", "65"], &["phone", "publish", "status/phone"]), Some(1));
    // The same rules are met again when a thing is moved.
    house.ok(&["device", "set", "kitchen-lamp", "--attr", "room=hall"]);
    assert_eq!(ask(&house, &[], &["kitchen-lamp", "publish", "home/hall/kitchen-lamp/state"]), Some(0));
    // The lines that `init` writes are those of the example.
    let written = Home::new().read("mosquitto.conf");
    for line in example("minimal", "mosquitto.conf").lines().filter(|line| !line.starts_with('#')) {
        let option = line.split(' ').next().unwrap();
        assert!(
            written.lines().any(|own| own.split(' ').next() == Some(option)),
            "{option} is not in {written}"
        );
    }
}

/// How a device comes in: the credentials that it was given anew, and the port for those.
struct Key {
    certificate: Option<Credential>,
    password: Option<String>,
    port: u16,
}

fn keys(home: &Home, name: &str) -> BTreeMap<String, Key> {
    let mut keys = BTreeMap::new();
    for device in home.json(&["device", "list"]).as_array().unwrap() {
        let (name, auth) = (device["name"].as_str().unwrap(), device["auth"].as_str().unwrap());
        if !matches!(device["state"].as_str(), Some("active" | "quarantined")) {
            continue;
        }
        let has_password = device["password"].is_string();
        let certificate = (auth == "both" || !has_password).then(|| {
            home.ok(&["cert", "issue", name]);
            let file = |end: &str| home.path(&format!("{name}/{name}.{end}"));
            Credential { certificate: file("crt"), key: file("key") }
        });
        let password = has_password.then(|| home.ok(&["password", "generate", name]).trim_end().to_owned());
        let port = match (&certificate, name) {
            (Some(_), _) => 8883,
            (None, "homeassistant") => 1883,
            (None, _) => 8884,
        };
        keys.insert(name.to_owned(), Key { certificate, password, port });
    }
    assert!(!keys.is_empty(), "{name} lets nobody in");
    keys
}

/// Asks the broker what the README says of those who can come in.
fn judge(kind: Kind, name: &str) {
    let conf = Broker::conf(kind);
    let address = conf.address();
    let home = home(name, &["--name", "broker.test", "--address", &address.to_string()]);
    let keys = keys(&home, name);
    let lines: Vec<String> = example(name, "mosquitto.conf")
        .lines()
        .map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            ["listener", port, ..] => format!("listener {port} {address}"),
            ["plugin", _] => format!("plugin {}", plugin().display()),
            _ => line.replace("/etc/citronella", home.path("etc").to_str().unwrap()),
        })
        .collect();
    let broker = conf.line(&lines.join("\n")).listener("settled", DoorKind::Unix, "").start();
    let (mut asked, mut clients) = (0, BTreeMap::new());
    for question in questions(name) {
        let Question { device, action, topic, allowed } = &question;
        let Some(key) = keys.get(device) else { continue };
        let client = clients.entry(device.clone()).or_insert_with(|| {
            let at = SocketAddr::from((address, key.port));
            let door =
                if key.port == 1883 { Door::tcp(at) } else { Door::tls(at, home.path("etc/tls/ca.crt")) };
            let door = key.certificate.as_ref().map_or(door.clone(), |certificate| door.showing(certificate));
            let login = Login::new(device);
            let login = match &key.password {
                Some(password) => login.user(device).password(password.as_str()),
                None => login,
            };
            Client::open(&door, &login)
                .unwrap_or_else(|refused| panic!("{device}: {refused:?}\n{}", broker.log()))
        });
        let code = match action.as_str() {
            "publish" => client.publish(&Publish::to(topic)),
            "subscribe" => client.subscribe(topic),
            _ => continue,
        };
        assert_eq!(code < 0x80, *allowed, "{name}: {question:?}: {code:#x}");
        asked += 1;
    }
    assert!(asked > 5, "{name}: only {asked} questions could be asked");
}

broker_test!(a_broker_with_the_minimal_example_does_as_its_readme_says, |kind| {
    judge(kind, "minimal");
});

broker_test!(a_broker_with_the_home_example_does_as_its_readme_says, |kind| {
    judge(kind, "home");
});

broker_test!(a_broker_with_the_fleet_example_does_as_its_readme_says, |kind| {
    judge(kind, "fleet");
});
