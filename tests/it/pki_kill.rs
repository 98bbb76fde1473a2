//! Commands killed at any instant, and several at once.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use citronella::pki::{
    Authority, AuthorityError, DeviceRequest, NewAuthority, PrivateKey, State, bundle::OnExisting,
};
use jiff::Timestamp;
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use crate::{
    pki_support::{House, ITERATIONS, PASSPHRASE, accepts, device, secret, verify, write_bundle},
    support::wait_for,
};

/// Tells this program, started again by a test, what to do: `issue` or `init`.
const TASK: &str = "CITRONELLA_TEST_PKI_TASK";
/// The folder to do it in, which holds or gets `pki` and `out`.
const PLACE: &str = "CITRONELLA_TEST_PKI_PLACE";
/// How many certificates.
const COUNT: &str = "CITRONELLA_TEST_PKI_COUNT";

/// Not a test of its own: what the others start and kill.
#[test]
fn worker() {
    let Ok(task) = std::env::var(TASK) else { return };
    let place = PathBuf::from(std::env::var_os(PLACE).unwrap());
    println!("ready");
    match task.as_str() {
        "init" => drop(init(&place).unwrap()),
        _ => issue(&place, std::env::var(COUNT).unwrap().parse().unwrap()),
    }
}

fn init(place: &Path) -> Result<citronella::pki::Issuer, AuthorityError> {
    let new = NewAuthority { iterations: ITERATIONS, ..NewAuthority::new("Casa Rossi") };
    Authority::init(&place.join("pki"), &new, &secret(PASSPHRASE), Timestamp::now())
}

/// Issues and writes bundles `d0`, `d1`, …, in place of those of an earlier run.
fn issue(place: &Path, count: usize) {
    let mut issuer = Authority::open(&place.join("pki")).unwrap().unlock(&secret(PASSPHRASE)).unwrap();
    for n in 0..count {
        let name = format!("d{n}");
        let issued = issuer.issue_device(&DeviceRequest::new(device(&name)), Timestamp::now()).unwrap();
        let ca_pem = issuer.authority().certificate_pem();
        write_bundle(&place.join("out"), (&name, &issued), ca_pem, OnExisting::Replace).unwrap();
    }
}

/// Started and about to begin.
fn start(task: &str, place: &Path, count: usize) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["pki_kill::worker", "--exact", "--nocapture"])
        .env(TASK, task)
        .env(PLACE, place)
        .env(COUNT, count.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the worker ended before it began");
    }
    // Keeps reading, so that the worker never writes into a closed pipe.
    std::thread::spawn(move || said.lines().for_each(drop));
    child
}

/// Ends it by SIGKILL after that many microseconds. The instants are the point, so this is no wait for a fact.
fn kill_after(mut child: Child, instant_us: u64) {
    std::thread::sleep(Duration::from_micros(instant_us));
    child.kill().unwrap();
    child.wait().unwrap();
}

fn random(below: u64) -> u64 {
    u64::from(getrandom::u32().unwrap()) % below
}

#[test]
fn a_kill_while_issuing_leaves_nothing_half_made() {
    let house = House::new(Default::default());
    let place = house.folder.path();
    fs::create_dir(place.join("out")).unwrap();
    for round in 0..30 {
        // Somewhere in its first certificates, however slow the machine is today.
        let ledger = || fs::metadata(house.pki().join("ledger")).map_or(0, |found| found.len());
        let goal = ledger() + random(2_000);
        let worker = start("issue", place, 1000);
        wait_for(|| (ledger() >= goal).then_some(())).expect("the worker gets on");
        kill_after(worker, random(20_000));
        let authority =
            Authority::open(&house.pki()).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_serials_are_unique(&house.pki());
        assert_bundles_are_whole(place, &authority);
    }
    let made = fs::read_dir(place.join("out")).unwrap().count();
    assert!(made > 3, "the kills came before anything was made: {made}");
    // The next run finds its way and clears away what the killed ones left.
    issue(place, 1 + highest(&place.join("out")));
    let authority = Authority::open(&house.pki()).unwrap();
    assert_eq!(authority.note(), None);
    assert_bundles_are_whole(place, &authority);
    for folder in [place.join("out"), house.pki(), house.pki().join("certs")] {
        let litter: Vec<_> = names(&folder).into_iter().filter(|name| name.starts_with('.')).collect();
        assert!(litter.is_empty(), "{litter:?}");
    }
    let all: Vec<String> =
        bundles(place).iter().map(|(name, path)| format!("{}/{name}.crt", path.display())).collect();
    let (last, more) = all.split_last().unwrap();
    let mut args = vec!["-purpose", "sslclient"];
    args.extend(more.iter().map(String::as_str));
    accepts(verify(&house.ca(), Path::new(last), &args));
}

#[test]
fn a_kill_while_the_authority_is_made_is_made_good_by_doing_it_again() {
    let (mut unfinished, mut finished) = (0, 0);
    // How long it takes on this machine today; the last rounds come too late to stop it.
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    start("init", folder.path(), 0).wait().unwrap();
    let whole_us = u64::try_from(begun.elapsed().as_micros()).unwrap();
    for round in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        kill_after(start("init", folder.path(), 0), whole_us * round / 26);
        let pki = folder.path().join("pki");
        let mut issuer = match Authority::open(&pki) {
            Ok(authority) => {
                finished += 1;
                assert!(matches!(init(folder.path()), Err(AuthorityError::Exists(_))));
                authority.unlock(&secret(PASSPHRASE)).unwrap()
            }
            Err(AuthorityError::Missing(_)) => {
                unfinished += 1;
                init(folder.path()).unwrap()
            }
            Err(error) => panic!("round {round}: {error}"),
        };
        let issued = issuer.issue_device(&DeviceRequest::new(device("thunder10")), Timestamp::now()).unwrap();
        let path = folder.path().join("thunder10.crt");
        fs::write(&path, issued.chain_pem()).unwrap();
        accepts(verify(&pki.join("ca.crt"), &path, &[]));
        assert!(names(&pki).iter().all(|name| !name.starts_with('.')), "{:?}", names(&pki));
    }
    assert!(
        unfinished > 0 && finished > 0,
        "{unfinished} unfinished, {finished} finished: the instants miss the work"
    );
}

#[test]
fn commands_at_once_never_repeat_a_serial() {
    let house = House::new(Default::default());
    let places: Vec<PathBuf> = (0..3).map(|n| house.folder.path().join(format!("p{n}"))).collect();
    for place in &places {
        fs::create_dir_all(place.join("out")).unwrap();
        std::os::unix::fs::symlink(house.pki(), place.join("pki")).unwrap();
    }
    let workers: Vec<Child> = places.iter().map(|place| start("issue", place, 20)).collect();
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    assert_serials_are_unique(&house.pki());
    let authority = Authority::open(&house.pki()).unwrap();
    assert_eq!(authority.list().len(), 1 + 3 * 20);
    let now = Timestamp::now();
    assert!(authority.list().iter().all(|entry| entry.state(now) == State::Valid));
    for place in &places {
        assert_eq!(bundles(place).len(), 20);
        assert_bundles_are_whole(place, &authority);
    }
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Finished bundles by name.
fn bundles(place: &Path) -> Vec<(String, PathBuf)> {
    let out = place.join("out");
    names(&out)
        .into_iter()
        .filter(|name| !name.starts_with('.'))
        .map(|name| (name.clone(), out.join(name)))
        .collect()
}

/// The highest number in the names of finished bundles and drafts.
fn highest(out: &Path) -> usize {
    let number = |name: &String| {
        name.trim_start_matches(".citronella-")
            .trim_start_matches('d')
            .split('-')
            .next()
            .unwrap()
            .parse()
            .ok()
    };
    names(out).iter().filter_map(number).max().unwrap_or(0)
}

/// Asks the file itself, not the code that wrote it.
fn assert_serials_are_unique(pki: &Path) {
    let text = fs::read_to_string(pki.join("ledger")).unwrap();
    for event in ["reserved", "issued"] {
        let serials: Vec<String> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|line| line["event"] == event)
            .map(|line| line["serial"].as_str().unwrap().to_owned())
            .collect();
        let unique: HashSet<&String> = serials.iter().collect();
        assert_eq!(unique.len(), serials.len(), "{event}");
    }
}

/// Four files, a key that opens and is the certificate's, and a certificate that the ledger knows as valid.
fn assert_bundles_are_whole(place: &Path, authority: &Authority) {
    for (name, path) in bundles(place) {
        let mut files = names(&path);
        files.sort();
        assert_eq!(files, ["ca.crt", "connect.txt", &format!("{name}.crt"), &format!("{name}.key")]);
        let sealed = fs::read(path.join(format!("{name}.key"))).unwrap();
        let key = PrivateKey::from_pem(&sealed, Some(&secret(PASSPHRASE))).unwrap();
        let plain = key.to_plain_pem().unwrap();
        let chain = vec![CertificateDer::from_pem_file(path.join(format!("{name}.crt"))).unwrap()];
        let fingerprint = citronella::pki::inspect::certificate(&chain[0]).unwrap().sha256;
        let key = PrivateKeyDer::from_pem_slice(plain.expose()).unwrap();
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).unwrap();
        let entry = authority.find(&fingerprint).unwrap_or_else(|| panic!("{name} is not in the ledger"));
        assert_eq!((entry.name.as_str(), entry.state(Timestamp::now())), (name.as_str(), State::Valid));
    }
}
