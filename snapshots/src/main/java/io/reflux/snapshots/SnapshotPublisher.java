package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotInfo.Lineage;
import io.reflux.snapshots.SnapshotShipper.Shipment;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.ProducerFencedException;

/**
 * Puts model directories on Kafka, one after the other, under versions that only grow.
 *
 * <p>Bytes go first, to whichever store, and are durable. Then the manifest is committed in a
 * transaction, and only then the channel's pointer moves. The chunks themselves stay out of the
 * transaction: nobody looks for them without a manifest, and a transaction as long as the upload of
 * a large model would run into the broker's limits.
 *
 * <p>The newest publisher fences every older one: the version is read from the topic after that, so
 * no two ever assign the same. Safe for use by several threads, which take turns.
 */
public final class SnapshotPublisher implements AutoCloseable {
  static final String TRANSACTIONAL_ID = "snapshot-publisher";

  private final SnapshotAccess access;
  private final KafkaClients clients;
  private final Clock clock;
  private final SnapshotCatalog catalog;
  private final SnapshotPointers pointers;
  private final SnapshotStores stores;
  private final SnapshotShipper shipper;
  private Producer<String, byte[]> manifests;
  private boolean fenced;
  private boolean closed;

  /** Of whole snapshots. */
  public SnapshotPublisher(SnapshotAccess access) {
    this(access, Optional.empty());
  }

  /**
   * Of whole snapshots and differences between them.
   *
   * @param workDirectory where a copy of the last one is kept to build the next on; made if missing
   */
  public SnapshotPublisher(SnapshotAccess access, Path workDirectory) {
    this(access, Optional.of(workDirectory));
  }

  private SnapshotPublisher(SnapshotAccess access, Optional<Path> workDirectory) {
    this.access = access;
    this.clients = access.clients();
    this.clock = Clock.systemUTC();
    this.catalog = new SnapshotCatalog(access);
    this.pointers = new SnapshotPointers(access, clock);
    this.stores = access.openStores();
    this.shipper = new SnapshotShipper(stores.target(), access.fullEvery(), workDirectory);
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

  /**
   * Clears the versions that are not wanted: their manifests first, and then whatever no version
   * left is made of. A version that is kept keeps those that it builds on; what channels serve and
   * the newest are always kept.
   *
   * @param leastAge objects put less long ago stay
   * @return the versions that are gone
   * @throws SnapshotException with nothing cleared if a pointer cannot be read or another publisher
   *     has taken over
   */
  public synchronized Set<Long> clear(Set<Long> kept, Duration leastAge) {
    return published(
        "clearing",
        () -> {
          SnapshotRetention going = retention(kept, leastAge);
          if (!going.versions().isEmpty()) {
            String topic = Topics.SNAPSHOTS.fullName(clients.kafka());
            commit(
                going.versions().stream()
                    .map(v -> new ProducerRecord<String, byte[]>(topic, Long.toString(v), null))
                    .toList());
          }
          // Not before: a publisher that is fenced by now must not take bytes from the newer one.
          stores.target().delete(going.objects());
          return going.versions();
        });
  }

  /**
   * The versions that {@link #clear} would clear now. Nothing changes, and nobody is fenced.
   *
   * @throws SnapshotException if a pointer cannot be read
   */
  public synchronized Set<Long> clearable(Set<Long> kept, Duration leastAge) {
    return retention(kept, leastAge).versions();
  }

  private SnapshotRetention retention(Set<Long> kept, Duration leastAge) {
    Set<Long> wanted = new HashSet<>(kept);
    catalog.pointers().values().forEach(pointer -> wanted.add(pointer.getVersion()));
    Map<String, Instant> stored = stores.target().list();
    return SnapshotRetention.of(catalog.entries(), wanted, stored, clock.instant().minus(leastAge));
  }

  private SnapshotCatalog.Entry publishEntry(Path modelDir, SnapshotInfo info) {
    List<String> paths = SnapshotFiles.list(modelDir);
    SnapshotFiles.checkFormats("snapshot of " + modelDir + ": ", info.formats(), paths);
    return published(
        "snapshot of " + modelDir,
        () -> {
          SnapshotCatalog.Listing published = catalog.entries();
          long latest = published.highestVersion();
          Shipment shipment = shipper.ship(modelDir, paths, published);
          SnapshotManifest manifest = manifest(info, shipment, latest);
          access.sign(manifest);
          SnapshotCatalog.Entry entry = new SnapshotCatalog.Entry(manifest, commit(manifest));
          shipper.keep(manifest, modelDir);
          return entry;
        });
  }

  private <T> T published(String what, Supplier<T> work) {
    if (closed) {
      throw new IllegalStateException("publisher is closed");
    }
    if (fenced) {
      throw fenced(null);
    }
    access.requireKeyIfTrusting();
    try {
      open();
      return work.get();
    } catch (KafkaException e) {
      if (Fencing.causedBy(e)) {
        fenced = true;
        closeProducers();
        throw fenced(e);
      }
      // The transaction's outcome may be unknown; new producers settle it before the next version.
      closeProducers();
      throw new SnapshotException(Kind.KAFKA, what + ": not published: " + e.getMessage(), e);
    }
  }

  @Override
  public synchronized void close() {
    closed = true;
    closeProducers();
    stores.close();
  }

  private void open() {
    if (manifests == null) {
      manifests = clients.transactionalProducer("snapshot-publisher", TRANSACTIONAL_ID);
      // Before any version is read: from here on an older publisher cannot commit.
      manifests.initTransactions();
    }
  }

  private SnapshotManifest manifest(SnapshotInfo info, Shipment shipment, long latest) {
    return SnapshotManifest.newBuilder()
        .setVersion(latest + 1)
        .setParent(latest == 0 ? null : latest)
        .setStudentName(info.studentName())
        .setCreatedAt(clock.instant())
        .setFiles(shipment.files())
        .setDeltaBase(shipment.base().orElse(null))
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
    commit(List.of(new ProducerRecord<>(topic, Long.toString(manifest.getVersion()), encoded)));
    return Digests.ofAvroBody(encoded);
  }

  private void commit(List<ProducerRecord<String, byte[]>> records) {
    try (TransactionWatch watch = new TransactionWatch(clients, TRANSACTIONAL_ID)) {
      manifests.beginTransaction();
      RecordMetadata last = null;
      for (ProducerRecord<String, byte[]> record : records) {
        last = ChunkSender.await(manifests.send(record));
      }
      if (!watch.begun()) {
        throw new ProducerFencedException("the transaction was ended by another producer");
      }
      commit(watch);
      TopicScan.awaitVisible(clients, last);
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
