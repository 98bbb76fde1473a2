//! The mistake of a guide's Java client: `SSLContext.init(null, …)`, so that the key in its store is never shown.

use std::process::Command;

use crate::support::{Authority, Broker, Cmd};

const CLIENT: &str = r#"
import java.io.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;

public class Guide {
    public static void main(String[] arguments) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream ca = new FileInputStream(arguments[0])) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(ca));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        try (Socket socket = new Socket(context, arguments[1], Integer.parseInt(arguments[2]))) {
            System.out.println("answer " + socket.connect());
        } catch (IOException failure) {
            System.out.println("failed: " + failure.getMessage());
        }
    }

    record Socket(SSLSocket inner) implements Closeable {
        Socket(SSLContext context, String host, int port) throws IOException {
            this((SSLSocket) context.getSocketFactory().createSocket(host, port));
        }

        int connect() throws IOException {
            inner.startHandshake();
            inner.getOutputStream().write(new byte[] {0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 30, 0, 0});
            return inner.getInputStream().read();
        }

        public void close() throws IOException {
            inner.close();
        }
    }
}
"#;

broker_test!(a_client_that_does_not_show_its_certificate_is_explained, |kind| {
    let conf = Broker::conf(kind).line("allow_anonymous true");
    let authority = Authority::new(&conf.dir().join("pki"));
    let broker = conf.tls("tls", &authority, "require_certificate true\n").start();
    let address = broker.door("tls").address;
    let source = broker.dir().join("Guide.java");
    std::fs::write(&source, CLIENT).unwrap();
    let ca = authority.certificate();
    let output = Command::new("java")
        .arg(&source)
        .arg(&ca)
        .args([address.ip().to_string(), address.port().to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("failed: "), "{said}{}", String::from_utf8_lossy(&output.stderr));
    broker.wait_for_log("peer did not return a certificate");

    let outcome = Cmd::new(["probe", &format!("mqtts://{address}"), "--cafile", ca.to_str().unwrap()]).run();
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("got none [certificate-required]"), "{outcome:?}");
    assert!(outcome.stdout.contains("in Java `SSLContext.init` needs a KeyManager"), "{outcome:?}");
});
