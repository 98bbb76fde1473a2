//! `citronella init` on a broker that people use already: who worked before works after.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    cli_support::Home,
    doctor_support::run_script,
    support::{Broker, Client, Cmd, Conf, Door, Kind, Login, Outcome, Publish, Refused, wait_for},
};

const NOT_AUTHORIZED: u8 = 0x87;

const RULES: &str = "\
topic read public/#

user ha
topic readwrite home/#
topic read $SYS/broker/uptime

user lamp
topic read home/lamp/set

pattern write state/%u/#
";

/// A broker as Debian has it, in a folder of its own, which a script starts and starts anew.
pub(crate) struct Live {
    pub(crate) home: Home,
    kind: Kind,
    /// Keeps the address.
    claim: Conf,
}

impl Live {
    /// `lines` are those of people, in a part of their own; `DIR` is the folder, `ADDRESS` the broker's.
    pub(crate) fn new(kind: Kind, lines: &str) -> Self {
        let (home, claim) = (Home::empty(), Broker::conf(kind));
        fs::create_dir(home.path("conf.d")).unwrap();
        let live = Self { home, kind, claim };
        live.home.write(
            "mosquitto.conf",
            live.filled(
                "user root\npid_file DIR/pid\npersistence false\nlog_dest file DIR/log\nlog_type all\nset_tcp_nodelay true\ninclude_dir DIR/conf.d\n",
            ),
        );
        live.home.write("conf.d/mine.conf", live.filled(lines));
        live.home.write(
            "restart.sh",
            live.filled(&format!(
                "if test -e DIR/pid; then old=$(cat DIR/pid); kill $old 2>/dev/null\n\
                 while kill -0 $old 2>/dev/null; do sleep 0.05; done; fi\n\
                 rm -f DIR/pid; {} -c DIR/mosquitto.conf -d\n",
                kind.program("mosquitto").display()
            )),
        );
        live
    }

    fn filled(&self, text: &str) -> String {
        text.replace("DIR", self.home.dir().to_str().unwrap()).replace("ADDRESS", &self.address().to_string())
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn address(&self) -> Ipv4Addr {
        self.claim.address()
    }

    /// Enters a user with the broker's own tool; for the kind of hash see `Fleet::password`.
    pub(crate) fn user(&self, name: &str, password: &str) {
        let tool = self.kind.program("mosquitto_passwd");
        run_script(
            self.home.dir(),
            &format!(
                "touch passwd; chmod 640 passwd; {} -H sha512-pbkdf2 -I 101 -b passwd {name} {password}",
                tool.display()
            ),
        );
    }

    /// Starts it, and waits until this port answers.
    #[track_caller]
    pub(crate) fn start(&self, port: u16) {
        run_script(self.home.dir(), "sh restart.sh");
        let answers = || TcpStream::connect(SocketAddr::from((self.address(), port))).ok();
        assert!(wait_for(answers).is_some(), "it does not start\n{}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.home.path("log")).unwrap_or_default()).into_owned()
    }

    pub(crate) fn door(&self, port: u16) -> Door {
        Door::tcp(SocketAddr::from((self.address(), port)))
    }

    pub(crate) fn init(&self, more: &[&str]) -> Outcome {
        self.init_cmd(more).run()
    }

    pub(crate) fn init_cmd(&self, more: &[&str]) -> Cmd {
        let address = self.address().to_string();
        let own = ["--mosquitto-conf", "conf.d/citronella.conf", "--listen", &*address];
        self.home.init(&[&own[..], more].concat())
    }

    /// The same, and the broker is started anew.
    fn init_and_restart(&self, more: &[&str]) -> Outcome {
        self.init(&[&["--restart", "--restart-command", "sh restart.sh"][..], more].concat())
    }

    fn pid(&self) -> Option<i32> {
        fs::read_to_string(self.home.path("pid")).ok()?.trim().parse().ok()
    }

    pub(crate) fn lines(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = self.home.files();
        files.retain(|(name, _)| name.ends_with(".conf"));
        files
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(pid) = self.pid().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("--- log ---\n{}", self.log());
        }
    }
}

/// What each of the people does with the broker, by the rules above.
#[track_caller]
fn everybody_works(door: &Door) {
    let login = |name: &str, id: &str| Login::new(id).user(name).password(format!("{name}-secret"));
    let mut ha = Client::welcome(door, &login("ha", "mqtt-explorer-1234"));
    let mut lamp = Client::welcome(door, &login("lamp", "").v311());
    assert_eq!(ha.subscribe("#"), 2);
    lamp.subscribe("home/lamp/set");
    assert_eq!(ha.publish(&Publish::to("home/lamp/set").payload("on")), 0);
    assert_eq!(lamp.receive().payload, b"on");
    assert_eq!(ha.receive().topic, "home/lamp/set");
    lamp.publish(&Publish::to("state/lamp/power").qos(1).payload("7"));
    let mut nobody = Client::welcome(door, &Login::new(""));
    nobody.subscribe("public/#");
    nobody.subscribe("home/#");
    ha.publish(&Publish::to("home/lamp/set").payload("off"));
    assert_eq!(nobody.delivered(), []);
    for refused in [
        Client::unwelcome(door, &Login::new("x").user("ha").password("wrong")),
        Client::unwelcome(door, &Login::new("x").user("stranger").password("x")),
    ] {
        assert_eq!(refused, Refused::Connack(NOT_AUTHORIZED));
    }
}

broker_test!(who_worked_by_password_file_and_acl_file_works_on, |kind| {
    let live = Live::new(
        kind,
        "listener 1883 ADDRESS\nallow_anonymous true\npassword_file DIR/passwd\nacl_file DIR/acl\n",
    );
    for name in ["ha", "lamp", "mqtt"] {
        live.user(name, &format!("{name}-secret"));
    }
    live.home.write("acl", RULES);
    live.start(1883);
    everybody_works(&live.door(1883));

    // Whoever does not say what becomes of them changes nothing.
    let before = live.home.files().len();
    let silent = live.init(&[]);
    assert_eq!(silent.status, Some(2), "{silent:?}");
    for part in ["users in", "rules in", "clients without a name", "--import", "--no-import"] {
        assert!(silent.stderr.contains(part), "{part}: {silent:?}");
    }
    assert_eq!(live.home.files().len(), before, "{:?}", live.home.files());

    let outcome = live.init_and_restart(&["--import"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("The broker is up and guarded"), "{outcome:?}");
    assert!(outcome.stdout.contains("for 3 devices"), "{outcome:?}");
    assert!(!outcome.stdout.contains("systemctl restart"), "{outcome:?}");
    everybody_works(&live.door(1883));
    assert_eq!(live.home.run(&["check"]).status, Some(0));
    // And those to come are ours.
    live.home.ok(&["device", "add", "thunder10", "--role", "sensor"]);

    let again = live.init_and_restart(&["--import"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    everybody_works(&live.door(1883));
});

broker_test!(without_rules_everybody_may_do_everything_and_goes_on_so, |kind| {
    let live = Live::new(kind, "listener 1883 ADDRESS\nallow_anonymous false\npassword_file DIR/passwd\n");
    live.user("ha", "ha-secret");
    live.start(1883);
    let works = || {
        let door = live.door(1883);
        let mut ha = Client::welcome(&door, &Login::new("").user("ha").password("ha-secret"));
        assert_eq!(ha.subscribe("any/#"), 2);
        assert_eq!(ha.publish(&Publish::to("any/thing").payload("7")), 0);
        assert_eq!(ha.receive().payload, b"7");
        let nobody = Client::unwelcome(&door, &Login::new("nobody"));
        assert_eq!(nobody, Refused::Connack(NOT_AUTHORIZED));
    };
    works();
    let outcome = live.init_and_restart(&["--import", "--password-listener"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    works();
    // Nobody else has those rights.
    live.home.ok(&["device", "add", "lamp", "--no-certificate"]);
    assert_eq!(live.home.run(&["explain", "lamp", "publish", "any/thing"]).status, Some(1));
});

broker_test!(left_out_nobody_of_them_gets_in, |kind| {
    let live = Live::new(kind, "listener 1883 ADDRESS\npassword_file DIR/passwd\n");
    live.user("ha", "ha-secret");
    live.start(1883);
    let outcome = live.init_and_restart(&["--no-import"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("Nobody is let in yet"), "{outcome:?}");
    let refused = Client::unwelcome(&live.door(1883), &Login::new("").user("ha").password("ha-secret"));
    assert_eq!(refused, Refused::Connack(NOT_AUTHORIZED));
});

broker_test!(a_broker_that_does_not_come_up_guarded_is_as_it_was, |kind| {
    let live = Live::new(kind, "per_listener_settings true\nlistener 1883 ADDRESS\nallow_anonymous true\n");
    live.start(1883);
    let welcome = || drop(Client::welcome(&live.door(1883), &Login::new("anybody")));
    welcome();
    let lines = live.lines();
    // Somebody else has the port, which no configuration tells.
    let taken = TcpListener::bind((live.address(), 8883)).unwrap();
    let failed = live.init_and_restart(&["--import", "--yes"]);
    assert_eq!(failed.status, Some(2), "{failed:?}");
    for part in [
        "did not come up guarded",
        "former configuration is in place again",
        "Address already in use",
        "the lines that were tried are kept in",
    ] {
        assert!(failed.stderr.contains(part), "{part}: {failed:?}");
    }
    assert_eq!(live.lines(), lines, "the configuration is not what it was");
    let up = wait_for(|| TcpStream::connect(SocketAddr::from((live.address(), 1883))).ok());
    assert!(up.is_some(), "{}", live.log());
    welcome();

    drop(taken);
    let outcome = live.init_and_restart(&["--import", "--yes"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    welcome();
});

/// Lines that would keep the broker from starting with ours, and all that a person would mind losing.
const IN_THE_WAY: &str = "\
per_listener_settings true
# of the guide
listener 8883 ADDRESS
cafile DIR/old/ca.crt
certfile  DIR/old/broker.crt
keyfile DIR/old/broker.key
require_certificate true
use_identity_as_username true
acl_file DIR/acl

listener 1883 ADDRESS
allow_anonymous false
password_file DIR/passwd
acl_file DIR/acl
";

broker_test!(lines_in_the_way_are_shown_put_aside_and_brought_back, |kind| {
    let live = Live::new(kind, IN_THE_WAY);
    live.user("ha", "ha-secret");
    live.home.write("acl", "user ha\ntopic readwrite home/#\nuser lamp\ntopic write home/lamp\n");
    let lines = live.lines();

    let taken = live.init(&["--import", "--yes"]);
    assert_eq!(taken.status, Some(2), "{taken:?}");
    assert!(
        taken.stderr.contains("port 8883 is open already") && taken.stderr.contains("--take-port"),
        "{taken:?}"
    );
    let unasked = live.init(&["--import", "--take-port"]);
    assert_eq!(unasked.status, Some(2), "{unasked:?}");
    assert!(
        unasked.stderr.contains("-per_listener_settings true\n+#citronella# per_listener_settings true"),
        "{unasked:?}"
    );
    assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
    assert_eq!(live.lines(), lines);

    let outcome = live.init_and_restart(&["--import", "--take-port", "--yes"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("+#citronella# certfile  "), "{outcome:?}");
    let mut ha = Client::welcome(&live.door(1883), &Login::new("").user("ha").password("ha-secret"));
    ha.subscribe("home/x");
    assert_eq!(ha.publish(&Publish::to("home/x").payload("7")), 0);
    // Of another authority, and still the one that its certificate names.
    assert!(live.home.devices().contains("certificates = \"any\""), "{}", live.home.devices());
    let explained = live.home.run(&["explain", "lamp", "publish", "home/lamp"]);
    assert_eq!(explained.status, Some(0), "{explained:?}");

    let back = live.home.ok(&["uninstall", "--yes", "--mosquitto-conf", "conf.d/citronella.conf"]);
    assert!(back.contains("put aside") && back.contains("guard back: sudo citronella init"), "{back}");
    assert_eq!(live.lines(), lines, "the configuration is not what it was");
});

#[test]
fn rules_in_several_files_are_not_guessed_together() {
    let live = Live::new(
        Kind::named("2.0.11"),
        "per_listener_settings true\nlistener 1883 ADDRESS\npassword_file DIR/passwd\nlistener 1884 ADDRESS\npassword_file DIR/other\n",
    );
    live.user("ha", "x");
    live.home.write("other", "lamp:x\n");
    let before = live.home.files().len();
    let failed = live.init(&["--import", "--yes"]);
    assert_eq!(failed.status, Some(2), "{failed:?}");
    assert!(failed.stderr.contains("several files") && failed.stderr.contains("--no-import"), "{failed:?}");
    assert_eq!(live.home.files().len(), before);
}

#[test]
fn local_clients_without_a_name_do_not_open_the_port_for_passwords() {
    let lines = "listener 1883 localhost\nallow_anonymous true\n";
    let settings = |more: &[&str]| {
        let live = Live::new(Kind::named("2.0.11"), lines);
        let outcome = live.init(&[&["--import"][..], more].concat());
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        (live.home.read("etc/citronella.toml"), outcome.stderr)
    };
    assert!(settings(&[]).0.contains("\n[anonymous]\n"));
    let (text, said) = settings(&["--password-listener"]);
    assert!(!text.contains("[anonymous]"), "{text}");
    assert!(said.contains("warning: programs of this machine came in without a name"), "{said}");
}

#[test]
fn a_port_for_passwords_is_added_to_lines_that_people_have_changed() {
    let home = Home::new();
    let lines = home.read("mosquitto.conf") + "# mine\nmax_keepalive 600\n";
    home.write("mosquitto.conf", &lines);
    let added = home.init(&["--password-listener"]).run();
    assert_eq!(added.status, Some(0), "{added:?}");
    assert!(added.stderr.contains("\n+listener 8884\n"), "{added:?}");
    let now = home.read("mosquitto.conf");
    assert!(now.starts_with(&lines) && now.contains("\nlistener 8884\ncertfile "), "{now}");
    assert_eq!(home.mode("mosquitto.conf"), 0o644);
    let again = home.init(&["--password-listener"]).run();
    assert_eq!((again.status, home.read("mosquitto.conf")), (Some(0), now), "{again:?}");
}

#[test]
fn where_nothing_restarts_the_broker_the_line_is_printed() {
    let home = Home::empty();
    if PathBuf::from("/run/systemd/system").exists() {
        // The machine's own broker is none of ours.
        return;
    }
    let outcome = home.init(&["--restart"]).run();
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("nothing here restarts Mosquitto"), "{outcome:?}");
    assert!(outcome.stdout.contains("systemctl restart mosquitto"), "{outcome:?}");
}

#[test]
fn what_it_says_at_the_end_is_so() {
    let home = Home::empty();
    let said = home.init(&["--port", "9883"]).ok();
    assert!(said.contains("Nobody is let in yet") && !said.contains("--port"), "{said}");
    home.ok(&["device", "add", "lamp", "--no-certificate"]);
    let said = home.init(&["--port", "9883"]).ok();
    assert!(said.contains("1 device registered") && !said.contains("Nobody"), "{said}");
    let longest = said.lines().map(|line| line.chars().count()).max();
    assert!(
        said.lines().filter(|line| !line.contains("  # ")).all(|line| line.chars().count() < 200),
        "{longest:?}"
    );
}
