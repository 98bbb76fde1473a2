//! `citronella device`: the registry as people change it.

use std::{fs, process::Command, time::Instant};

use serde_json::json;

use crate::{
    cli_support::Home,
    pki_support::{accepts, verify},
};

const COMMENTED: &str = "\
# my devices
version = 1

# the one in the kitchen
[lamp]       # green
role = \"sensor\"     # for now
password = { hash = \"$6$c2FsdHNhbHRzYWx0$UJzwhk0wOKEH9rqVh5wfmp9uRVHTMFcrVSzV6T63dHuPYoqJkzJ+fVD07EhJlkM03bbAYU2OiByi9OmeHDSw8g==\" }

[old]
state = \"retired\"
publish   = [ \"a\",
    \"b\" ]   # two

# the end
";

#[test]
fn add_registers_issues_and_writes_a_folder_to_use() {
    let home = Home::new();
    let said = home.ok(&[
        "device",
        "add",
        "thunder10",
        "--role",
        "sensor",
        "--host",
        "gw.lan",
        "--attr",
        "site=rome",
    ]);
    let line = "mosquitto_pub -h gw.lan -p 8883 --cafile ca.crt --cert thunder10.crt --key thunder10.key \
                -t sensors/thunder10/test -m hello";
    assert!(said.contains(line), "{said}");
    assert!(home.read("thunder10/connect.txt").ends_with(&format!("{line}\n")));
    for (name, mode) in [
        ("thunder10", 0o700),
        ("thunder10/ca.crt", 0o644),
        ("thunder10/thunder10.crt", 0o644),
        ("thunder10/thunder10.key", 0o600),
        ("etc/devices.toml", 0o640),
    ] {
        assert_eq!(format!("{:o}", home.mode(name)), format!("{mode:o}"), "{name}");
    }
    accepts(verify(
        &home.path("etc/tls/ca.crt"),
        &home.path("thunder10/thunder10.crt"),
        &["-purpose", "sslclient"],
    ));
    let shown = home.json(&["device", "show", "thunder10"]);
    assert_eq!(shown["roles"], json!(["sensor"]));
    assert_eq!(shown["attributes"], json!({ "site": "rome" }));
    let issued = home.json(&["cert", "list", "thunder10"]);
    assert_eq!(shown["certificates"][0]["sha256"], issued[0]["sha256"]);
    assert_eq!(shown["certificates"][0]["not_after"], issued[0]["not_after"]);
}

#[test]
fn options_for_the_certificate_reach_it_and_openssl_is_content() {
    let home = Home::new();
    home.ok(&[
        "device",
        "add",
        "lamp",
        "--role",
        "sensor",
        "--key",
        "rsa2048",
        "--days",
        "30",
        "--subject",
        "C=IT,O=Rossi,OU=Lights",
    ]);
    accepts(verify(&home.path("etc/tls/ca.crt"), &home.path("lamp/lamp.crt"), &["-purpose", "sslclient"]));
    let shown = &home.json(&["cert", "show", "lamp/lamp.crt"])[0];
    assert_eq!(shown["subject"], "C=IT, O=Rossi, OU=Lights, CN=lamp");
    assert_eq!(shown["key"], "RSA 2048");
}

#[test]
fn what_cannot_be_added_changes_nothing_and_says_what_can() {
    let home = Home::with_devices(COMMENTED);
    let long = "x".repeat(65);
    let before = home.files();
    for (arguments, says) in [
        (&["dim", "--role", "sensr"][..], &["no role is called `sensr`", "did you mean `sensor`?"][..]),
        (&["lamp"], &["`lamp` is there already", "cert issue lamp"]),
        (&["LAMP"], &["`lamp` is there already", "capital letters"]),
        (&["lamp", "--no-certificate"], &["`lamp` is there already"]),
        (&["old"], &["`old` is retired", "its name stays taken"]),
        (&["version"], &["no device can be called `version`"]),
        (&["a/b"], &["cannot contain `/`"]),
        (&["$a"], &["cannot start with `$`"]),
        (&["~anonymous"], &["cannot start with `~`"]),
        (&[" a"], &["blank"]),
        (&[""], &["at least one character"]),
        (&["a\nb"], &["control characters", "`a\\u{a}b`"]),
        (&[&long], &["more than 64 characters", "--no-certificate"]),
        (&["dim", "--out", "no/folder"], &["no folder no/folder", "--out"]),
        (&["dim", "--auth", "nothing"], &["any, certificate, password, both"]),
        (&["dim", "--attr", "site"], &["NAME=VALUE"]),
        (&["dim", "--key", "dsa"], &["p256"]),
        (&["dim", "--subject", "rome"], &["rome"]),
    ] {
        home.fails(&[&["device", "add"], arguments].concat(), says);
        assert!(home.files() == before, "{arguments:?} changed something");
    }
    fs::create_dir(home.path("dim")).unwrap();
    home.fails(&["device", "add", "dim"], &["dim exists already", "--force"]);
    assert!(home.files() == before);
}

#[test]
fn long_names_are_for_devices_with_a_password() {
    let home = Home::new();
    let long = "x".repeat(128);
    home.ok(&["device", "add", &long, "--no-certificate"]);
    let password = home.ok(&["password", "generate", &long]);
    assert_eq!(home.cmd(&["password", "verify", &long]).stdin(password).run().status, Some(0));
    assert_eq!(home.run(&["check", "--deny-warnings"]).status, Some(0));
}

#[test]
fn changes_leave_every_comment_and_the_order() {
    let home = Home::with_devices(COMMENTED);
    home.ok(&["device", "disable", "lamp"]);
    assert_eq!(home.devices(), COMMENTED.replace(" }\n\n[old]", " }\nstate = \"disabled\"\n\n[old]"));
    home.ok(&["device", "enable", "lamp"]);
    assert_eq!(home.devices(), COMMENTED.replace(" }\n\n[old]", " }\nstate = \"active\"\n\n[old]"));

    home.write("etc/devices.toml", COMMENTED);
    home.ok(&["device", "set", "lamp", "--role", "viewer", "--attr", "site=rome"]);
    let changed = home.devices();
    assert!(changed.contains("role = \"viewer\"     # for now\n"), "{changed}");
    assert_eq!(
        changed.replace("\"viewer\" ", "\"sensor\" ").replace("attr = { site = \"rome\" }\n", ""),
        COMMENTED
    );
    home.ok(&[
        "device",
        "set",
        "lamp",
        "--no-attr",
        "site",
        "--role",
        "viewer",
        "--role",
        "sensor",
        "--auth",
        "both",
    ]);
    let shown = home.json(&["device", "show", "lamp"]);
    assert_eq!((&shown["roles"], &shown["auth"]), (&json!(["viewer", "sensor"]), &json!("both")));
    assert_eq!(shown["attributes"], json!({}));

    home.write("etc/devices.toml", COMMENTED);
    home.ok(&["device", "add", "new one", "--no-certificate"]);
    assert_eq!(home.devices(), format!("{COMMENTED}\n[\"new one\"]\n"));
    assert_eq!(home.mode("etc/devices.toml"), 0o640);
}

#[test]
fn states_change_and_retired_is_for_ever() {
    let home = Home::with_devices(COMMENTED);
    let state = || home.json(&["device", "show", "lamp"])["state"].as_str().unwrap().to_owned();
    for (verb, then) in
        [("disable", "disabled"), ("disable", "disabled"), ("enable", "active"), ("retire", "retired")]
    {
        assert_eq!(home.ok(&["device", verb, "lamp"]), format!("lamp is {then}\n"));
        assert_eq!(state(), then);
    }
    home.fails(&["device", "enable", "lamp"], &["retired, for ever"]);
    home.fails(&["device", "disable", "lamp"], &["retired, for ever"]);
    home.fails(&["device", "add", "lamp", "--role", "sensor"], &["retired", "device edit"]);
    home.fails(&["cert", "issue", "lamp"], &["retired"]);
    home.fails(&["password", "generate", "lamp"], &["retired"]);
    assert_eq!(state(), "retired");
    assert_eq!(home.run(&["explain", "lamp", "publish", "sensors/lamp/x"]).status, Some(1));
    for verb in ["disable", "enable", "retire", "show", "set"] {
        home.fails(
            &[&["device", verb, "nobody"][..], if verb == "set" { &["--role", "sensor"] } else { &[] }]
                .concat(),
            &["no device is called `nobody`", "device list"],
        );
    }
    home.fails(&["device", "set", "lamp"], &["nothing to set"]);
}

#[test]
fn list_filters_by_state_and_role() {
    let home = Home::with_devices(COMMENTED);
    let names = |arguments: &[&str]| {
        let listed = home.json(&[&["device", "list"], arguments].concat());
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["lamp", "old"]);
    assert_eq!(names(&["--state", "retired"]), ["old"]);
    assert_eq!(names(&["--role", "sensor"]), ["lamp"]);
    assert!(names(&["--role", "sensor", "--state", "retired"]).is_empty());
    let table = home.ok(&["device", "list"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    home.fails(&["device", "list", "--state", "gone"], &["active, disabled, quarantined, retired"]);
}

#[test]
fn a_registry_with_mistakes_is_not_touched() {
    let broken = format!("{COMMENTED}[lamp2]\nrole = \"sensr\"\n");
    let home = Home::with_devices(&broken);
    for arguments in [
        &["device", "add", "x", "--no-certificate"][..],
        &["device", "add", "x"],
        &["device", "disable", "lamp"],
        &["device", "list"],
        &["cert", "issue", "lamp"],
        &["password", "generate", "lamp"],
    ] {
        home.fails(arguments, &["cannot be used", "devices.toml:16:8: error: no role is called `sensr`"]);
    }
    assert_eq!(home.devices(), broken);
    assert_eq!(home.json(&["cert", "list"]).as_array().unwrap().len(), 2);
}

#[test]
fn an_interrupted_add_is_completed_by_typing_it_again() {
    let home = Home::new();
    let add = |name: &str| home.cmd(&["device", "add", name, "--role", "sensor", "--attr", "site=rome"]);
    let whole = Instant::now();
    add("first").ok();
    let whole_us = u64::try_from(whole.elapsed().as_micros()).unwrap();
    let (rounds, mut unfinished) = (24, 0);
    for round in 0..rounds {
        let name = format!("d{round}");
        // From the first instant to some time after the last, should the machine be slower by now.
        add(&name).kill_after(whole_us * round / (rounds * 3 / 4));
        assert_eq!(home.run(&["check"]).status, Some(0), "round {round}");
        let before = home.json(&["device", "list"]);
        let complete = before
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["name"] == *name && one["certificates"][0].is_object());
        if complete {
            home.fails(&["device", "add", &name, "--role", "sensor"], &["there already"]);
        } else {
            unfinished += 1;
            add(&name).ok();
        }
        let certificate = home.path(&format!("{name}/{name}.crt"));
        accepts(verify(&home.path("etc/tls/ca.crt"), &certificate, &["-purpose", "sslclient"]));
        let shown = home.json(&["device", "show", &name]);
        let in_folder = &home.json(&["cert", "show", certificate.to_str().unwrap()])[0];
        assert_eq!(shown["certificates"].as_array().unwrap().len(), 1, "round {round}: {shown}");
        assert_eq!(shown["certificates"][0]["sha256"], in_folder["sha256"], "round {round}");
        assert_eq!(shown["attributes"], json!({ "site": "rome" }));
    }
    assert!(unfinished > 3, "the instants miss the work: {unfinished}");
    let litter: Vec<String> = home
        .files()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.split('/').any(|part| part.starts_with('.') && part != ".citronella.lock"))
        .collect();
    assert!(litter.is_empty(), "{litter:?}");
    assert_eq!(home.run(&["check", "--deny-warnings"]).status, Some(0));
}

#[test]
fn what_is_begun_is_not_completed_as_something_else() {
    let home =
        Home::with_devices("version = 1\n\n[begun]\nrole = \"sensor\"\n\n[off]\nstate = \"disabled\"\n");
    home.fails(&["device", "add", "begun", "--role", "viewer"], &["`begun` is there already"]);
    home.fails(&["device", "add", "begun", "--role", "sensor", "--attr", "a=b"], &["there already"]);
    home.fails(&["device", "add", "off"], &["there already"]);
    home.ok(&["device", "add", "begun", "--role", "sensor"]);
}

#[test]
fn where_any_certificate_is_accepted_none_is_listed_and_an_interrupted_add_is_completed() {
    let home = Home::with_devices("version = 1\n\n[begun]\nrole = \"sensor\"\n");
    let settings = home.read("etc/citronella.toml");
    home.write("etc/citronella.toml", settings + "\n[identity]\ndefault_certificates = \"any\"\n");
    home.ok(&["device", "add", "begun", "--role", "sensor"]);
    home.ok(&["device", "add", "lamp", "--role", "sensor"]);
    home.ok(&["cert", "issue", "lamp", "--force"]);
    assert_eq!(home.json(&["device", "show", "lamp"])["any_certificate"], true);
    assert!(!home.devices().contains("sha256"), "{}", home.devices());
    for name in ["begun", "lamp"] {
        assert!(home.path(&format!("{name}/{name}.key")).exists(), "{name}");
        home.fails(&["device", "add", name, "--role", "sensor", "--force"], &["is there already"]);
    }
    // One of the two is lost: it alone is refused.
    let serial = home.json(&["cert", "list", "lamp"])[0]["serial"].as_str().unwrap().to_owned();
    home.ok(&["cert", "revoke", &serial]);
    let shown = home.json(&["device", "show", "lamp"]);
    assert_eq!((&shown["any_certificate"], shown["revoked"].as_array().unwrap().len()), (&json!(true), 1));
}

#[test]
fn eight_at_once_lose_nothing() {
    let home = Home::new();
    let children: Vec<_> =
        (0..8).map(|n| home.cmd(&["device", "add", &format!("d{n}"), "--role", "sensor"]).spawn()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let listed = home.json(&["device", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 8, "{listed}");
    for device in listed.as_array().unwrap() {
        let name = device["name"].as_str().unwrap();
        let shown = &home.json(&["cert", "show", &format!("{name}/{name}.crt")])[0];
        assert_eq!(device["certificates"][0]["sha256"], shown["sha256"], "{name}");
    }
    assert_eq!(home.json(&["cert", "list"]).as_array().unwrap().len(), 2 + 8);
}

#[test]
fn of_two_who_add_the_same_name_one_succeeds() {
    let home = Home::new();
    let children: Vec<_> = (0..2)
        .map(|n| {
            let out = home.path(&format!("out{n}"));
            fs::create_dir(&out).unwrap();
            home.cmd(&["device", "add", "twin", "--role", "sensor", "--out", out.to_str().unwrap()]).spawn()
        })
        .collect();
    let codes: Vec<Option<i32>> =
        children.into_iter().map(|child| child.wait_with_output().unwrap().status.code()).collect();
    assert!(codes.contains(&Some(0)), "{codes:?}");
    let listed = home.json(&["device", "show", "twin"]);
    assert!(!listed["certificates"].as_array().unwrap().is_empty(), "{listed}");
    assert_eq!(home.run(&["check", "--deny-warnings"]).status, Some(0));
}

#[test]
fn the_line_to_paste_is_one_that_a_shell_understands() {
    let home = Home::new();
    home.ok(&["device", "add", "it's; $(touch x)", "--role", "sensor"]);
    let folder = home.path("it's; $(touch x)");
    let text = fs::read_to_string(folder.join("connect.txt")).unwrap();
    let line = text.lines().last().unwrap();
    // In the place of mosquitto_pub, something that tells its arguments.
    let told = Command::new("sh")
        .arg("-c")
        .arg(format!("mosquitto_pub() {{ printf '%s\\n' \"$@\"; }}; {line}"))
        .current_dir(&folder)
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let words: Vec<&str> = told.lines().collect();
    for file in [words[5], words[7], words[9]] {
        assert!(folder.join(file).exists(), "{file} in {words:?}");
    }
    assert_eq!(words[11], "sensors/it's; $(touch x)/test");
    assert!(!folder.join("x").exists());
    // A name that looks like an option or a hidden file stays in its place.
    home.ok(&["device", "add", ".hidden"]);
    home.cmd(&["device", "add", "--", "-rf"]).ok();
    assert!(home.path("%2Ehidden").is_dir() && home.path("%2Drf").is_dir());
}

#[test]
fn an_import_with_force_takes_up_nothing_that_lay_there() {
    let home = Home::new();
    home.write("two.csv", "name,role,credentials\nlamp,sensor,certificate\nphone,viewer,password\n");
    home.ok(&["device", "import", "two.csv"]);
    let before = ["lamp/lamp.key", "phone/phone.password"].map(|file| home.read(file));
    home.write("etc/devices.toml", "version = 1\n");
    home.ok(&["device", "import", "two.csv", "--force"]);
    let after = ["lamp/lamp.key", "phone/phone.password"].map(|file| home.read(file));
    assert!(
        before.iter().zip(&after).all(|(before, after)| before != after),
        "a key or a password is the old one"
    );
    assert_eq!(home.cmd(&["password", "verify", "phone"]).stdin(&*after[1]).run().status, Some(0));
}
