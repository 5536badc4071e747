package io.reflux.snapshots;

import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A directory of public keys, a PEM file each, whose owners are believed. Read afresh at every
 * question, so a key that is added or taken away counts at once.
 */
public final class TrustStore {
  private static final String SUFFIX = ".pem";
  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._@-]{0,99}");

  private final Path directory;

  /**
   * A key that is believed.
   *
   * @param name its file's, without .pem
   */
  public record Trusted(String name, PublicSigningKey key) {}

  private TrustStore(Path directory) {
    this.directory = directory;
  }

  /**
   * Opens a directory.
   *
   * @throws RefluxException if it is none, holds no key, or a file of it cannot be read
   */
  public static TrustStore open(Path directory) {
    TrustStore store = new TrustStore(directory);
    if (store.keys().isEmpty()) {
      throw new RefluxException(
          directory + ": no key (expected: at least one .pem file; see 'reflux keys trust')");
    }
    return store;
  }

  /** Adds a key to a directory, which is made if missing. Returns its name there. */
  public static String add(Path directory, PublicSigningKey key, String name) {
    if (!NAME.matcher(name).matches()) {
      throw new RefluxException(
          "name: '" + name + "' (expected: letters, digits, dots, dashes, @ and underscores)");
    }
    Path file = directory.resolve(name + SUFFIX);
    try {
      Files.createDirectories(directory);
      for (Trusted known : new TrustStore(directory).keys()) {
        if (known.key().equals(key)) {
          return known.name();
        }
      }
      Files.writeString(file, key.pem(), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
      return name;
    } catch (FileAlreadyExistsException e) {
      throw new RefluxException(file + ": is another key's (expected: a name that is free)", e);
    } catch (IOException e) {
      throw new RefluxException(file + ": cannot be written: " + e.getMessage(), e);
    }
  }

  /** Where the keys are. */
  public Path directory() {
    return directory;
  }

  /** All keys, by name. */
  public List<Trusted> keys() {
    if (!Files.isDirectory(directory)) {
      throw new RefluxException(directory + ": missing (expected: a directory of public keys)");
    }
    try (Stream<Path> files = Files.list(directory)) {
      return files
          .filter(file -> file.getFileName().toString().endsWith(SUFFIX))
          .sorted()
          .map(file -> new Trusted(nameOf(file), PublicSigningKey.load(file)))
          .toList();
    } catch (IOException e) {
      throw new RefluxException(directory + ": " + e.getMessage(), e);
    } catch (UncheckedIOException e) {
      throw new RefluxException(directory + ": " + e.getCause().getMessage(), e);
    }
  }

  /** The key of a fingerprint, if it is believed. */
  public Optional<Trusted> find(String keyId) {
    return keys().stream().filter(trusted -> trusted.key().id().equals(keyId)).findFirst();
  }

  private static String nameOf(Path file) {
    String name = file.getFileName().toString();
    return name.substring(0, name.length() - SUFFIX.length());
  }
}
