import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** TLS as the device whose key store stands in a folder. */
public class Tls {
    static final String KEYS = @"STORE"@;
    static final String TRUSTED = "truststore.@STORE@";

    public static SSLContext context(Path folder, char[] passphrase) throws Exception {
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store(folder.resolve(KEYS), passphrase), passphrase);
        TrustManagerFactory trusted = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trusted.init(store(folder.resolve(TRUSTED), passphrase));
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trusted.getTrustManagers(), null);
        return context;
    }

    static KeyStore store(Path file, char[] passphrase) throws Exception {
        KeyStore store = KeyStore.getInstance("@STORETYPE@");
        try (InputStream in = Files.newInputStream(file)) {
            store.load(in, passphrase);
        }
        return store;
    }

    /** A handshake, and an MQTT 3.1.1 CONNECT: prints what the broker answers. */
    public static void main(String[] arguments) throws Exception {
        char[] passphrase = System.getenv("CITRONELLA_KEY_PASSPHRASE").toCharArray();
        SSLContext context = context(Path.of("."), passphrase);
        try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(@"HOST"@, @PORT@)) {
            SSLParameters parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            socket.setSSLParameters(parameters);
            socket.setSoTimeout(20_000);
            byte[] id = @"DEVICE"@.getBytes(StandardCharsets.UTF_8);
            byte[] fields = {0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, (byte) (id.length >> 8), (byte) id.length};
            ByteArrayOutputStream connect = new ByteArrayOutputStream();
            connect.write(0x10);
            int length = fields.length + id.length;
            for (; length > 127; length >>= 7) connect.write(length & 127 | 128);
            connect.write(length);
            connect.writeBytes(fields);
            connect.writeBytes(id);
            socket.getOutputStream().write(connect.toByteArray());
            byte[] answer = socket.getInputStream().readNBytes(4);
            boolean admitted = answer.length == 4 && answer[0] == 0x20 && answer[3] == 0;
            System.out.println(admitted ? "admitted" : "refused");
            System.exit(admitted ? 0 : 1);
        }
    }
}
