package io.reflux.run;

import io.reflux.snapshots.SigningKey;
import io.reflux.snapshots.TrustStore;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The key that a run signs its snapshots with, made at its first start and trusted by itself alone.
 *
 * @param signingKey file of the private key
 * @param trust directory of the public one
 */
record OwnKey(Path signingKey, Path trust) {
  private static final String NAME = "run";

  static OwnKey in(Path directory) {
    Path file = directory.resolve(NAME + ".key");
    if (!Files.exists(file)) {
      SigningKey.generate().write(file);
    }
    Path trust = directory.resolve("trust");
    TrustStore.add(trust, SigningKey.load(file).publicKey(), NAME);
    return new OwnKey(file, trust);
  }
}
