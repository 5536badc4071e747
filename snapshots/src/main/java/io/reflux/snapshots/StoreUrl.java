package io.reflux.snapshots;

import io.reflux.schemas.service.RefluxException;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;

/** Which store, as {@code reflux.snapshots.store} has it. */
sealed interface StoreUrl {
  String SETTING = "reflux.snapshots.store";
  String EXPECTED =
      "kafka, dir:/path, or s3://bucket/prefix?endpoint=http://host:port&region=name"
          + "&path-style=true";

  /** Chunks on the topic. */
  record Kafka() implements StoreUrl {}

  /** A shared directory. */
  record Directory(Path path) implements StoreUrl {}

  /**
   * Object storage.
   *
   * @param prefix of every key, without slashes at its ends; may be empty
   * @param endpoint of a server that is not Amazon's
   * @param pathStyle whether the bucket is in the path, and not in the host's name
   */
  record S3(
      String bucket,
      String prefix,
      Optional<URI> endpoint,
      Optional<String> region,
      boolean pathStyle)
      implements StoreUrl {}

  /**
   * Reads one.
   *
   * @throws RefluxException with one line, if it is none
   */
  static StoreUrl parse(String text) {
    if (text.equals(KafkaStore.KIND)) {
      return new Kafka();
    }
    if (text.startsWith("dir:")) {
      return directory(text, text.substring("dir:".length()));
    }
    if (text.startsWith("s3://")) {
      return s3(text);
    }
    throw wrong(text, EXPECTED);
  }

  private static StoreUrl directory(String text, String path) {
    try {
      if (!path.isBlank()) {
        return new Directory(Path.of(path));
      }
    } catch (InvalidPathException e) {
      throw wrong(text, "a path after dir:");
    }
    throw wrong(text, "a path after dir:");
  }

  private static StoreUrl s3(String text) {
    URI uri = uri(text, text);
    String bucket = uri.getRawAuthority();
    if (bucket == null || !bucket.matches("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")) {
      throw wrong(text, "a bucket's name after s3://: 3 to 63 of a-z, 0-9, dots and hyphens");
    }
    String prefix = uri.getPath().replaceAll("^/+|/+$", "");
    Optional<URI> endpoint = Optional.empty();
    Optional<String> region = Optional.empty();
    boolean pathStyle = false;
    String query = uri.getRawQuery() == null ? "" : uri.getRawQuery();
    for (String pair : query.isEmpty() ? new String[0] : query.split("&")) {
      int equals = pair.indexOf('=');
      String key = equals < 0 ? pair : pair.substring(0, equals);
      String value =
          equals < 0 ? "" : URLDecoder.decode(pair.substring(equals + 1), StandardCharsets.UTF_8);
      switch (key) {
        case "endpoint" -> endpoint = Optional.of(endpoint(text, value));
        case "region" -> {
          if (!value.matches("[a-z0-9-]+")) {
            throw wrong(text, "region=name, such as eu-central-1");
          }
          region = Optional.of(value);
        }
        case "path-style" -> {
          if (!value.equals("true") && !value.equals("false")) {
            throw wrong(text, "path-style=true or path-style=false");
          }
          pathStyle = value.equals("true");
        }
        default -> throw wrong(text, "endpoint, region and path-style after the question mark");
      }
    }
    return new S3(bucket, prefix, endpoint, region, pathStyle);
  }

  private static URI endpoint(String text, String value) {
    URI uri = uri(text, value);
    boolean web = "http".equals(uri.getScheme()) || "https".equals(uri.getScheme());
    if (!web || uri.getHost() == null) {
      throw wrong(text, "endpoint=http://host:port or endpoint=https://host");
    }
    return uri;
  }

  private static URI uri(String text, String part) {
    try {
      return new URI(part);
    } catch (URISyntaxException e) {
      throw wrong(text, EXPECTED);
    }
  }

  private static RefluxException wrong(String text, String expected) {
    return new RefluxException(SETTING + ": " + text + " (expected: " + expected + ")");
  }
}
