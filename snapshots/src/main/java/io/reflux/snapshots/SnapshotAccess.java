package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.TrustStore.Trusted;
import java.nio.ByteBuffer;
import java.util.Optional;
import org.apache.avro.specific.SpecificRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where snapshots and their bytes are, with whose key this process signs, and whose it believes.
 * Safe for use by many threads.
 */
public final class SnapshotAccess {
  private static final Logger log = LoggerFactory.getLogger(SnapshotAccess.class);

  /** As the configuration's default. */
  private static final int FULL_EVERY = 10;

  private final KafkaClients clients;
  private final Optional<SigningKey> signingKey;
  private final Optional<TrustStore> trust;
  private final StoreUrl store;
  private final int fullEvery;

  private SnapshotAccess(
      KafkaClients clients,
      Optional<SigningKey> signingKey,
      Optional<TrustStore> trust,
      StoreUrl store,
      int fullEvery) {
    this.clients = clients;
    this.signingKey = signingKey;
    this.trust = trust;
    this.store = store;
    this.fullEvery = fullEvery;
  }

  /**
   * As configured.
   *
   * @throws RefluxException if the store is none, a key cannot be read, or this process would sign
   *     with a key that it does not believe itself
   */
  public static SnapshotAccess of(KafkaClients clients, SnapshotsConfig config) {
    Optional<SigningKey> key =
        named("reflux.snapshots.signing-key", () -> config.signingKey().map(SigningKey::load));
    Optional<TrustStore> trust =
        named("reflux.snapshots.trust", () -> config.trust().map(TrustStore::open));
    if (trust.isEmpty()) {
      log.warn(
          "Snapshots are taken unsigned: reflux.snapshots.trust is unset (expected: a directory of"
              + " public keys)");
    } else if (key.isPresent() && trust.get().find(key.get().id()).isEmpty()) {
      throw new RefluxException(
          "reflux.snapshots.signing-key: "
              + key.get().id()
              + " (expected: a key that is in "
              + trust.get().directory()
              + "; see 'reflux keys trust')");
    }
    StoreUrl store = StoreUrl.parse(config.store());
    if (config.fullEvery() < 1) {
      throw new RefluxException(
          "reflux.snapshots.full-every: " + config.fullEvery() + " (expected: at least 1)");
    }
    return new SnapshotAccess(clients, key, trust, store, config.fullEvery());
  }

  /**
   * Chunks on Kafka; signs nothing and believes everything: for a loop that nobody else can write
   * to.
   */
  public static SnapshotAccess unsigned(KafkaClients clients) {
    return new SnapshotAccess(
        clients, Optional.empty(), Optional.empty(), new StoreUrl.Kafka(), FULL_EVERY);
  }

  /** The Kafka that they are on. */
  public KafkaClients clients() {
    return clients;
  }

  /** Where the bytes are; the caller closes it if it puts any. */
  SnapshotStores openStores() {
    return SnapshotStores.open(clients, store);
  }

  /** One of so many snapshots is whole. */
  int fullEvery() {
    return fullEvery;
  }

  /** Whose signatures are asked for; empty if none are. */
  public Optional<TrustStore> trust() {
    return trust;
  }

  /** The key that this process signs with. */
  public Optional<SigningKey> signingKey() {
    return signingKey;
  }

  /**
   * Whose signature a manifest bears; empty where none is asked for.
   *
   * @throws SnapshotException of kind UNTRUSTED if one is asked for, and it has none of a key that
   *     is believed
   */
  public Optional<Trusted> verify(SnapshotManifest manifest) {
    return trust.map(
        store ->
            verify(
                store,
                "manifest of version " + manifest.getVersion(),
                manifest,
                manifest.getKeyId(),
                manifest.getSignature()));
  }

  /** Likewise for a pointer. */
  public Optional<Trusted> verify(SnapshotPointer pointer) {
    return trust.map(
        store ->
            verify(
                store,
                "pointer of channel "
                    + pointer.getChannel()
                    + " to version "
                    + pointer.getVersion(),
                pointer,
                pointer.getKeyId(),
                pointer.getSignature()));
  }

  /** Signs it, where there is a key. */
  void sign(SnapshotManifest manifest) {
    signingKey.ifPresent(
        key -> {
          manifest.setKeyId(key.id());
          manifest.setSignature(ByteBuffer.wrap(key.sign(CanonicalForm.of(manifest))));
        });
  }

  /** Likewise for a pointer. */
  void sign(SnapshotPointer pointer) {
    signingKey.ifPresent(
        key -> {
          pointer.setKeyId(key.id());
          pointer.setSignature(ByteBuffer.wrap(key.sign(CanonicalForm.of(pointer))));
        });
  }

  /** Before anything is written that this very process would refuse to read. */
  void requireKeyIfTrusting() {
    if (trust.isPresent() && signingKey.isEmpty()) {
      throw new SnapshotException(
          Kind.UNTRUSTED,
          "reflux.snapshots.signing-key: unset (expected: a private key, for reflux.snapshots.trust"
              + " asks for signatures)");
    }
  }

  private static Trusted verify(
      TrustStore store, String name, SpecificRecord record, String keyId, ByteBuffer signature) {
    if (keyId.isEmpty() && !signature.hasRemaining()) {
      throw untrusted(name + ": unsigned (expected: signed by a key of " + store.directory() + ")");
    }
    Trusted trusted =
        store
            .find(keyId)
            .orElseThrow(
                () ->
                    untrusted(
                        name
                            + ": signed by key "
                            + shown(keyId)
                            + " (expected: a key of "
                            + store.directory()
                            + ")"));
    byte[] bytes = new byte[signature.remaining()];
    signature.duplicate().get(bytes);
    if (!trusted.key().verifies(CanonicalForm.of(record), bytes)) {
      throw untrusted(
          name
              + ": its signature is not key "
              + trusted.name()
              + "'s over this content (expected: unchanged, and of fields that this build knows)");
    }
    return trusted;
  }

  /** What came from outside goes into messages short and printable. */
  private static String shown(String keyId) {
    String printable = keyId.replaceAll("[^ -~]", "?");
    return printable.length() <= 64 ? printable : printable.substring(0, 64) + "…";
  }

  private static SnapshotException untrusted(String message) {
    return new SnapshotException(Kind.UNTRUSTED, message);
  }

  private static <T> T named(String setting, java.util.function.Supplier<T> read) {
    try {
      return read.get();
    } catch (RefluxException e) {
      throw new RefluxException(setting + ": " + e.getMessage(), e);
    }
  }
}
