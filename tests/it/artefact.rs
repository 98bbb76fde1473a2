//! What the finished plugin shows and needs.  `make size` judges the release build.

use std::{collections::BTreeSet, path::Path, process::Command};

use crate::support::plugin;

/// Mosquitto 2.0 loads plugins with `RTLD_GLOBAL`: a further name could be taken for another plugin's.
#[test]
fn the_plugin_exports_the_three_names_of_a_plugin_and_no_other() {
    let output = tool("nm", &["-D", "--defined-only"], &plugin());
    let names: BTreeSet<&str> = output.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(
        names,
        BTreeSet::from(["mosquitto_plugin_cleanup", "mosquitto_plugin_init", "mosquitto_plugin_version"])
    );
}

/// An `X509` of the broker's OpenSSL in the hands of another one is undefined behaviour.
#[test]
fn the_plugin_brings_no_openssl_of_its_own() {
    let needed = tool("readelf", &["-d"], &plugin());
    let needed: Vec<&str> = needed.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(needed.iter().any(|line| line.contains("libc.so")), "readelf names no libraries: {needed:?}");
    for library in ["libssl", "libcrypto", "libmosquitto"] {
        assert!(!needed.iter().any(|line| line.contains(library)), "{needed:?}");
    }
}

/// Whatever is undefined in the plugin must be in every broker, or the broker that lacks it does not start; the
/// broker's functions are therefore weak.
#[test]
fn every_name_that_the_plugin_expects_of_the_broker_is_weak() {
    let output = tool("nm", &["-D", "--undefined-only"], &plugin());
    let strong: Vec<&str> = output
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("U ") && (line.contains("mosquitto_") || line.contains("X509")))
        .collect();
    assert!(strong.is_empty(), "{strong:?}");
}

#[track_caller]
fn tool(name: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(name).args(arguments).arg(file).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
