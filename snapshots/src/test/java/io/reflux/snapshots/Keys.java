package io.reflux.snapshots;

import io.reflux.schemas.kafka.KafkaClients;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Signing keys in files, and accesses that use them. */
final class Keys {
  private final Path directory;

  Keys(Path directory) {
    this.directory = directory;
  }

  /** The key of a name, made where it is missing. */
  SigningKey key(String name) {
    Path file = file(name);
    if (!Files.exists(file)) {
      SigningKey.generate().write(file);
    }
    return SigningKey.load(file);
  }

  Path file(String name) {
    return directory.resolve(name + ".key");
  }

  /** A directory that trusts the keys of these names. */
  Path trust(String directoryName, String... names) {
    Path store = directory.resolve(directoryName);
    for (String name : names) {
      TrustStore.add(store, key(name).publicKey(), name);
    }
    return store;
  }

  /** Signs as one, and believes those in the directory. */
  SnapshotAccess access(KafkaClients clients, String signer, Path trust) {
    Optional<Path> signingKey = Optional.ofNullable(signer).map(this::file);
    signingKey.ifPresent(file -> key(signer));
    return SnapshotAccess.of(clients, config(signingKey, Optional.ofNullable(trust)));
  }

  static SnapshotsConfig config(Optional<Path> signingKey, Optional<Path> trust) {
    return config(signingKey, trust, KafkaStore.KIND, 1);
  }

  static SnapshotsConfig config(
      Optional<Path> signingKey, Optional<Path> trust, String store, int fullEvery) {
    return new SnapshotsConfig() {
      @Override
      public Optional<Path> signingKey() {
        return signingKey;
      }

      @Override
      public Optional<Path> trust() {
        return trust;
      }

      @Override
      public String store() {
        return store;
      }

      @Override
      public int fullEvery() {
        return fullEvery;
      }
    };
  }

  void forget(Path trust, String name) throws IOException {
    Files.delete(trust.resolve(name + ".pem"));
  }
}
