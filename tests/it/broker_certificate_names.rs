//! Which device a certificate names, and that an odd one names nobody.

use crate::support::{Authority, Broker, Fleet, Login, admitted, refused, turned_away};

const REGISTRY: &str = "
version = 1
[thunder10]
certificates = 'any'
[other]
certificates = 'any'
['living room']
certificates = 'any'
['Küche']
certificates = 'any'
";

fn settings(sources: &str) -> String {
    format!("version = 1\n[identity]\ncertificate = {sources}\n[everyone]\nsubscribe = ['who/{{device}}']\n")
}

broker_test!(a_common_name_is_one_valid_name_or_nobody, |kind| {
    let fleet = Fleet::new(&settings("['cn']"), REGISTRY);
    let ca = fleet.authority();
    let want = "require_certificate true";
    let broker =
        Broker::conf(kind).guarded_by(&fleet.config()).tls("tls", ca, want).wss("wss", ca, want).start();
    let login = Login::new("");
    let right = [
        (ca.device("thunder10"), "thunder10"),
        (ca.client("around", "/C=IT/O=Works/CN=thunder10/OU=Hall 3", &[]), "thunder10"),
        (ca.device("living room"), "living room"),
        (ca.client("kitchen", "/CN=Küche", &[]), "Küche"),
        (ca.device_with_string_mask("printable", "thunder10", "MASK:0x2"), "thunder10"),
        // Sources that are not configured do not count.
        (
            ca.client("elsewhere", "/CN=thunder10", &["subjectAltName=DNS:other,URI:urn:dev:other"]),
            "thunder10",
        ),
    ];
    let bmp = ca.device_with_string_mask("bmp", "thunder10", "MASK:0x800");
    let t61 = ca.device_with_string_mask("t61", "thunder10é", "MASK:0x4");
    let long = ca.device_with_string_mask("long", &"x".repeat(129), "utf8only");
    let odd = [
        (ca.client("two", "/CN=thunder10/CN=other", &[]), "several values for its common name"),
        (ca.client("twice", "/CN=thunder10/CN=thunder10", &[]), "several values for its common name"),
        (ca.client("joined", "/CN=thunder10+CN=other", &[]), "several values for its common name"),
        (ca.client("none", "/O=thunder10", &[]), "no name where the configuration looks"),
        (
            ca.client("san", "/O=thunder10", &["subjectAltName=DNS:thunder10"]),
            "no name where the configuration looks",
        ),
        (bmp, "common name is not in UTF-8 or ASCII"),
        (t61, "common name is not in UTF-8 or ASCII"),
        (ca.device_with_bytes("nul", b"thunder10\0.test"), "cannot contain control characters"),
        (ca.device_with_bytes("nul-last", b"thunder10\0"), "cannot contain control characters"),
        (ca.device_with_bytes("line", b"thunder10\nforged"), "cannot contain control characters"),
        (ca.client("slash", r"/CN=thunder10\/x", &[]), "cannot contain `/`"),
        (ca.client("plus", r"/CN=\+", &[]), "cannot contain `+`"),
        (ca.client("hash", "/CN=#", &[]), "cannot contain `#`"),
        (ca.client("dollar", "/CN=$SYS", &[]), "cannot start with `$`"),
        (ca.client("tilde", "/CN=~anonymous", &[]), "cannot start with `~`"),
        (ca.client("blank", "/CN=thunder10 ", &[]), "cannot start or end with a blank"),
        (ca.client("before", "/CN= thunder10", &[]), "cannot start or end with a blank"),
        (ca.client("case", "/CN=THUNDER10", &[]), "no device is called `THUNDER10`"),
        (long, "at most 128 bytes"),
    ];
    for door in ["tls", "wss"].map(|name| broker.door(name)) {
        for (credential, name) in &right {
            admitted(&door.showing(credential), &login, name);
        }
    }
    let door = broker.door("tls");
    for (credential, reason) in &odd {
        refused(&broker, &door.showing(credential), &login, reason);
    }
    refused(&broker, &broker.door("wss").showing(&odd[0].0), &login, odd[0].1);
    // OpenSSL reads no UTF8String that is none.
    turned_away(&broker, &door.showing(&ca.device_with_bytes("latin", b"thunder\xe9")), &login);
    let stranger = Authority::new(&fleet.path("elsewhere")).device("thunder10");
    turned_away(&broker, &door.showing(&stranger), &login);
});

broker_test!(the_first_source_that_is_there_decides, |kind| {
    let sources = "[{ san-uri = 'urn:dev:' }, 'san-dns', 'cn']";
    let registry = format!("{REGISTRY}['{}']\ncertificates = 'any'\n", "x".repeat(128));
    let fleet = Fleet::new(&settings(sources), &registry);
    let ca = fleet.authority();
    let broker =
        Broker::conf(kind).guarded_by(&fleet.config()).tls("tls", ca, "require_certificate true").start();
    let with = |file: &str, names: &str| {
        let extension = format!("subjectAltName={names}");
        ca.client(file, "/CN=other", &[&extension])
    };
    let (longest, longer) = ("x".repeat(128), "x".repeat(129));
    let login = Login::new("");
    for (credential, name) in [
        (with("uri", "URI:urn:dev:thunder10,DNS:other"), "thunder10"),
        (with("dns", "URI:urn:ops:other,DNS:thunder10"), "thunder10"),
        (with("mail", "email:thunder10@works.test"), "other"),
        (with("long", &format!("URI:urn:dev:{longest}")), &*longest),
        (ca.device("other"), "other"),
    ] {
        admitted(&broker.door("tls").showing(&credential), &login, name);
    }
    // Right as the later sources are, an invalid or ambiguous first one is not passed over.
    for (credential, reason) in [
        (with("empty", "URI:urn:dev:,DNS:thunder10"), "URI `` is no device name: a name has at least one"),
        (with("two", "URI:urn:dev:thunder10,URI:urn:dev:other"), "several values for its URI"),
        (with("slash", "URI:urn:dev:thunder10/x,DNS:thunder10"), "cannot contain `/`"),
        (with("longer", &format!("URI:urn:dev:{longer}")), "at most 128 bytes"),
        (with("two-dns", "DNS:thunder10,DNS:thunder10.works.test"), "several values for its DNS name"),
        (with("wildcard", "DNS:*.thunder10"), "no device is called `*.thunder10`"),
        (with("case", "DNS:Thunder10"), "no device is called `Thunder10`"),
        (with("upper", "URI:URN:DEV:thunder10,DNS:nobody"), "no device is called `nobody`"),
    ] {
        refused(&broker, &broker.door("tls").showing(&credential), &login, reason);
    }
});
