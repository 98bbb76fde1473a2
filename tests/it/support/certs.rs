//! Certificates, made by OpenSSL: a judge of ours must not be made by us.

use std::{
    ffi::OsStr,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Credential {
    /// SHA-256 of the certificate, in lower-case hex.
    pub(crate) fn fingerprint(&self) -> String {
        let text = openssl(["x509", "-noout", "-fingerprint", "-sha256", "-in"], [&self.certificate]);
        text.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase()
    }

    /// The serial number, in lower-case hex.
    pub(crate) fn serial(&self) -> String {
        let text = openssl(["x509", "-noout", "-serial", "-in"], [&self.certificate]);
        text.trim().rsplit('=').next().unwrap().to_lowercase()
    }
}

/// A certificate authority in a directory; P-256 throughout, because it is quick.
pub(crate) struct Authority {
    dir: PathBuf,
}

impl Authority {
    /// A new authority; the directory is made.
    pub(crate) fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let authority = Self { dir: dir.to_owned() };
        let mut arguments = new_key("ca", "/CN=Test CA");
        arguments.extend(words(
            "-days 30 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign",
        ));
        authority.req(&arguments);
        authority
    }

    /// The CA's own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// The CA's key, for whoever wants to sign with it.
    pub(crate) fn key(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    /// A broker's certificate for `broker.test`, `localhost` and this address.
    pub(crate) fn broker(&self, name: &str, address: Ipv4Addr) -> Credential {
        let name = format!("broker-{name}-{address}");
        let alternatives = format!("subjectAltName=DNS:broker.test,DNS:localhost,IP:{address}");
        self.sign(&name, "/CN=broker.test", &[&alternatives, "extendedKeyUsage=serverAuth"])
    }

    /// A device's certificate whose only CN is its name.
    pub(crate) fn device(&self, name: &str) -> Credential {
        self.client(name, &format!("/CN={name}"), &[])
    }

    /// A client's certificate with this subject as `openssl -subj` reads it (`/CN=a/CN=b`, `/O=none`) and these
    /// further extensions (`subjectAltName=URI:urn:x`).  `file` names the files.
    pub(crate) fn client(&self, file: &str, subject: &str, extensions: &[&str]) -> Credential {
        let mut all = vec!["extendedKeyUsage=clientAuth"];
        all.extend(extensions);
        self.sign(file, subject, &all)
    }

    /// A device's certificate whose CN has another string type: `string_mask` as in openssl-req(1), for example
    /// `MASK:0x800` (BMPString) or `MASK:0x4` (T61String).  It may be longer than RFC 5280 lets it be.
    pub(crate) fn device_with_string_mask(&self, file: &str, name: &str, string_mask: &str) -> Credential {
        let config = self.dir.join(format!("{file}.cnf"));
        let text = format!(
            "openssl_conf = init\n[init]\nstbl_section = strings\n[strings]\ncommonName = max:1000\n\
             [req]\nprompt = no\ndistinguished_name = dn\nstring_mask = {string_mask}\nutf8 = yes\n[dn]\nCN = {name}\n"
        );
        fs::write(&config, text).unwrap();
        let mut arguments = new_key(file, "");
        arguments.truncate(arguments.len() - 2);
        arguments.extend(["-config".to_owned(), config.display().to_string()]);
        arguments.extend(words("-CA ca.crt -CAkey ca.key -days 20 -addext extendedKeyUsage=clientAuth"));
        self.req(&arguments);
        self.credential(file)
    }

    /// A device's certificate with bytes in its CN that OpenSSL's tools do not write: `name` as UTF8String, whatever it
    /// is.
    pub(crate) fn device_with_bytes(&self, file: &str, name: &[u8]) -> Credential {
        let placeholder = "?".repeat(name.len());
        let credential = self.device_with_string_mask(file, &placeholder, "utf8only");
        let path = |extension: &str| self.dir.join(format!("{file}.{extension}"));
        openssl(
            ["x509", "-outform", "DER", "-in"],
            [&credential.certificate, Path::new("-out"), &path("der")] as [&Path; 3],
        );
        let whole = fs::read(path("der")).unwrap();
        let (_, inside, _) = der(&whole);
        let (signed, _, rest) = der(inside);
        let (algorithm, _, _) = der(rest);
        let mut signed = signed.to_vec();
        let at = signed.windows(name.len()).position(|window| window == placeholder.as_bytes()).unwrap();
        signed[at..at + name.len()].copy_from_slice(name);
        fs::write(path("tbs"), &signed).unwrap();
        openssl(["dgst", "-sha256", "-sign"], [&self.key(), Path::new("-out"), &path("sig"), &path("tbs")]);
        let mut signature = vec![0];
        signature.extend(fs::read(path("sig")).unwrap());
        let parts = [&signed, algorithm, &tagged(0x03, &signature)].concat();
        fs::write(path("der"), tagged(0x30, &parts)).unwrap();
        // Not with `openssl x509`, which refuses some of these.
        let text = openssl(["base64", "-in"], [path("der")]);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n");
        fs::write(&credential.certificate, pem).unwrap();
        credential
    }

    /// A device's certificate that was good for a day and is not any more.
    pub(crate) fn expired(&self, name: &str) -> Credential {
        self.dated(name, "20200101000000Z", "20200102000000Z")
    }

    /// A device's certificate for this time (`YYYYMMDDHHMMSSZ`).
    pub(crate) fn dated(&self, name: &str, from: &str, to: &str) -> Credential {
        let file = format!("{name}-{to}");
        let mut arguments = new_key(&file, &format!("/CN={name}"));
        // A request this time: no -x509.
        arguments.retain(|argument| argument != "-x509");
        let out = arguments.iter().position(|argument| argument == "-out").unwrap() + 1;
        arguments[out] = format!("{file}.csr");
        self.req(&arguments);
        let text = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n\
                    default_md = sha256\npolicy = any\nunique_subject = no\nx509_extensions = client\n\
                    [any]\ncommonName = supplied\n[client]\nextendedKeyUsage = clientAuth\n";
        fs::write(self.dir.join("ca.cnf"), text).unwrap();
        fs::write(self.dir.join("index"), "").unwrap();
        let mut arguments = words("ca -batch -notext -config ca.cnf -cert ca.crt -keyfile ca.key -startdate");
        arguments.extend([from.to_owned(), "-enddate".to_owned(), to.to_owned()]);
        arguments.extend(["-in".to_owned(), format!("{file}.csr"), "-out".to_owned(), format!("{file}.crt")]);
        self.openssl(&arguments);
        self.credential(&file)
    }

    fn sign(&self, file: &str, subject: &str, extensions: &[&str]) -> Credential {
        let mut arguments = new_key(file, subject);
        arguments.extend(words("-CA ca.crt -CAkey ca.key -days 20"));
        for extension in ["basicConstraints=CA:FALSE"].iter().chain(extensions) {
            arguments.extend(["-addext".to_owned(), (*extension).to_owned()]);
        }
        self.req(&arguments);
        self.credential(file)
    }

    /// A certificate that was made before, by the name of its files.
    pub(crate) fn credential(&self, file: &str) -> Credential {
        Credential {
            certificate: self.dir.join(format!("{file}.crt")),
            key: self.dir.join(format!("{file}.key")),
        }
    }

    #[track_caller]
    fn req(&self, arguments: &[String]) {
        let mut all = words("req");
        all.extend_from_slice(arguments);
        self.openssl(&all);
    }

    #[track_caller]
    fn openssl(&self, arguments: &[String]) {
        let output = Command::new("openssl").args(arguments).current_dir(&self.dir).output().unwrap();
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The arguments for a certificate with a key of its own; `-subj SUBJECT` comes last.
fn new_key(file: &str, subject: &str) -> Vec<String> {
    let mut all = words("-x509 -utf8 -multivalue-rdn -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes");
    all.extend(["-keyout".to_owned(), format!("{file}.key"), "-out".to_owned(), format!("{file}.crt")]);
    all.extend(["-subj".to_owned(), subject.to_owned()]);
    all
}

/// The first element in these bytes of DER, its content, and what follows it.
fn der(bytes: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (length, head) = match bytes[1] {
        0x82 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
        0x81 => (usize::from(bytes[2]), 3),
        short => (usize::from(short), 2),
    };
    let (element, rest) = bytes.split_at(head + length);
    (element, &element[head..], rest)
}

/// An element of DER with more than 255 bytes of content, or with less than 128.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 128 => bytes.push(short),
        _ => {
            bytes.push(0x82);
            bytes.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Runs `openssl ARGUMENTS… MORE…`; its standard output.
#[track_caller]
pub(crate) fn openssl<A: AsRef<OsStr>, B: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = A>,
    more: impl IntoIterator<Item = B>,
) -> String {
    let output = Command::new("openssl").args(arguments).args(more).output().unwrap();
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
