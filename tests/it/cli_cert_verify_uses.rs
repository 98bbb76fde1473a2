//! `citronella cert verify`: usages, chains that end below a root, and several revocation lists, as openssl judges them.

use crate::{
    cli_support::Home,
    pki_support::{run, verify},
};

/// The codes of what is wrong.
#[track_caller]
fn faults(home: &Home, arguments: &[&str]) -> Vec<String> {
    let told = home.json(&[&["cert", "verify"], arguments].concat());
    let faults = told["faults"].as_array().unwrap();
    faults.iter().map(|fault| fault["code"].as_str().unwrap().to_owned()).collect()
}

/// A root, an authority below it and a leaf, with these extensions, as files; `chain.pem` is what the leaf sends.
fn chain([root, middle, leaf]: [&str; 3]) -> String {
    let root = if root.is_empty() { String::new() } else { format!("-addext {root}") };
    format!(
        "set -e; exec 2>&1; rm -f *.crt *.csr *.key
        new() {{ openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj \"$2\"; }}
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.crt -subj /CN=root \
            -addext keyUsage=critical,keyCertSign {root}
        new middle /CN=middle; new leaf /CN=leaf
        printf 'basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\nkeyUsage=critical,keyCertSign,cRLSign\n{middle}\n' > middle.ext
        printf 'basicConstraints=critical,CA:FALSE\n{leaf}\n' > leaf.ext
        openssl x509 -req -in middle.csr -CA root.crt -CAkey root.key -extfile middle.ext -out middle.crt -days 30
        openssl x509 -req -in leaf.csr -CA middle.crt -CAkey middle.key -extfile leaf.ext -out leaf.crt -days 30
        cat leaf.crt middle.crt > chain.pem; cat middle.crt root.crt > both.crt"
    )
}

/// Whether openssl accepts the leaf below what this file has.
fn openssl(home: &Home, trusted: &str, more: &[&str]) -> bool {
    let chain = home.path("chain.pem");
    let asked = [&["-untrusted", chain.to_str().unwrap()], more].concat();
    verify(&home.path(trusted), &home.path("leaf.crt"), &asked).0
}

#[test]
fn usages_count_as_openssl_counts_them_on_every_certificate_of_the_chain() {
    let home = Home::empty();
    let usage = "keyUsage=critical,digitalSignature";
    for (extensions, device, broker) in [
        (["", "", usage], None, None),
        (["", "", ""], None, None),
        (["", "", "keyUsage=critical,keyAgreement"], None, None),
        (["", "", "keyUsage=critical,keyEncipherment"], Some("key-usage"), None),
        (["", "", "keyUsage=critical,cRLSign"], Some("key-usage"), Some("key-usage")),
        (["", "extendedKeyUsage=serverAuth", usage], Some("issuer-purpose"), None),
        (["", "extendedKeyUsage=clientAuth", usage], None, Some("issuer-purpose")),
        (["", "extendedKeyUsage=clientAuth,serverAuth", usage], None, None),
        (["extendedKeyUsage=serverAuth", "", usage], Some("issuer-purpose"), None),
    ] {
        home.shell(&chain(extensions)).ok();
        for (ours, theirs, wanted) in [("device", "sslclient", device), ("broker", "sslserver", broker)] {
            let accepted = openssl(&home, "root.crt", &["-purpose", theirs]);
            assert_eq!(accepted, wanted.is_none(), "{extensions:?} {theirs}");
            let found = faults(&home, &["chain.pem", "--ca", "root.crt", "--purpose", ours]);
            assert_eq!(found, wanted.iter().copied().collect::<Vec<_>>(), "{extensions:?} {ours}");
        }
    }
}

#[test]
fn an_authority_that_is_trusted_without_its_root_is_told_as_that() {
    let home = Home::empty();
    home.shell(&chain(["", "", ""])).ok();
    for (trusted, wanted) in [("root.crt", None), ("both.crt", None), ("middle.crt", Some("partial-chain"))] {
        assert_eq!(openssl(&home, trusted, &[]), wanted.is_none(), "{trusted}");
        let found = faults(&home, &["chain.pem", "--ca", trusted]);
        assert_eq!(found, wanted.iter().copied().collect::<Vec<_>>(), "{trusted}");
    }
    assert!(openssl(&home, "middle.crt", &["-partial_chain"]));
    assert_eq!(faults(&home, &["leaf.crt", "--ca", "middle.crt"]), ["partial-chain"]);
    assert_eq!(faults(&home, &["leaf.crt", "--ca", "both.crt"]), [""; 0]);
    assert_eq!(faults(&home, &["leaf.crt", "--ca", "root.crt"]), ["unknown-issuer"]);
    // Trusted itself, without anybody above it.
    assert_eq!(faults(&home, &["leaf.crt", "--ca", "leaf.crt"]), ["partial-chain"]);
    assert!(!verify(&home.path("leaf.crt"), &home.path("leaf.crt"), &[]).0);
}

#[test]
fn of_several_lists_the_newest_in_date_counts() {
    let home = Home::empty();
    let lists = "
        printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\n' > ca.cnf
        crl() { openssl ca -gencrl -config ca.cnf -cert middle.crt -keyfile middle.key -crl_lastupdate $2 -crl_nextupdate $3 -out $1; }
        : > index; echo 01 > number
        crl past 20230101000000Z 20230201000000Z
        crl old 20240101000000Z 20450101000000Z
        crl later 20240401000000Z 20450101000000Z
        printf 'R\\t451231235959Z\\t240102000000Z\\t%s\\tunknown\\t/CN=leaf\\n' $(openssl x509 -in leaf.crt -noout -serial | cut -d= -f2) > index
        crl new 20240301000000Z 20450101000000Z
        crl future 20440301000000Z 20450101000000Z
        openssl crl -in new -outform DER -out new.der";
    home.shell(&format!("{}{lists}", chain(["", "", ""]))).ok();
    for (files, wanted) in [
        (&["old"][..], None),
        (&["new"], Some("revoked")),
        (&["old", "new"], Some("revoked")),
        (&["new", "old"], Some("revoked")),
        (&["new", "later"], None),
        (&["past", "old"], None),
        (&["past", "old", "new"], Some("revoked")),
        (&["future", "old"], None),
        (&["past"], Some("crl-expired")),
    ] {
        let text: String = files.iter().map(|file| home.read(file)).collect();
        home.write("lists.pem", text);
        let lists = home.path("lists.pem");
        let theirs = openssl(&home, "root.crt", &["-crl_check", "-CRLfile", lists.to_str().unwrap()]);
        assert_eq!(theirs, wanted.is_none(), "{files:?}");
        let found = faults(&home, &["chain.pem", "--ca", "root.crt", "--crl", "lists.pem"]);
        assert_eq!(found, wanted.iter().copied().collect::<Vec<_>>(), "{files:?}");
    }
    assert_eq!(faults(&home, &["chain.pem", "--ca", "root.crt", "--crl", "new.der"]), ["crl-der"]);
    let said = home.run(&["cert", "verify", "chain.pem", "--ca", "root.crt", "--crl", "new.der"]);
    assert!(said.status == Some(1) && said.stdout.contains("Mosquitto takes PEM"), "{said:?}");
    let (told, text) =
        run("openssl", &["crl", "-inform", "DER", "-in", home.path("new.der").to_str().unwrap(), "-noout"]);
    assert!(told, "{text}");
}

#[test]
fn a_new_name_has_nothing_that_nobody_can_see_and_old_ones_are_read() {
    let home = Home::new();
    for name in ["lamp\u{200b}", "u\u{2028}process", "gnp\u{202e}.x"] {
        home.fails(&["device", "add", name, "--role", "sensor", "--no-certificate"], &["nobody can see"]);
        home.write("list.csv", format!("name,role,credentials\nok,sensor,none\n{name},sensor,none\n"));
        home.fails(&["device", "import", "list.csv"], &["nobody can see", "list.csv:3"]);
        let registry = home.devices();
        let quoted = serde_json::to_string(name).unwrap();
        home.write("etc/devices.toml", format!("{registry}\n[{quoted}]\nroles = [\"sensor\"]\n"));
        home.ok(&["check"]);
        home.ok(&["device", "show", name]);
        home.ok(&["device", "disable", name, "--no-wait"]);
        home.write("etc/devices.toml", registry);
    }
}
