//! What an access check costs the heap, seen through the plugin's callback.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::plugin;

/// Each question is asked so often first: more often than it is logged and recorded one by one.
const TIMES: usize = 200;

const SETTINGS: &str = r#"
version = 1
[registry]
file = "devices.toml"
[state]
directory = "state"
[identity]
client_id = "any"

[everyone]
subscribe = ["all/#"]

[roles.few]
publish = ["up/{device}/+", "up/{attr.site}/x"]
subscribe = ["down/{device}/#"]
max_qos = 0

[roles.many]
pubsub = ["a/1", "a/2", "a/3", "a/+/s", "b/1/#", "b/2/#", "b/3/#", "b/4/#", "c/{device}", "c/{device}/1/#", "c/{clientid}/2",
  "d/1/+/s", "d/2/+/s", "d/3/+/s", "d/4/+/s", "d/5/+/s"]
deny = ["b/2/secret", "d/{attr.site}/+/s", "all/hidden"]
"#;

const REGISTRY: &str = r#"
version = 1
[little]
role = "few"
certificates = "any"
attr = { site = "rome" }

[large]
role = "many"
certificates = "any"
attr = { site = "5" }
publish = ["own/1", "own/2", "own/+/3"]
deny = ["own/9"]

[gone]
state = "disabled"
role = "few"
certificates = "any"
"#;

/// Device, access (see `tests/host/host.c`), topic, and what the plugin answers.
const QUESTIONS: [(&str, u8, &str, u8); 23] = [
    ("little", 1, "all/x", 0),
    ("little", 1, "all", 0),
    ("little", 1, "down/large/x", 12),
    ("little", 4, "down/little/+/x", 0),
    ("little", 4, "down/+/x", 12),
    ("little", 4, "$share/group/all/#", 0),
    ("little", 8, "whatever/#", 0),
    ("little", 2, "up/little/x", 12),
    ("little", 2, "up/+", 12),
    ("large", 2, "a/2", 0),
    ("large", 2, "a/7/s", 0),
    ("large", 2, "c/large/1/x/y", 0),
    ("large", 2, "c/large/2", 0),
    ("large", 2, "d/1/x/s", 0),
    ("large", 2, "d/5/x/s", 12),
    ("large", 2, "b/2/secret", 12),
    ("large", 4, "b/2/#", 12),
    ("large", 4, "b/3/#", 0),
    ("large", 2, "own/9", 12),
    ("large", 2, "own/x/3", 0),
    ("large", 2, "elsewhere/and/a/rather/long/way/to/go/for/a/topic/that/nobody/has/heard/of/ever", 12),
    ("gone", 2, "up/gone/x", 13),
    ("nobody", 1, "all/x", 12),
];

#[test]
fn a_check_takes_nothing_from_the_heap_whatever_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path());
    for (name, text) in [("citronella.toml", SETTINGS), ("devices.toml", REGISTRY)] {
        fs::write(folder.path().join(name), text).unwrap();
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut refused = 0;
    for (device, access, topic, answer) in QUESTIONS {
        let question = format!("{device}\t{access}\t{topic}\t{answer}\n");
        let events = folder.path().join("events");
        fs::write(&events, question.repeat(TIMES)).unwrap();
        let output = Command::new(&host)
            .arg(plugin())
            .args([events.as_os_str(), "2".as_ref()])
            .arg(format!("config={}", folder.path().join("citronella.toml").display()))
            .output()
            .unwrap();
        let (numbers, talk) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{question}{numbers}{talk}");
        let counts: Vec<u64> =
            numbers.split_whitespace().rev().take(2).map(|count| count.parse().unwrap()).collect();
        let [later, first] = counts[..] else { panic!("{numbers}") };
        assert_eq!(later, 0, "{question}{numbers}");
        // Lines of the log are made on the heap: what counts would see others, too.
        if answer != 0 && access != 1 {
            assert!(first > 10, "{question}{numbers}");
            refused += 1;
        }
    }
    assert!(refused > 5);
}

/// The host of the benchmarks, with what counts.
fn host(folder: &Path) -> PathBuf {
    let (host, sources) = (folder.join("host"), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host"));
    let output = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-rdynamic", "-I"])
        .args([&sources, Path::new("-o"), &host])
        .args(["host.c", "broker.c", "allocations.c"].map(|source| sources.join(source)))
        .args(["-Wl,--no-as-needed", "-lmosquitto", "-ldl"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    host
}
