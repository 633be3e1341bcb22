import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Signature;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Base64;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * Reads secrets from a KMS instance with the client key of an AAP, and goes on with the new key after a rotation. Names
 * of secrets come from standard input, a line each.
 *
 *     echo db | java Application.java /run/aap/payments https://kst-hzz1234.cryptoservice.kms.aliyuncs.com PASSWORD_FILE
 *
 * Without PASSWORD_FILE the password is the key's own, which is there with expose_password = yes. The instance's CA has
 * to be in the truststore (javax.net.ssl.trustStore and javax.net.ssl.trustStorePassword). Needs a JDK of version 17 or later, and nothing else.
 */
public class Application {
    private static final String TYPE = "application/x-protobuf";
    private static final DateTimeFormatter RFC_1123 =
        DateTimeFormatter.ofPattern("EEE, dd MMM yyyy HH:mm:ss 'GMT'", Locale.ENGLISH);

    record ClientKey(String id, PrivateKey key) {
        /** `current` leads to one key's own directory: what is read there belongs together. */
        static ClientKey load(Path directory, Path passwordFile) throws IOException, GeneralSecurityException {
            Path current = directory.resolve("current").toRealPath();
            Path file = passwordFile == null ? current.resolve("password") : passwordFile;
            char[] password = Files.readString(file).stripTrailing().toCharArray();
            KeyStore store = KeyStore.getInstance("PKCS12");
            try (InputStream in = Files.newInputStream(current.resolve("client_key.p12"))) {
                store.load(in, password);
            }
            String alias = store.aliases().nextElement();
            return new ClientKey(Files.readString(current.resolve("client_key_id")).strip(),
                                 (PrivateKey) store.getKey(alias, password));
        }

        String sign(String text) throws GeneralSecurityException {
            Signature signature = Signature.getInstance("SHA256withRSA");
            signature.initSign(key);
            signature.update(text.getBytes(StandardCharsets.UTF_8));
            return Base64.getEncoder().encodeToString(signature.sign());
        }
    }

    /** Whether `current` was replaced since the last call: it is the first name that moves in a rotation. */
    static boolean wasRotated(WatchService watch) {
        boolean moved = false;
        for (WatchKey key = watch.poll(); key != null; key = watch.poll()) {
            for (WatchEvent<?> event : key.pollEvents())
                moved |= event.kind() == StandardWatchEventKinds.OVERFLOW
                    || event.context().toString().equals("current");
            key.reset();
        }
        return moved;
    }

    /** The texts of a message of Protocol Buffers, by field. */
    static Map<Long, String> readMessage(byte[] data) {
        Map<Long, String> fields = new HashMap<>();
        int[] at = {0};
        while (at[0] < data.length) {
            long key = readNumber(data, at), value = readNumber(data, at);
            if ((key & 7) != 2)
                continue; // a number: there is no other kind in these answers
            if (value > data.length - at[0])
                break;
            fields.put(key >> 3, new String(data, at[0], (int) value, StandardCharsets.UTF_8));
            at[0] += (int) value;
        }
        return fields;
    }

    static long readNumber(byte[] data, int[] at) {
        long number = 0;
        for (int shift = 0; at[0] < data.length && shift < 63; shift += 7) {
            byte part = data[at[0]++];
            number |= (long) (part & 0x7f) << shift;
            if (part >= 0)
                break;
        }
        return number;
    }

    static String getSecretValue(HttpClient client, URI endpoint, ClientKey key, String name)
            throws IOException, InterruptedException, GeneralSecurityException {
        byte[] encoded = name.getBytes(StandardCharsets.UTF_8);
        byte[] body = new byte[encoded.length + 2];
        body[0] = 0x0a; // field 1, SecretName, of less than 128 bytes
        body[1] = (byte) encoded.length;
        System.arraycopy(encoded, 0, body, 2, encoded.length);
        Map<String, String> headers = new TreeMap<>();
        headers.put("x-kms-acccesskeyid", key.id()); // three c's are right
        headers.put("x-kms-apiname", "GetSecretValue");
        headers.put("x-kms-apiversion", "dkms-gcs-0.2");
        headers.put("x-kms-signaturemethod", "RSA_PKCS1_SHA_256");
        StringBuilder digest = new StringBuilder();
        for (byte part : MessageDigest.getInstance("SHA-256").digest(body))
            digest.append(String.format("%02X", part));
        String date = ZonedDateTime.now(ZoneOffset.UTC).format(RFC_1123);
        StringBuilder text = new StringBuilder("POST\n" + digest + "\n" + TYPE + "\n" + date + "\n");
        headers.forEach((header, value) -> text.append(header + ":" + value + "\n"));
        headers.put("accept", TYPE);
        headers.put("content-type", TYPE);
        headers.put("date", date);
        headers.put("content-sha256", digest.toString());
        headers.put("authorization", "Bearer " + key.sign(text + "/"));
        HttpRequest.Builder request = HttpRequest.newBuilder(endpoint).timeout(Duration.ofSeconds(30))
            .POST(HttpRequest.BodyPublishers.ofByteArray(body));
        headers.forEach(request::header);
        HttpResponse<byte[]> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        Map<Long, String> fields = readMessage(answer.body());
        return answer.statusCode() == 200
            ? String.format("%s = %s (%s)", name, fields.get(3L), key.id())
            : String.format("%s failed: %s: %s (%s)", name, fields.get(2L), fields.get(3L), key.id());
    }

    public static void main(String[] words) throws Exception {
        if (words.length < 2) {
            System.err.println("usage: java Application.java DIRECTORY ENDPOINT [PASSWORD_FILE]");
            System.exit(2);
        }
        Path directory = Path.of(words[0]);
        Path passwordFile = words.length > 2 ? Path.of(words[2]) : null;
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        WatchService watch = directory.getFileSystem().newWatchService();
        directory.register(watch, StandardWatchEventKinds.ENTRY_CREATE); // a rename to a name counts as that
        ClientKey key = ClientKey.load(directory, passwordFile); // after the watch: nothing is missed in between
        BufferedReader names = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String name = names.readLine(); name != null; name = names.readLine()) {
            if (wasRotated(watch))
                key = ClientKey.load(directory, passwordFile);
            try {
                System.out.println(getSecretValue(client, URI.create(words[1]), key, name));
            } catch (IOException error) {
                System.out.println(name + " failed: " + error);
            }
        }
    }
}
