package io.reflux.snapshots;

import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Keys as text files (RFC 7468). */
final class Pem {
  static final String PRIVATE = "PRIVATE KEY";
  static final String PUBLIC = "PUBLIC KEY";

  private static final Pattern BLOCK =
      Pattern.compile("-----BEGIN ([A-Z ]+)-----([A-Za-z0-9+/=\\s]+)-----END \\1-----");

  /** A key file is some hundred bytes; anything larger is another file. */
  private static final long LARGEST = 64 << 10;

  /** What a file holds: its label and its bytes. */
  record Block(String label, byte[] content) {}

  private Pem() {}

  static String write(String label, byte[] content) {
    String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(content);
    return "-----BEGIN " + label + "-----\n" + body + "\n-----END " + label + "-----\n";
  }

  /** The one block of a file. */
  static Block read(Path file) {
    try {
      if (Files.size(file) > LARGEST) {
        throw refused(file, Files.size(file) + " bytes", null);
      }
      String text = Files.readString(file, StandardCharsets.ISO_8859_1);
      Matcher block = BLOCK.matcher(text);
      if (!block.find()) {
        throw refused(file, "no such block", null);
      }
      byte[] content = Base64.getMimeDecoder().decode(block.group(2));
      String label = block.group(1);
      if (block.find()) {
        throw refused(file, "several blocks", null);
      }
      return new Block(label, content);
    } catch (NoSuchFileException e) {
      throw refused(file, "missing", e);
    } catch (IOException | IllegalArgumentException e) {
      throw refused(file, String.valueOf(e.getMessage()), e);
    }
  }

  private static RefluxException refused(Path file, String problem, Exception cause) {
    return new RefluxException(
        file + ": " + problem + " (expected: an Ed25519 key in PEM, see 'reflux keys')", cause);
  }
}
