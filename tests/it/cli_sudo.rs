//! What root does on behalf of somebody else. Only root can be asked.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
};

use crate::cli_support::Home;

#[test]
fn a_folder_made_with_sudo_is_made_with_the_rights_of_whoever_called_it() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let home = Home::new();
    let sudo =
        |arguments: &[&str]| home.cmd(arguments).env("SUDO_UID", "12345").env("SUDO_GID", "12346").run();
    let owner = |name: &str| {
        let found = fs::metadata(home.path(name)).unwrap();
        (found.uid(), found.gid())
    };
    fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    for (folder, uid) in [("mine", 12345), ("theirs", 54321)] {
        fs::create_dir(home.path(folder)).unwrap();
        chown(home.path(folder), Some(uid), Some(uid)).unwrap();
    }
    assert_eq!(sudo(&["device", "add", "lamp", "--out", "mine"]).status, Some(0));
    for name in ["mine/lamp", "mine/lamp/lamp.key", "mine/lamp/connect.txt"] {
        assert_eq!(owner(name), (12345, 12346), "{name}");
    }
    // What the caller may not do there, root does not do for them.
    let refused = sudo(&["device", "add", "door", "--out", "theirs"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert_eq!(fs::read_dir(home.path("theirs")).unwrap().count(), 0);
    assert!(!home.devices().contains("[door]"), "{}", home.devices());
    // Where only root can change anything, root writes as root.
    fs::create_dir(home.path("roots")).unwrap();
    assert_eq!(sudo(&["device", "add", "fan", "--out", "roots"]).status, Some(0));
    assert_eq!(owner("roots/fan/fan.key"), (0, 0));
}

#[test]
fn a_device_s_folder_is_read_where_it_cannot_be_written() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let home = Home::new();
    fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    for folder in ["stick", "out"] {
        fs::create_dir(home.path(folder)).unwrap();
        chown(home.path(folder), Some(12345), Some(12346)).unwrap();
    }
    let sudo =
        |arguments: &[&str]| home.cmd(arguments).env("SUDO_UID", "12345").env("SUDO_GID", "12346").run();
    assert_eq!(sudo(&["device", "add", "lamp", "--out", "stick"]).status, Some(0));
    fs::set_permissions(home.path("stick/lamp"), fs::Permissions::from_mode(0o500)).unwrap();
    let bundle = ["bundle", "lamp", "--for", "esp32", "--from", "stick/lamp", "--out", "out"];
    let made = sudo(&bundle);
    assert_eq!(made.status, Some(0), "{made:?}");
    // What the caller may not read, root does not read for them.
    chown(home.path("stick/lamp"), Some(54321), Some(54321)).unwrap();
    let refused = sudo(&[&bundle[..], &["--force"]].concat());
    assert_eq!(refused.status, Some(2), "{refused:?}");
}
