package io.reflux.serving.sidecar;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What a runtime is told of a version.
 *
 * @param path the version's own directory, which stays as it is
 * @param current the link that points to it
 * @param fingerprint of the student, as its manifest says
 */
record Moved(
    String channel, long version, Path path, Path current, String format, String fingerprint) {
  /** By the names that bodies have for them. */
  Map<String, String> values() {
    Map<String, String> values = new LinkedHashMap<>();
    values.put("channel", channel);
    values.put("version", Long.toString(version));
    values.put("path", path.toString());
    values.put("current", current.toString());
    values.put("format", format);
    values.put("fingerprint", fingerprint);
    return values;
  }
}
