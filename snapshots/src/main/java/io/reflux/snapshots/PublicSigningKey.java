package io.reflux.snapshots;

import io.reflux.schemas.service.RefluxException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.HexFormat;

/** The half of an Ed25519 key that everybody may have. Immutable. */
public final class PublicSigningKey {
  static final String ALGORITHM = "Ed25519";
  static final int SIGNATURE_BYTES = 64;

  private final PublicKey key;
  private final String id;

  private PublicSigningKey(PublicKey key) {
    this.key = key;
    MessageDigest digest = Digests.sha256();
    this.id = HexFormat.of().formatHex(digest.digest(key.getEncoded()));
  }

  /**
   * Reads a PEM file with an X.509 public key, such as {@code reflux keys create} and {@code
   * openssl pkey -pubout} write.
   *
   * @throws RefluxException if it is anything else
   */
  public static PublicSigningKey load(Path file) {
    Pem.Block block = Pem.read(file);
    if (block.label().equals(Pem.PRIVATE)) {
      throw new RefluxException(
          file + ": a private key (expected: the public one; a private key stays where it signs)");
    }
    if (!block.label().equals(Pem.PUBLIC)) {
      throw new RefluxException(file + ": " + block.label() + " (expected: PUBLIC KEY)");
    }
    try {
      return of(block.content());
    } catch (GeneralSecurityException e) {
      throw new RefluxException(
          file + ": " + e.getMessage() + " (expected: an Ed25519 public key)", e);
    }
  }

  static PublicSigningKey of(byte[] x509) throws GeneralSecurityException {
    return new PublicSigningKey(
        KeyFactory.getInstance(ALGORITHM).generatePublic(new X509EncodedKeySpec(x509)));
  }

  /** Fingerprint: SHA-256 of the X.509 encoding in lower-case hex. */
  public String id() {
    return id;
  }

  /** As a PEM file has it. */
  public String pem() {
    return Pem.write(Pem.PUBLIC, key.getEncoded());
  }

  /** Whether the signature is this key's over these bytes. Never throws for a bad one. */
  boolean verifies(byte[] message, byte[] signature) {
    if (signature.length != SIGNATURE_BYTES) {
      return false;
    }
    try {
      Signature verifier = Signature.getInstance(ALGORITHM);
      verifier.initVerify(key);
      verifier.update(message);
      return verifier.verify(signature);
    } catch (GeneralSecurityException e) {
      // Also for bytes that are no point of the curve.
      return false;
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof PublicSigningKey that && id.equals(that.id);
  }

  @Override
  public int hashCode() {
    return id.hashCode();
  }

  @Override
  public String toString() {
    return "Ed25519 " + id;
  }
}
