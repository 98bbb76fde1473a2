//! Hours in little time: files that change all the while under traffic, well written and broken, with reloads, kicks and
//! connects. `make faults` and `make soak` run it for longer and with the plugin as it is released.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use citronella::snapshot::{Permissions, Snapshot};

use crate::support::{
    Broker, Client, Conf, Door, DoorKind, Fleet, Kind, Login, Publish, Refused, Version, answered, wait_for,
};

const SETTINGS: &str = "version = 1\n[auth]\npassword_file = 'passwd'\n[limits]\nkick_rate = 1000\n[metrics]\nfile_interval = 1\n";

/// One state of the registry: whether `flapper` may connect, and whether `reader` may have `secret`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Policy {
    flapper: bool,
    secret: bool,
}

const POLICIES: [Policy; 4] = [
    Policy { flapper: true, secret: true },
    Policy { flapper: true, secret: false },
    Policy { flapper: false, secret: true },
    Policy { flapper: false, secret: false },
];

impl Policy {
    fn text(self) -> String {
        let state = if self.flapper { "active" } else { "disabled" };
        let secret = if self.secret { ", 'secret'" } else { "" };
        format!(
            "version = 1\n[keeper]\npubsub = ['to/keeper']\n[reader]\nsubscribe = ['open'{secret}]\n\
             [writer]\npublish = ['#']\n[flapper]\nstate = '{state}'\nsubscribe = ['open']\n"
        )
    }
}

/// What no plugin may take, whatever stood there before.
fn broken(number: u64) -> String {
    let good = POLICIES[0].text();
    match number % 6 {
        0 => String::new(),
        1 => format!("{}\n[[", &good[..good.len() / 2]),
        2 => format!("{good}[keeper]\n"),
        3 => good.replace("[writer]", "[writer]\nrole = 'nobody'"),
        4 => "\0\u{feff}\u{202e}".repeat(1_000),
        _ => "version = 1\n[other".to_owned(),
    }
}

/// Numbers without a pattern, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // SOURCE: Marsaglia, Xorshift RNGs (2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Puts a text into the registry in one of the ways in which people and programs do.
fn write(fleet: &Fleet, text: &str, dice: &mut Dice) {
    let path = fleet.path("devices.toml");
    match dice.roll(4) {
        0 | 1 => fleet.write("devices.toml", text),
        2 => {
            let mut file = File::options().write(true).truncate(true).open(&path).unwrap();
            for part in text.as_bytes().chunks(text.len() / 3 + 1) {
                file.write_all(part).unwrap();
                thread::sleep(Duration::from_millis(dice.roll(5)));
            }
        }
        _ => {
            fs::remove_file(&path).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        }
    }
}

/// In kilobytes, what the broker has in memory.
fn resident_kb(broker: &Broker) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", broker.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().filter(|text| !text.is_empty()).map_or(default, |text| text.parse().unwrap())
}

fn fleet(kind: Kind) -> Fleet {
    let fleet = Fleet::new(SETTINGS, &POLICIES[0].text());
    for name in ["keeper", "reader", "writer", "flapper"] {
        fleet.password(kind, name, "right");
    }
    fleet
}

fn conf(kind: Kind, fleet: &Fleet) -> Conf {
    Broker::conf(kind)
        .guarded_by(&fleet.config())
        // To tell of every packet would be most of what the broker does.
        .line("log_type none\nlog_type error\nlog_type warning\nlog_type notice\nlog_type information")
        .listener("tcp", DoorKind::Tcp, "")
        .listener("ws", DoorKind::Websocket, "")
}

/// Messages there and back until it is told to stop; whoever is dropped or misses one has failed. How many there were.
fn traffic(door: &Door, stop: &AtomicBool, pause: Duration) -> u64 {
    let mut keeper = Client::welcome(door, &Login::of("keeper"));
    keeper.subscribe("to/keeper");
    let mut messages = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        messages += 1;
        let text = messages.to_string();
        keeper.publish(&Publish::to("to/keeper").payload(text.as_str()).qos(1));
        assert_eq!(keeper.receive().payload, text.as_bytes());
        thread::sleep(pause);
    }
    messages
}

/// What must be true while this policy is in force.
fn judge(
    (broker, door): (&Broker, &Door),
    (writer, reader): (&mut Client, &mut Option<Client>),
    policy: Policy,
    round: u64,
) {
    let login = Login::new("").user("flapper").password("right").version(version(round));
    match (answered(door, &login), policy.flapper) {
        (Ok(client), true) => client.disconnect(),
        (Err(Refused::Connack(4 | 5 | 0x87)), false) => {}
        (answer, _) => panic!("{policy:?}: flapper gets {:?}", answer.map(drop)),
    }
    let stranger = answered(door, &login.user("stranger")).map(drop);
    assert!(matches!(stranger, Err(Refused::Connack(_))), "{stranger:?}");
    // The reader's session outlives the connections that are closed because its rights have shrunk.
    let came = loop {
        let client = reader.get_or_insert_with(|| {
            let mut client =
                answered(broker.door("tcp"), &Login::of("reader").persistent()).expect("reader is welcome");
            // Refused or not: it may have had the subscription before.
            client.try_subscribe(&[("open", 1), ("secret", 1)]).ok();
            client
        });
        writer.publish(&Publish::to("secret").payload("s").qos(1));
        writer.publish(&Publish::to("open").payload("o").qos(1));
        let (came, stays) = client.so_far();
        assert!(policy.secret || came.iter().all(|message| message.topic == "open"), "{policy:?}: {came:?}");
        if stays {
            break came;
        }
        *reader = None;
    };
    assert!(came.iter().any(|message| message.topic == "open"), "{policy:?}: {came:?}");
}

fn version(round: u64) -> Version {
    if round.is_multiple_of(3) { Version::V311 } else { Version::V5 }
}

broker_test!(files_that_change_all_the_while_admit_and_drop_nobody_wrongly, |kind| {
    let fleet = fleet(kind);
    let mut broker = conf(kind, &fleet).start();
    let revision = |policy: Policy| {
        fleet.write("devices.toml", &policy.text());
        let loaded = Snapshot::load(&fleet.config(), Permissions::Ignore);
        loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.report)).revision().to_owned()
    };
    let known: Vec<(Policy, String)> = POLICIES.iter().map(|policy| (*policy, revision(*policy))).collect();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut writer = Client::welcome(broker.door("tcp"), &Login::of("writer"));
    let mut reader = None;
    let (stop, rounds) = (AtomicBool::new(false), number("CITRONELLA_RELOADS", 50));
    let mut early_kb = 0;
    let mut doors = Vec::new();
    let messages = thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic(broker.door("tcp"), &stop, Duration::from_millis(5)));
        let storm = std::panic::AssertUnwindSafe(|| {
            for round in 0..rounds {
                for _ in 0..dice.roll(4) {
                    let text = broken(dice.roll(100));
                    write(&fleet, &text, &mut dice);
                    if dice.roll(3) == 0 {
                        broker.signal("HUP");
                    }
                    thread::sleep(Duration::from_millis(dice.roll(20)));
                }
                let chosen = usize::try_from(dice.roll(4)).unwrap();
                let (policy, wanted) = &known[chosen];
                write(&fleet, &policy.text(), &mut dice);
                broker.signal("HUP");
                let taken = || {
                    let in_force = broker.status().unwrap().in_force.revision;
                    assert!(known.iter().any(|(_, revision)| *revision == in_force), "{in_force}");
                    (in_force == *wanted).then_some(())
                };
                assert!(wait_for(taken).is_some(), "round {round}: {:?}", broker.status());
                // As many refusals of an address as are forgiven: what is remembered of addresses is memory, too.
                if round.is_multiple_of(4) {
                    doors = ["tcp", "ws"].map(|name| broker.door(name).afar()).into();
                }
                let door = &doors[usize::from(round.is_multiple_of(2))];
                judge((&broker, door), (&mut writer, &mut reader), *policy, round);
                if round == rounds / 5 {
                    early_kb = resident_kb(&broker);
                }
            }
        });
        let done = std::panic::catch_unwind(storm);
        stop.store(true, Ordering::Relaxed);
        let messages = traffic.join().unwrap();
        done.map(|()| messages).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let late_kb = resident_kb(&broker);
    println!(
        "{kind}: {rounds} changes, {messages} messages, {early_kb} kB after a fifth, {late_kb} kB at the end"
    );
    assert!(messages > rounds, "{messages}");
    // Whoever is refused or admitted from a new address is remembered in half a kilobyte, up to some thousands; a snapshot
    // that nobody freed would be more.
    assert!(late_kb <= early_kb + 1_024 + rounds, "{early_kb} kB, then {late_kb} kB");
    assert!(broker.stop().success());
    assert!(!broker.log().contains("internal error"), "a panic is not noticed by clients");
});

broker_test!(a_broker_that_runs_for_long_gets_no_larger, |kind| {
    let fleet = fleet(kind);
    let mut broker = conf(kind, &fleet).start();
    let minutes = number("CITRONELLA_SOAK_MINUTES", 0);
    // Without minutes it is only seen to work.
    let length = if minutes == 0 { Duration::from_secs(5) } else { Duration::from_secs(60 * minutes) };
    let (start, settled) = (Instant::now(), Duration::from_secs(300).min(length / 2));
    let (stop, connects) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut early_kb, mut changes) = (None, 0_u64);
    let messages = thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic(broker.door("tcp"), &stop, Duration::from_millis(20)));
        let comers = scope.spawn(|| {
            let doors = ["tcp", "ws"].map(|name| [broker.door(name).clone(), broker.door(name).afar()]);
            for number in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // Whoever guesses has an address of its own.
                let door = &doors[usize::from(number.is_multiple_of(4))][usize::from(number % 5 >= 3)];
                let login = Login::of("flapper").version(version(number));
                let login = Login { id: format!("flapper-{}", number % 50), ..login };
                let login = match number % 5 {
                    3 => login.password("wrong"),
                    4 => login.user("stranger"),
                    _ => login,
                };
                drop(Client::open(door, &login));
                connects.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(50));
            }
        });
        let change = std::panic::AssertUnwindSafe(|| {
            while start.elapsed() < length {
                let policy = POLICIES[usize::try_from(changes % 4).unwrap()];
                changes += 1;
                fleet.write("devices.toml", &policy.text());
                if changes.is_multiple_of(3) {
                    let before = broker.status().unwrap().sighups;
                    broker.signal("HUP");
                    let taken = || (broker.status().unwrap().sighups > before).then_some(());
                    assert!(wait_for(taken).is_some(), "{:?}", broker.status());
                }
                if changes.is_multiple_of(7) {
                    fleet.write("devices.toml", &broken(changes / 7));
                }
                if early_kb.is_none() && start.elapsed() >= settled {
                    early_kb = Some(resident_kb(&broker));
                    println!("{kind}: {} kB after {} s", resident_kb(&broker), start.elapsed().as_secs());
                }
                thread::sleep(Duration::from_millis(700));
            }
        });
        let done = std::panic::catch_unwind(change);
        stop.store(true, Ordering::Relaxed);
        comers.join().unwrap();
        let messages = traffic.join().unwrap();
        done.map(|()| messages).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let (early_kb, late_kb) = (early_kb.unwrap(), resident_kb(&broker));
    println!(
        "{kind}: {late_kb} kB after {} s, {changes} changes, {} connects, {messages} messages",
        start.elapsed().as_secs(),
        connects.load(Ordering::Relaxed),
    );
    assert!(messages > 0 && connects.load(Ordering::Relaxed) > 0);
    assert!(minutes < 10 || late_kb * 100 <= early_kb * 102, "{early_kb} kB, then {late_kb} kB");
    assert!(broker.stop().success());
    assert!(!broker.log().contains("internal error"));
});
