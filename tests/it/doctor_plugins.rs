//! Which plugin is asked first, as `doctor` says it and as Mosquitto 2.1 does it.

use crate::{
    cli_init_dynsec::DYNSEC,
    cli_init_in_use::Live,
    support::{Client, Kind, Login, plugin, wait_for},
};

/// What `doctor` says of these lines, and whether dynamic security decides with them about somebody whom Citronella does not
/// know. `CI` and `DS` are the two plugins, each followed by its option.
fn judged(lines: &str) -> (Vec<String>, bool) {
    let kind = Kind::named("2.1");
    let other = kind.own_plugin("mosquitto_dynamic_security.so").unwrap();
    let live = Live::new(kind, "");
    live.home.init(&["--mosquitto-conf", "unused.conf"]).ok();
    live.home.write("dynsec.json", DYNSEC);
    let option = |key: &str, path: &str| format!("\n{key} {}", live.home.path(path).display());
    let ours = format!("{}{}", plugin().display(), option("plugin_opt_config", "etc/citronella.toml"));
    let theirs = format!("{}{}", other.display(), option("plugin_opt_config_file", "dynsec.json"));
    let lines = lines.replace("CI", &ours).replace("DS", &theirs);
    live.home.write(
        "conf.d/mine.conf",
        lines.replace("listener 1883", &format!("listener 1883 {}", live.address())),
    );

    let json = live.home.json(&["doctor", "mosquitto.conf"]);
    let codes =
        json["findings"].as_array().unwrap().iter().map(|found| found["code"].as_str().unwrap().to_owned());
    let about_plugins =
        |code: &String| code.starts_with("plugin-") || code == "missing-file" || code == "no-way-in";
    let codes = codes.filter(about_plugins).collect();
    live.start(1883);
    let login = Login::new("").user("ha").password("ha-secret");
    (codes, Client::open(&live.door(1883), &login).is_ok())
}

#[test]
fn what_is_asked_first_is_what_the_broker_asks_first() {
    let listener = "listener 1883\nlistener_allow_anonymous false\n";
    for (lines, codes, theirs_first) in [
        // Not the order in which a listener names them.
        (
            format!("plugin_load ci CI\nplugin_load ds DS\n{listener}plugin_use ds\nplugin_use ci\n"),
            &[][..],
            false,
        ),
        (
            format!("plugin_load ds DS\nplugin_load ci CI\n{listener}plugin_use ci\nplugin_use ds\n"),
            &["plugin-order"],
            true,
        ),
        // Those for all listeners come before a listener's own.
        (format!("plugin_load ds DS\nglobal_plugin CI\n{listener}plugin_use ds\n"), &[], false),
        (format!("plugin_load ci CI\nplugin DS\n{listener}plugin_use ci\n"), &["plugin-order"], true),
    ] {
        assert_eq!(
            judged(&lines),
            (codes.iter().map(|code| (*code).to_owned()).collect(), theirs_first),
            "{lines}"
        );
    }
}

#[test]
fn what_is_loaded_for_no_listener_is_told_as_the_broker_does_not_start_with_it() {
    let kind = Kind::named("2.1");
    let live = Live::new(kind, "");
    live.home.init(&["--mosquitto-conf", "unused.conf"]).ok();
    let (plugin, config) = (plugin(), live.home.config());
    let lines = format!("plugin_load ci {}\nplugin_opt_config {}\n", plugin.display(), config.display());
    live.home.write("conf.d/mine.conf", format!("{lines}listener 1883 {}\n", live.address()));
    let said = live.home.run(&["doctor", "mosquitto.conf"]);
    for part in ["loaded as `ci`, and no listener uses it", "[plugin-not-loaded]", "`plugin_use ci`"] {
        assert!(said.stdout.contains(part), "{part}: {said:?}");
    }
    let main = live.home.path("mosquitto.conf");
    let mut broker =
        std::process::Command::new(kind.program("mosquitto")).arg("-c").arg(main).spawn().unwrap();
    let ended = wait_for(|| broker.try_wait().unwrap());
    let _ = broker.kill();
    assert!(ended.is_some_and(|status| !status.success()), "{ended:?}\n{}", live.log());
}

#[test]
fn a_plugin_with_a_name_is_followed_to_its_file() {
    let live =
        Live::new(Kind::named("2.1"), "plugin_load x DIR/none.so\nlistener 1883 ADDRESS\nplugin_use x\n");
    let json = live.home.json(&["doctor", "mosquitto.conf"]);
    let found = json["findings"].as_array().unwrap();
    assert!(found.iter().any(|found| found["code"] == "missing-file"), "{json:#}");
    assert!(found.iter().all(|found| found["code"] != "no-way-in"), "{json:#}");
}
