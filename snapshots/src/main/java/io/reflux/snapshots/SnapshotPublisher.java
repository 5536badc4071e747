package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotInfo.Lineage;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.ProducerFencedException;

/**
 * Puts model directories on Kafka, one after the other, under versions that only grow.
 *
 * <p>Chunks go first and are all acknowledged. Then the manifest is committed in a transaction, and
 * only then the channel's pointer moves. The chunks themselves stay out of the transaction: nobody
 * looks for them without a manifest, and a transaction as long as the upload of a large model would
 * run into the broker's limits.
 *
 * <p>The newest publisher fences every older one: the version is read from the topic after that, so
 * no two ever assign the same. Safe for use by several threads, which take turns.
 */
public final class SnapshotPublisher implements AutoCloseable {
  static final String TRANSACTIONAL_ID = "snapshot-publisher";

  /**
   * On a topic made a moment ago a batch may be refused while the next one, already on its way, is
   * taken as the first; the refused one then comes out of order for ever. One at a time cannot.
   */
  private static final Map<String, String> CHUNK_SETTINGS =
      Map.of("max.in.flight.requests.per.connection", "1");

  private final SnapshotAccess access;
  private final KafkaClients clients;
  private final Clock clock;
  private final SnapshotCatalog catalog;
  private final SnapshotPointers pointers;
  private Producer<String, byte[]> chunks;
  private Producer<String, byte[]> manifests;
  private boolean fenced;
  private boolean closed;

  public SnapshotPublisher(SnapshotAccess access) {
    this.access = access;
    this.clients = access.clients();
    this.clock = Clock.systemUTC();
    this.catalog = new SnapshotCatalog(access);
    this.pointers = new SnapshotPointers(access, clock);
  }

  /** Signs nothing. */
  public SnapshotPublisher(KafkaClients clients) {
    this(SnapshotAccess.unsigned(clients));
  }

  /**
   * Publishes a model directory and moves a channel to it, unless the channel is pinned.
   *
   * @return what was published
   * @throws SnapshotException with nothing visible of the new version, except when only the pointer
   *     could not be moved: then the version is published and not promoted
   */
  public synchronized SnapshotManifest publish(Path modelDir, SnapshotInfo info, String channel) {
    SnapshotCatalog.Entry entry = publishEntry(modelDir, info);
    pointers.forward(channel, entry, "published at step " + info.trainingStep());
    return entry.manifest();
  }

  /** Publishes a model directory; no channel moves. */
  public synchronized SnapshotManifest publish(Path modelDir, SnapshotInfo info) {
    return publishEntry(modelDir, info).manifest();
  }

  private SnapshotCatalog.Entry publishEntry(Path modelDir, SnapshotInfo info) {
    if (closed) {
      throw new IllegalStateException("publisher is closed");
    }
    if (fenced) {
      throw fenced(null);
    }
    access.requireKeyIfTrusting();
    List<String> paths = SnapshotFiles.list(modelDir);
    try {
      open();
      SnapshotCatalog.Listing published = catalog.entries();
      long latest = published.highestVersion();
      List<SnapshotFile> files =
          new ChunkSender(clients, chunks, published.files()).send(modelDir, paths);
      SnapshotManifest manifest = manifest(info, files, latest);
      access.sign(manifest);
      return new SnapshotCatalog.Entry(manifest, commit(manifest));
    } catch (KafkaException e) {
      if (Fencing.causedBy(e)) {
        fenced = true;
        closeProducers();
        throw fenced(e);
      }
      // The transaction's outcome may be unknown; new producers settle it before the next version.
      closeProducers();
      throw new SnapshotException(
          Kind.KAFKA, "snapshot of " + modelDir + ": not published: " + e.getMessage(), e);
    }
  }

  @Override
  public synchronized void close() {
    closed = true;
    closeProducers();
  }

  private void open() {
    if (chunks == null) {
      chunks = clients.producer("snapshot-chunks", CHUNK_SETTINGS);
    }
    if (manifests == null) {
      manifests = clients.transactionalProducer("snapshot-publisher", TRANSACTIONAL_ID);
      // Before any version is read: from here on an older publisher cannot commit.
      manifests.initTransactions();
    }
  }

  private SnapshotManifest manifest(SnapshotInfo info, List<SnapshotFile> files, long latest) {
    return SnapshotManifest.newBuilder()
        .setVersion(latest + 1)
        .setParent(latest == 0 ? null : latest)
        .setStudentName(info.studentName())
        .setCreatedAt(clock.instant())
        .setFiles(files)
        .setQuantisation(info.quantisation())
        .setStudentFingerprint(info.studentFingerprint())
        .setTeacherFingerprint(info.teacherFingerprint())
        .setTokenizerFingerprint(info.tokenizerFingerprint())
        .setChatTemplateFingerprint(info.chatTemplateFingerprint())
        .setTrainingStep(info.trainingStep())
        .setTokensTrained(info.tokensTrained())
        .setParameters(info.parameters())
        .setInputOffsets(new TreeMap<>(info.inputOffsets()))
        .setQuality(new TreeMap<>(info.quality()))
        .setSeed(info.seed())
        .setCodeVersion(info.codeVersion())
        .setFormats(info.formats())
        .setLineage(info.lineage().map(Lineage::toRecord).orElse(null))
        .build();
  }

  /** Returns the manifest's digest, once every reader sees it. */
  private String commit(SnapshotManifest manifest) {
    String topic = Topics.SNAPSHOTS.fullName(clients.kafka());
    byte[] encoded = clients.codec().encode(topic, manifest);
    int limit = Topics.SNAPSHOTS.maxRecordBytes();
    if (encoded.length > limit) {
      throw new SnapshotException(
          Kind.BAD_MANIFEST,
          "manifest: " + encoded.length + " bytes (expected: at most " + limit + ")");
    }
    try (TransactionWatch watch = new TransactionWatch(clients, TRANSACTIONAL_ID)) {
      manifests.beginTransaction();
      RecordMetadata record =
          ChunkSender.await(
              manifests.send(
                  new ProducerRecord<>(topic, Long.toString(manifest.getVersion()), encoded)));
      if (!watch.begun()) {
        throw new ProducerFencedException("the transaction was ended by another producer");
      }
      commit(watch);
      TopicScan.awaitVisible(clients, record);
      return Digests.ofAvroBody(encoded);
    } catch (KafkaException e) {
      if (!Fencing.causedBy(e)) {
        abortQuietly(e);
      }
      throw e;
    }
  }

  private void commit(TransactionWatch watch) {
    try {
      manifests.commitTransaction();
    } catch (KafkaException e) {
      if (!Fencing.causedBy(e) && wasOvertaken(watch, e)) {
        ProducerFencedException fencing =
            new ProducerFencedException(
                "another producer has taken over, after: " + e.getMessage());
        fencing.addSuppressed(e);
        throw fencing;
      }
      throw e;
    }
  }

  /** Where even that cannot be told, the failure stands as it is. */
  private static boolean wasOvertaken(TransactionWatch watch, KafkaException failure) {
    try {
      return watch.wasOvertaken();
    } catch (KafkaException e) {
      failure.addSuppressed(e);
      return false;
    }
  }

  private void abortQuietly(KafkaException cause) {
    try {
      manifests.abortTransaction();
    } catch (KafkaException | IllegalStateException e) {
      cause.addSuppressed(e);
    }
  }

  private void closeProducers() {
    if (chunks != null) {
      chunks.close();
      chunks = null;
    }
    if (manifests != null) {
      manifests.close();
      manifests = null;
    }
  }

  private SnapshotException fenced(KafkaException cause) {
    return new SnapshotException(
        Kind.FENCED,
        "snapshot publisher on "
            + clients.kafka().bootstrapServers()
            + ": fenced by a newer one (expected: one publisher on "
            + Topics.SNAPSHOTS.fullName(clients.kafka())
            + ")",
        cause);
  }
}
