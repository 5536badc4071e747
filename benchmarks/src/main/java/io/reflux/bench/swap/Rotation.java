package io.reflux.bench.swap;

import io.reflux.bench.kafka.Configs;
import io.reflux.bench.serve.BenchStudent;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SigningKey;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotInfo;
import io.reflux.snapshots.SnapshotPointers;
import io.reflux.snapshots.SnapshotPublisher;
import io.reflux.snapshots.SnapshotsConfig;
import io.reflux.snapshots.TrustStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

/**
 * Students that differ a little, published in turns with a key, as the trainer does: most as
 * differences.
 */
final class Rotation implements AutoCloseable {
  private static final String CHANNEL = "stable";

  /**
   * How far weights of one student are from another's, relative: some tens of steps of training.
   */
  private static final double STEP = 0.01;

  private final List<LanguageModel> students = new ArrayList<>();
  private final Path trust;
  private final SnapshotPublisher publisher;
  private final SnapshotPointers pointers;

  /**
   * Writes them.
   *
   * @param count how many take turns
   */
  Rotation(BenchStudent student, int count, KafkaClients clients, Path folder) {
    for (int i = 0; i < count; i++) {
      Path directory = folder.resolve("student-" + i);
      LanguageModel.save(
          directory,
          student.config(),
          Quantiser.of(WeightFormat.INT8).quantise(student.config(), moved(student.weights(), i)),
          WeightFormat.INT8.dtype(),
          student.text().directory());
      students.add(LanguageModel.load(directory));
    }
    this.trust = folder.resolve("trust");
    Path key = folder.resolve("publisher.key");
    SigningKey signer = SigningKey.generate();
    signer.write(key);
    TrustStore.add(trust, signer.publicKey(), "publisher");
    SnapshotAccess access =
        SnapshotAccess.of(
            clients,
            Configs.of(
                SnapshotsConfig.class,
                "reflux.snapshots.",
                Map.of("signing-key", key.toString(), "trust", trust.toString())));
    this.publisher = new SnapshotPublisher(access, folder.resolve("base"));
    this.pointers = new SnapshotPointers(access);
  }

  private static Weights moved(Weights weights, int seed) {
    MemoryWeights.Builder moved = MemoryWeights.builder();
    for (TensorInfo tensor : weights.tensors()) {
      float[] floats = weights.floats(tensor.name());
      Random random = new Random(31L * seed + tensor.name().hashCode());
      for (int i = 0; i < floats.length; i++) {
        floats[i] *= (float) (1 + STEP * random.nextGaussian());
      }
      moved.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }
    return moved.build();
  }

  /** Directory of the keys that a fleet has to believe. */
  Path trust() {
    return trust;
  }

  /** How many take turns. */
  int count() {
    return students.size();
  }

  /** Of one student's files. */
  long snapshotBytes() {
    try (Stream<Path> files = Files.list(students.get(0).directory())) {
      long bytes = 0;
      for (Path file : files.toList()) {
        bytes += Files.size(file);
      }
      return bytes;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Uploads the student whose turn it is; the channel stays where it is. */
  void upload(long version) {
    LanguageModel student = students.get((int) (version % students.size()));
    SnapshotManifest manifest =
        publisher.publish(
            student.directory(),
            new SnapshotInfo(
                "student",
                WeightFormat.INT8.toString(),
                student.fingerprint(),
                "none",
                student.tokenizerFingerprint(),
                student.chatTemplateFingerprint(),
                version,
                version,
                student.config().parameters(),
                Map.of(),
                Map.of(),
                0,
                "benchmark"));
    if (manifest.getVersion() != version) {
      throw new RefluxException(
          "bench: version " + manifest.getVersion() + " (expected: " + version + ")");
    }
  }

  /** Moves the channel. */
  void promote(long version) {
    var unused = pointers.promote(CHANNEL, version, "the next");
  }

  @Override
  public void close() {
    publisher.close();
  }
}
