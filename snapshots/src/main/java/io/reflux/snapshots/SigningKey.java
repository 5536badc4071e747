package io.reflux.snapshots;

import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.interfaces.EdECPrivateKey;
import java.security.spec.NamedParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Set;

/**
 * An Ed25519 key that signs manifests and pointers (RFC 8032). Immutable; the file is PKCS#8 in
 * PEM, as {@code openssl genpkey -algorithm ed25519} writes it too.
 */
public final class SigningKey {
  /** Whoever has one of these to the file could sign, or change who does. */
  private static final Set<PosixFilePermission> TOO_OPEN =
      EnumSet.of(
          PosixFilePermission.OTHERS_READ,
          PosixFilePermission.OTHERS_WRITE,
          PosixFilePermission.GROUP_WRITE);

  private final PrivateKey key;
  private final PublicSigningKey publicKey;

  private SigningKey(PrivateKey key, PublicSigningKey publicKey) {
    this.key = key;
    this.publicKey = publicKey;
  }

  /** A new key, of the platform's strong random numbers. */
  public static SigningKey generate() {
    try {
      KeyPair pair = KeyPairGenerator.getInstance(PublicSigningKey.ALGORITHM).generateKeyPair();
      return new SigningKey(pair.getPrivate(), PublicSigningKey.of(pair.getPublic().getEncoded()));
    } catch (GeneralSecurityException e) {
      throw new AssertionError("every Java platform of ours has Ed25519", e);
    }
  }

  /**
   * Reads a private key.
   *
   * @throws RefluxException if it is no such key, or others than its owner and group may read it
   */
  public static SigningKey load(Path file) {
    Pem.Block block = Pem.read(file);
    if (!block.label().equals(Pem.PRIVATE)) {
      throw new RefluxException(file + ": " + block.label() + " (expected: PRIVATE KEY)");
    }
    refuseOpenFile(file);
    try {
      PrivateKey key =
          KeyFactory.getInstance(PublicSigningKey.ALGORITHM)
              .generatePrivate(new PKCS8EncodedKeySpec(block.content()));
      return new SigningKey(key, publicKeyOf(key));
    } catch (GeneralSecurityException e) {
      throw new RefluxException(
          file + ": " + e.getMessage() + " (expected: an Ed25519 private key in PKCS#8)", e);
    }
  }

  /**
   * Writes the private key to a new file that only its owner may read, and returns when it is on
   * the disk. Never replaces a file: the key in it may be one that fleets trust.
   */
  public void write(Path file) {
    try {
      if (file.toAbsolutePath().getParent() != null) {
        Files.createDirectories(file.toAbsolutePath().getParent());
      }
      Set<StandardOpenOption> options =
          EnumSet.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
      try (FileChannel out = FileChannel.open(file, options, ownerOnly())) {
        ByteBuffer text =
            ByteBuffer.wrap(
                Pem.write(Pem.PRIVATE, key.getEncoded()).getBytes(StandardCharsets.US_ASCII));
        while (text.hasRemaining()) {
          out.write(text);
        }
        out.force(true);
      }
    } catch (FileAlreadyExistsException e) {
      throw new RefluxException(
          file + ": exists (expected: a new file; a key is never replaced)", e);
    } catch (IOException e) {
      throw new RefluxException(file + ": cannot be written: " + e.getMessage(), e);
    }
  }

  /** What others verify with. */
  public PublicSigningKey publicKey() {
    return publicKey;
  }

  /** The public key's fingerprint. */
  public String id() {
    return publicKey.id();
  }

  byte[] sign(byte[] message) {
    try {
      Signature signer = Signature.getInstance(PublicSigningKey.ALGORITHM);
      signer.initSign(key);
      signer.update(message);
      return signer.sign();
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("Ed25519 signing", e);
    }
  }

  /** Never shows the key itself. */
  @Override
  public String toString() {
    return "signing key " + id();
  }

  private static FileAttribute<?>[] ownerOnly() {
    return FileSystems.getDefault().supportedFileAttributeViews().contains("posix")
        ? new FileAttribute<?>[] {
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"))
        }
        : new FileAttribute<?>[0];
  }

  private static void refuseOpenFile(Path file) {
    try {
      Set<PosixFilePermission> permissions = EnumSet.noneOf(PosixFilePermission.class);
      permissions.addAll(Files.getPosixFilePermissions(file));
      String found = PosixFilePermissions.toString(permissions);
      permissions.retainAll(TOO_OPEN);
      if (!permissions.isEmpty()) {
        throw new RefluxException(
            file + ": permissions " + found + " (expected: its owner's alone; chmod 600)");
      }
    } catch (UnsupportedOperationException e) {
      // A file system without such permissions, as on Windows, has other means of its own.
      return;
    } catch (IOException e) {
      throw new RefluxException(file + ": " + e.getMessage(), e);
    }
  }

  /**
   * PKCS#8 files of Ed25519 need not have the public half, and the platform derives it only where
   * it makes a key: so the key is made again, of the same 32 bytes.
   */
  private static PublicSigningKey publicKeyOf(PrivateKey key) throws GeneralSecurityException {
    byte[] seed =
        ((EdECPrivateKey) key)
            .getBytes()
            .orElseThrow(() -> new GeneralSecurityException("a key without its bytes"));
    KeyPairGenerator generator = KeyPairGenerator.getInstance(PublicSigningKey.ALGORITHM);
    generator.initialize(NamedParameterSpec.ED25519, new GivenBytes(seed));
    KeyPair pair = generator.generateKeyPair();
    PublicSigningKey derived = PublicSigningKey.of(pair.getPublic().getEncoded());
    byte[] probe = {1, 2, 3};
    if (!Arrays.equals(pair.getPrivate().getEncoded(), key.getEncoded())
        && !derived.verifies(probe, new SigningKey(key, derived).sign(probe))) {
      throw new GeneralSecurityException("its public half cannot be derived");
    }
    return derived;
  }

  /** Hands out given bytes in place of random ones. */
  private static final class GivenBytes extends SecureRandom {
    private static final long serialVersionUID = 1L;
    private final byte[] given;

    GivenBytes(byte[] given) {
      super();
      this.given = given.clone();
    }

    @Override
    public void nextBytes(byte[] bytes) {
      if (bytes.length != given.length) {
        throw new IllegalStateException(bytes.length + " bytes (expected: " + given.length + ")");
      }
      System.arraycopy(given, 0, bytes, 0, given.length);
    }
  }
}
