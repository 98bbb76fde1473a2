//! Sessions that are away while SIGHUP asks about them.

use crate::support::{Broker, Client, DoorKind, Fleet, Login, plugin};

const SETTINGS: &str =
    "version = 1\n[auth]\npassword_file = \"passwd\"\n[compat]\nper_listener_settings = true\n";

broker_test!(a_session_left_behind_with_an_old_password_ends_nobody_elses, |kind| {
    let fleet = Fleet::new(SETTINGS, "version = 1\n[phone]\nsubscribe = [\"a/#\"]\n");
    fleet.password(kind, "phone", "old");
    let broker = Broker::conf(kind).guarded_by(&fleet.config()).listener("in", DoorKind::Tcp, "").start();
    let door = broker.door("in");
    let phone = |id: &str, password: &str| Login::new(id).user("phone").password(password);
    let mut left = Client::welcome(door, &phone("app-1", "old").persistent());
    left.subscribe("a/#");
    left.disconnect();
    fleet.write("passwd", "");
    fleet.password(kind, "phone", "new");
    broker.reload();
    let mut present = Client::welcome(door, &phone("app-2", "new"));
    for _ in 0..3 {
        broker.reload();
        broker.settle();
        present.ping().unwrap();
    }
    // Whoever has come in since with the id that was left behind is asked about anew.
    let mut returned = Client::welcome(door, &phone("app-1", "new"));
    fleet.write("passwd", "");
    fleet.password(kind, "phone", "newest");
    broker.reload();
    returned.ended();
    present.ended();
});

broker_test!(sessions_with_an_expiry_outlive_reloads_without_a_tick, |kind| {
    let devices = "version = 1\n[thunder10]\ncertificates = \"any\"\npubsub = [\"a/#\"]\n";
    let fleet = Fleet::new(SETTINGS, devices);
    fleet.write("passwd", "");
    let lines = format!(
        "plugin {}\nplugin_opt_config {}\nallow_anonymous false\nrequire_certificate true",
        plugin().display(),
        fleet.config().display()
    );
    let broker =
        Broker::conf(kind).line("per_listener_settings true").tls("tls", fleet.authority(), &lines).start();
    let door = broker.door("tls").showing(&fleet.authority().device("thunder10"));
    for number in 0..6 {
        let login =
            Login { expiry_s: 1 + number / 3, ..Login::new(&format!("thunder10-{number}")).persistent() };
        let mut client = Client::welcome(&door, &login);
        client.subscribe("a/#");
        client.disconnect();
    }
    for _ in 0..3 {
        broker.reload();
    }
    for number in 0..6 {
        broker.wait_for_log(&format!("Expiring client thunder10-{number} due to timeout"));
    }
    assert!(!broker.log().contains("log-in refused"), "a session that was away was taken for a new client");
    Client::welcome(&door, &Login::new("thunder10")).ping().unwrap();
});
