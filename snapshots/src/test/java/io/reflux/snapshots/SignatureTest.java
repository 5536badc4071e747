package io.reflux.snapshots;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.registry.RecordCodec;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotInfo.Lineage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.apache.avro.Schema;
import org.apache.avro.SchemaBuilder;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DatumWriter;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Signatures without Kafka: what they cover, and what breaks them. */
class SignatureTest {
  @TempDir Path temp;
  private Keys keys;
  private SnapshotAccess access;

  /** Avro builds our records only once the codec has told it that it may. */
  @BeforeAll
  static void trustRecords() {
    assertThat(RecordCodec.subject("t")).isNotEmpty();
  }

  @BeforeEach
  void trustOne() {
    keys = new Keys(temp);
    access = keys.access(null, "publisher", keys.trust("trust", "publisher"));
  }

  @Test
  void signedManifestNamesItsSigner() {
    SnapshotManifest manifest = signed();

    assertThat(access.verify(manifest).orElseThrow().name()).isEqualTo("publisher");
    assertThat(manifest.getKeyId()).isEqualTo(keys.key("publisher").id()).hasSize(64);
    assertThat(manifest.getSignature().remaining()).isEqualTo(64);
  }

  @Test
  void everyFieldIsCovered() {
    List<Consumer<SnapshotManifest>> changes =
        List.of(
            m -> m.setVersion(8),
            m -> m.setParent(null),
            m -> m.setStudentName("other"),
            m -> m.setCreatedAt(Instant.ofEpochMilli(1)),
            m -> m.getFiles().get(0).setPath("other"),
            m -> m.getFiles().get(0).setSha256("1".repeat(64)),
            m -> m.getFiles().get(0).setFirstChunkOffset(9),
            m -> m.getFiles().get(0).setStore("file:///elsewhere"),
            m -> m.setFiles(List.of(m.getFiles().get(1), m.getFiles().get(0))),
            m -> m.setQuality(Map.of("kl", 0.1, "agreement", -0.0)),
            m -> m.setQuality(Map.of("kl", 0.1)),
            m -> m.setInputOffsets(Map.of()),
            m -> m.setDeltaBase(3L),
            m -> m.setFormats(List.of("gguf")),
            m -> m.setFormats(List.of()),
            m -> m.setLineage(null),
            m -> m.getLineage().setTeacherName(""),
            m -> m.getLineage().setTrainedFrom(null),
            m -> m.getLineage().setConfiguration(Map.of()),
            m -> m.setCodeVersion("0.1.1"));
    for (Consumer<SnapshotManifest> change : changes) {
      SnapshotManifest manifest = signed();
      change.accept(manifest);
      refused(manifest, "its signature is not key publisher's");
    }
  }

  @Test
  void unsignedAndUnknownAreRefusedByName() {
    refused(manifest(), "manifest of version 7: unsigned (expected: signed by a key of " + temp);

    SnapshotManifest stranger = manifest();
    keys.access(null, "stranger", null).sign(stranger);
    refused(stranger, "signed by key " + keys.key("stranger").id() + " (expected: a key of ");

    // A known key's name over a stranger's signature.
    stranger.setKeyId(keys.key("publisher").id());
    refused(stranger, "its signature is not key publisher's over this content");
  }

  @Test
  void keysAddedAndTakenAwayCountAtOnce() throws IOException {
    Path trust = keys.trust("trust", "publisher");
    SnapshotManifest next = manifest();
    keys.access(null, "next", null).sign(next);
    refused(next, "signed by key");

    keys.trust("trust", "next");
    assertThat(access.verify(next).orElseThrow().name()).isEqualTo("next");
    keys.forget(trust, "next");
    refused(next, "signed by key");
  }

  @Test
  void pointerAndManifestSignaturesAreNotInterchangeable() {
    SnapshotPointer pointer = pointer();
    access.sign(pointer);
    assertThat(access.verify(pointer)).isPresent();

    SnapshotManifest manifest = signed();
    pointer.setSignature(manifest.getSignature());
    assertThatThrownBy(() -> access.verify(pointer))
        .hasMessageContaining("pointer of channel stable to version 7")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.UNTRUSTED);
  }

  @Test
  void formStaysAsItIsWrittenDown() {
    SnapshotPointer pointer = pointer();
    String expected =
        "reflux-signed-1\0"
            + "s\0\0\0\u000fSnapshotPointer"
            + "r\0\0\0\u0006"
            + "s\0\0\0\u0007channels\0\0\0\u0006stable"
            + "s\0\0\0\u0006key_ids\0\0\0\u0003abc"
            + "s\0\0\0\u000fmanifest_sha256s\0\0\0\u0002ff"
            + "s\0\0\0\bmoved_ati\0\0\0\0\0\0\u0003\u00e8"
            + "s\0\0\0\u0006reasons\0\0\0\u0004t\u00c3\u00a9t"
            + "s\0\0\0\u0007versioni\0\0\0\0\0\0\0\u0007";

    pointer.setKeyId("abc");
    pointer.setManifestSha256("ff");
    pointer.setReason("t\u00e9t");
    pointer.setSignature(ByteBuffer.wrap(new byte[] {1}));

    assertThat(CanonicalForm.of(pointer)).isEqualTo(expected.getBytes(StandardCharsets.ISO_8859_1));
  }

  @Test
  void fieldAddedLaterWithADefaultChangesNoForm() {
    Schema before =
        SchemaBuilder.record("Thing")
            .fields()
            .requiredString("name")
            .requiredInt("size")
            .endRecord();
    Schema after =
        SchemaBuilder.record("Thing")
            .fields()
            .name("added")
            .type()
            .map()
            .values()
            .stringType()
            .mapDefault(Map.of())
            .requiredLong("size")
            .requiredString("name")
            .optionalString("another")
            .endRecord();
    GenericRecord old = new GenericData.Record(before);
    old.put("name", "x");
    old.put("size", 3);
    GenericRecord grown = new GenericData.Record(after);
    grown.put("name", "x");
    grown.put("size", 3L);
    grown.put("added", Map.of());

    assertThat(CanonicalForm.of(grown)).isEqualTo(CanonicalForm.of(old));
    grown.put("another", "");
    assertThat(CanonicalForm.of(grown)).isNotEqualTo(CanonicalForm.of(old));
  }

  @Test
  void manifestOfTheFirstReleaseReadsAndKeepsItsSignature() throws IOException {
    Schema first =
        new Schema.Parser()
            .parse(
                Files.readString(
                    Path.of("../schemas/src/main/avro-history/SnapshotManifest/v2.avsc")));
    SnapshotManifest plain = manifest();
    plain.setFormats(List.of());
    plain.setLineage(null);
    access.sign(plain);
    ByteBuffer signature = plain.getSignature();

    // As a build that knew no signatures would have written it.
    Schema now = SnapshotManifest.getClassSchema();
    ByteArrayOutputStream today = new ByteArrayOutputStream();
    encode(new SpecificDatumWriter<>(SnapshotManifest.class), plain, today);
    GenericRecord old =
        new GenericDatumReader<GenericRecord>(now, first)
            .read(null, DecoderFactory.get().binaryDecoder(today.toByteArray(), null));
    ByteArrayOutputStream then = new ByteArrayOutputStream();
    encode(new GenericDatumWriter<>(first), old, then);
    SnapshotManifest read =
        new SpecificDatumReader<SnapshotManifest>(first, now)
            .read(null, DecoderFactory.get().binaryDecoder(then.toByteArray(), null));

    assertThat(read.getSignature().remaining()).isZero();
    assertThat(read.getFiles().get(0).getStore()).isEqualTo("kafka");
    read.setKeyId(plain.getKeyId());
    read.setSignature(signature);
    assertThat(access.verify(read)).isPresent();
  }

  @Test
  void keyFileIsItsOwnersAloneAndNeverReplaced() throws IOException {
    Path file = temp.resolve("deep/made.key");
    SigningKey made = SigningKey.generate();
    made.write(file);
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
        .isEqualTo("rw-------");
    assertThat(SigningKey.load(file).id()).isEqualTo(made.id());
    assertThat(made.toString()).doesNotContain("PRIVATE");
    assertThatThrownBy(() -> SigningKey.generate().write(file))
        .isInstanceOf(RefluxException.class)
        .hasMessage(file + ": exists (expected: a new file; a key is never replaced)");

    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
    assertThatThrownBy(() -> SigningKey.load(file))
        .hasMessage(file + ": permissions rw-r--r-- (expected: its owner's alone; chmod 600)");
  }

  /** Made by openssl genpkey -algorithm ed25519, the key of RFC 8032's first test. */
  @Test
  void keyAndSignatureOfTheStandardAreReproduced() throws IOException {
    Path file = temp.resolve("rfc.key");
    Files.writeString(
        file,
        """
        -----BEGIN PRIVATE KEY-----
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
        -----END PRIVATE KEY-----
        """);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));

    SigningKey key = SigningKey.load(file);

    String signature = java.util.HexFormat.of().formatHex(key.sign(new byte[0]));
    assertThat(signature)
        .isEqualTo(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
                + "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
    assertThat(key.publicKey().pem())
        .contains("MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  }

  @Test
  void whatIsNoKeyIsRefusedInALine() throws IOException {
    Path trust = keys.trust("trust", "publisher");
    assertThatThrownBy(() -> TrustStore.open(temp.resolve("nowhere")))
        .hasMessageContaining("nowhere: missing (expected: a directory of public keys)");
    assertThatThrownBy(() -> TrustStore.open(Files.createDirectory(temp.resolve("empty"))))
        .hasMessageContaining("no key (expected: at least one .pem file");
    assertThatThrownBy(() -> SigningKey.load(temp.resolve("absent")))
        .hasMessageContaining("absent: missing (expected: an Ed25519 key in PEM");
    assertThatThrownBy(() -> SigningKey.load(trust.resolve("publisher.pem")))
        .hasMessageContaining("PUBLIC KEY (expected: PRIVATE KEY)");
    assertThatThrownBy(
            () -> keys.access(null, "stranger", trust), "signing what nobody would believe")
        .hasMessageStartingWith("reflux.snapshots.signing-key: ")
        .hasMessageContaining("reflux keys trust");

    Files.copy(keys.file("publisher"), trust.resolve("oops.pem"));
    assertThatThrownBy(() -> access.verify(signed()))
        .hasMessageContaining("oops.pem: a private key (expected: the public one");
    Files.writeString(trust.resolve("oops.pem"), "hello");
    assertThatThrownBy(() -> access.verify(signed()))
        .hasMessageContaining("oops.pem: no such block");
  }

  private static <T> void encode(DatumWriter<T> writer, T record, ByteArrayOutputStream out)
      throws IOException {
    BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
    writer.write(record, encoder);
    encoder.flush();
  }

  private void refused(SnapshotManifest manifest, String message) {
    assertThatThrownBy(() -> access.verify(manifest))
        .isInstanceOf(SnapshotException.class)
        .hasMessageContaining(message)
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.UNTRUSTED);
  }

  private SnapshotManifest signed() {
    SnapshotManifest manifest = manifest();
    access.sign(manifest);
    return manifest;
  }

  private static SnapshotPointer pointer() {
    return SnapshotPointer.newBuilder()
        .setChannel("stable")
        .setVersion(7)
        .setManifestSha256("0".repeat(64))
        .setMovedAt(Instant.ofEpochMilli(1000))
        .setReason("test")
        .build();
  }

  static SnapshotManifest manifest() {
    Instant day = Instant.parse("2026-01-01T00:00:00Z");
    return SnapshotManifest.newBuilder()
        .setVersion(7)
        .setParent(6L)
        .setStudentName("student")
        .setCreatedAt(day)
        .setFiles(List.of(file("config.json", "2"), file("model.safetensors", "3")))
        .setQuantisation("int8")
        .setStudentFingerprint("a".repeat(64))
        .setTeacherFingerprint("b".repeat(64))
        .setTokenizerFingerprint("c".repeat(64))
        .setChatTemplateFingerprint("")
        .setTrainingStep(12)
        .setTokensTrained(3456)
        .setParameters(320_000)
        .setInputOffsets(Map.of("soft-labels-0", 17L, "soft-labels-1", 4L))
        .setQuality(Map.of("kl", 0.1, "agreement", 0.0))
        .setSeed(42)
        .setCodeVersion("0.1.0")
        .setFormats(List.of("safetensors", "gguf"))
        .setLineage(
            new Lineage(
                    "teacher",
                    Optional.of(day.minusSeconds(60)),
                    Optional.of(day),
                    Map.of("reflux.train.learning-rate", "0.002", "reflux.train.seed", "42"))
                .toRecord())
        .build();
  }

  private static SnapshotFile file(String path, String digit) {
    return SnapshotFile.newBuilder()
        .setPath(path)
        .setSizeBytes(1000)
        .setSha256(digit.repeat(64))
        .setChunks(1)
        .setChunkPartition(0)
        .setFirstChunkOffset(3)
        .setLastChunkOffset(3)
        .build();
  }
}
