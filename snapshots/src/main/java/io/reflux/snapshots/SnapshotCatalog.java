package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.snapshots.SnapshotException.Kind;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What is on the topics now. Every call reads them afresh, to their end: they are small, and a
 * remembered answer could be an old one.
 */
public final class SnapshotCatalog {
  private static final Logger log = LoggerFactory.getLogger(SnapshotCatalog.class);

  private final SnapshotAccess access;
  private final KafkaClients clients;

  public SnapshotCatalog(SnapshotAccess access) {
    this.access = access;
    this.clients = access.clients();
  }

  /** Of a loop whose signatures are not asked for. */
  public SnapshotCatalog(KafkaClients clients) {
    this(SnapshotAccess.unsigned(clients));
  }

  /** A manifest with the digest that pointers name it by. */
  record Entry(SnapshotManifest manifest, String sha256) {}

  /** Every readable manifest, by version; whose they are is not asked. */
  public List<SnapshotManifest> list() {
    return entries().entries().stream().map(Entry::manifest).toList();
  }

  /** The newest manifest, whether or not a channel serves it. */
  public Optional<SnapshotManifest> latest() {
    List<SnapshotManifest> all = list();
    return all.isEmpty() ? Optional.empty() : Optional.of(all.get(all.size() - 1));
  }

  /**
   * One manifest.
   *
   * @throws SnapshotException if it is there and cannot be read
   */
  public Optional<SnapshotManifest> find(long version) {
    return findEntry(version).map(Entry::manifest);
  }

  /**
   * What a channel serves.
   *
   * @throws SnapshotException if the channel's newest pointer cannot be read or believed; an older
   *     one is never given in its place
   */
  public Optional<SnapshotPointer> pointer(String channel) {
    PointerFold fold = fold(channel);
    fold.unreadable()
        .ifPresent(
            problem -> {
              throw problem;
            });
    return fold.current();
  }

  /**
   * What every channel serves, by channel.
   *
   * @throws SnapshotException if the newest pointer of any cannot be read or believed
   */
  public Map<String, SnapshotPointer> pointers() {
    Map<String, SnapshotPointer> pointers = new TreeMap<>();
    for (Channel channel : channels()) {
      if (channel.problem().isPresent()) {
        throw channel.problem().get();
      }
      channel.pointer().ifPresent(pointer -> pointers.put(channel.name(), pointer));
    }
    return pointers;
  }

  /**
   * A channel as it is found.
   *
   * @param pointer empty where there is a problem
   * @param problem why the newest pointer cannot be read or believed
   */
  public record Channel(
      String name, Optional<SnapshotPointer> pointer, Optional<SnapshotException> problem) {}

  /** Every channel, by name; what is wrong with one keeps nobody from seeing the others. */
  public List<Channel> channels() {
    List<Channel> channels = new ArrayList<>();
    folds()
        .forEach(
            (name, fold) -> channels.add(new Channel(name, fold.current(), fold.unreadable())));
    return channels;
  }

  /** The manifest of a version. */
  Entry require(long version) {
    return findEntry(version)
        .orElseThrow(
            () ->
                new SnapshotException(
                    Kind.NOT_FOUND,
                    "snapshot: version " + version + " (expected: a published one)"));
  }

  /** The very manifest that a pointer names, not merely one of the same version. */
  Entry require(SnapshotPointer pointer) {
    Listing listing = entries();
    String found = "none";
    for (Entry entry : listing.entries()) {
      if (entry.manifest().getVersion() == pointer.getVersion()) {
        found = entry.sha256();
        if (found.equals(pointer.getManifestSha256())) {
          return entry;
        }
      }
    }
    listing.raiseIfUnreadable(pointer.getVersion());
    throw new SnapshotException(
        found.equals("none") ? Kind.NOT_FOUND : Kind.BAD_MANIFEST,
        "snapshot: version "
            + pointer.getVersion()
            + " with manifest digest "
            + found
            + " (expected: "
            + pointer.getManifestSha256()
            + ", which the pointer of channel "
            + pointer.getChannel()
            + " names)");
  }

  private Optional<Entry> findEntry(long version) {
    Listing listing = entries();
    List<Entry> found =
        listing.entries().stream()
            .filter(entry -> entry.manifest().getVersion() == version)
            .toList();
    if (found.isEmpty()) {
      listing.raiseIfUnreadable(version);
      return Optional.empty();
    }
    return Optional.of(found.get(found.size() - 1));
  }

  /**
   * @param entries by version
   * @param unreadable by the version in their key
   */
  record Listing(List<Entry> entries, Map<Long, SnapshotException> unreadable) {
    /** Highest version that any manifest on the topic claims, readable or not; 0 for none. */
    long highestVersion() {
      long readable =
          entries.stream().mapToLong(entry -> entry.manifest().getVersion()).max().orElse(0);
      return unreadable.keySet().stream().mapToLong(Long::longValue).reduce(readable, Math::max);
    }

    /** Where files lie whole in a store, by SHA-256; the latest sending of each. */
    Map<String, SnapshotFile> wholeFiles(String store) {
      Map<String, SnapshotFile> files = new HashMap<>();
      for (Entry entry : entries) {
        for (SnapshotFile file : entry.manifest().getFiles()) {
          if (file.getBlocks().isEmpty() && file.getStore().equals(store)) {
            files.put(file.getSha256(), file);
          }
        }
      }
      return files;
    }

    /** The latest manifest of a version. */
    Optional<SnapshotManifest> find(long version) {
      return entries.stream()
          .map(Entry::manifest)
          .filter(manifest -> manifest.getVersion() == version)
          .reduce((first, second) -> second);
    }

    /** How many versions up to this one are differences, since the last whole one. */
    int differencesInARow(SnapshotManifest manifest) {
      return withBases(manifest.getVersion()).size() - 1;
    }

    /** A version and all that it builds on, from the newest to the whole one, as far as known. */
    List<SnapshotManifest> withBases(long version) {
      List<SnapshotManifest> chain = new ArrayList<>();
      Optional<SnapshotManifest> next = find(version);
      while (next.isPresent()) {
        SnapshotManifest manifest = next.get();
        chain.add(manifest);
        // Only ever downwards, whatever a manifest claims: there is an end.
        next =
            Optional.ofNullable(manifest.getDeltaBase())
                .filter(base -> base < manifest.getVersion())
                .flatMap(this::find);
      }
      return chain;
    }

    private void raiseIfUnreadable(long version) {
      if (unreadable.containsKey(version)) {
        throw unreadable.get(version);
      }
    }
  }

  /** All manifests, as they are now. */
  Listing entries() {
    String topic = Topics.SNAPSHOTS.fullName(clients.kafka());
    List<Entry> entries = new ArrayList<>();
    Map<Long, SnapshotException> unreadable = new HashMap<>();
    TopicScan.whole(
        clients,
        topic,
        record -> {
          if (record.value() == null) {
            // A version that was cleared.
            versionOfKey(record.key())
                .ifPresent(
                    version -> {
                      entries.removeIf(entry -> entry.manifest().getVersion() == version);
                      unreadable.remove(version);
                    });
            return;
          }
          try {
            SnapshotManifest manifest =
                clients.codec().decode(topic, record.value(), SnapshotManifest.class);
            entries.add(new Entry(manifest, Digests.ofAvroBody(record.value())));
          } catch (DecodeException e) {
            SnapshotException problem =
                new SnapshotException(
                    Kind.BAD_MANIFEST,
                    "manifest at "
                        + coordinates(record)
                        + ": "
                        + e.getMessage()
                        + " (expected: a SnapshotManifest)",
                    e);
            log.warn("{}", problem.getMessage());
            versionOfKey(record.key()).ifPresent(version -> unreadable.put(version, problem));
          }
        });
    entries.sort(Comparator.comparingLong(entry -> entry.manifest().getVersion()));
    return new Listing(entries, unreadable);
  }

  /** All that is known of a channel's pointer. */
  PointerFold fold(String channel) {
    return folds().getOrDefault(channel, PointerFold.of(access, channel));
  }

  private Map<String, PointerFold> folds() {
    String topic = Topics.SNAPSHOT_POINTERS.fullName(clients.kafka());
    Map<String, PointerFold> folds = new TreeMap<>();
    TopicScan.whole(
        clients,
        topic,
        record -> {
          if (record.key() != null && record.value() != null) {
            folds
                .computeIfAbsent(record.key(), channel -> PointerFold.of(access, channel))
                .add(record);
          }
        });
    return folds;
  }

  static String coordinates(ConsumerRecord<String, byte[]> record) {
    return record.topic() + "-" + record.partition() + "@" + record.offset();
  }

  private static Optional<Long> versionOfKey(String key) {
    try {
      return key == null ? Optional.empty() : Optional.of(Long.parseLong(key));
    } catch (NumberFormatException e) {
      return Optional.empty();
    }
  }
}
