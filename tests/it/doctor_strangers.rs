//! `doctor` on files that somebody else has put where the configuration points: it runs as root.

use std::{fs, os::unix::fs::MetadataExt as _};

use crate::doctor_support::Ward;

#[test]
fn no_rights_are_given_through_a_link() {
    let ward = Ward::new();
    ward.write("shadow", "root:x\n");
    ward.sh("chmod 600 shadow; ln -s shadow acl; ln -s shadow passwd");
    let conf = ward.path("mosquitto.conf");
    let dir = ward.dir().display().to_string();
    // Not `user root`, who can read everything.
    fs::write(&conf, format!("user nobody\nlistener 1883\nacl_file {dir}/acl\n")).unwrap();
    let told = ward.doctor(&["--fix", "--yes"]);
    assert!(
        told.stdout.contains("acl` is a link to `") && told.stdout.contains("a file of its own"),
        "{told:?}"
    );
    ward.mode("shadow", 0o644);
    fs::write(&conf, format!("user nobody\nlistener 1883\npassword_file {dir}/passwd\n")).unwrap();
    let told = ward.doctor(&["--fix", "--yes"]);
    assert!(told.stdout.contains("is a link to `"), "{told:?}");
    let found = fs::metadata(ward.path("shadow")).unwrap();
    assert_eq!((found.mode() & 0o777, found.gid()), (0o644, 0));
}

#[test]
fn what_is_no_file_is_told_and_not_waited_for() {
    let ward = Ward::new();
    ward.sound();
    ward.sh("mkfifo pipe; mkfifo any.key");
    for line in ["cafile", "certfile", "keyfile", "crlfile"] {
        ward.tls_conf("");
        let conf = fs::read_to_string(ward.path("mosquitto.conf")).unwrap();
        let mut lines: Vec<&str> = conf.lines().filter(|old| !old.starts_with(line)).collect();
        let pipe = format!("{line} {}", ward.path("pipe").display());
        lines.push(&pipe);
        ward.write("mosquitto.conf", lines.join("\n"));
        let told = ward.doctor(&[]);
        assert!(told.stdout.contains("pipe` is no file"), "{line}: {told:?}");
    }
    ward.conf("listener 1883\npassword_file /dev/zero\n");
    let told = ward.doctor(&[]);
    assert!(told.stdout.contains("`/dev/zero` is no file"), "{told:?}");
    // A pipe beside a key that does not fit is not opened either.
    ward.sh("openssl ecparam -name prime256v1 -genkey -noout -out broker.key");
    ward.tls_conf("");
    let codes = ward.codes();
    assert!(codes.contains("key-mismatch"), "{codes:?}");
}

#[test]
fn a_folder_of_authorities_can_be_entered_after_the_fix() {
    let ward = Ward::new();
    ward.sound();
    ward.sh("mkdir -m 700 authorities; chmod 644 broker.key");
    let text = format!(
        "user nobody\nlistener 8883\ncapath {0}/authorities\ncertfile {0}/broker.crt\nkeyfile {0}/broker.key\n",
        ward.dir().display()
    );
    ward.write("mosquitto.conf", text);
    let told = ward.doctor(&[]);
    assert!(told.stdout.contains("cannot enter"), "{told:?}");
    ward.doctor(&["--fix", "--yes"]);
    assert_eq!(fs::metadata(ward.path("authorities")).unwrap().mode() & 0o777, 0o750);
    let told = ward.doctor(&[]);
    assert!(!told.stdout.contains("cannot enter"), "{told:?}");
}

#[test]
fn a_folder_of_the_system_is_not_given_to_the_broker() {
    let ward = Ward::new();
    ward.sh("mkdir -m 755 log mosquitto");
    for (folder, help) in [
        (
            "log",
            "make one: `sudo install -d -o nobody -g nogroup -m 750 DIR/log/mosquitto`, and write `log_dest file DIR/log/mosquitto/x.log`",
        ),
        ("mosquitto", "sudo chown nobody:nogroup DIR/mosquitto"),
    ] {
        let dir = ward.dir().display().to_string();
        ward.write(
            "mosquitto.conf",
            format!("user nobody\nlistener 1883\nlog_dest file {dir}/{folder}/x.log\n"),
        );
        let told = ward.doctor(&[]);
        assert!(told.stdout.contains(&help.replace("DIR", &dir)), "{told:?}");
        // A file that is there and can be written is all that the broker needs.
        ward.write(&format!("{folder}/x.log"), "");
        ward.mode(&format!("{folder}/x.log"), 0o666);
        let told = ward.doctor(&[]);
        assert!(!told.stdout.contains("cannot write"), "{told:?}");
    }
}
