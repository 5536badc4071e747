package io.reflux.inspect;

import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotException;
import io.reflux.snapshots.TrustStore.Trusted;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;

/** Facts of a manifest in words. */
final class SnapshotFacts {
  private static final int SHOWN_DIGITS = 12;

  private SnapshotFacts() {}

  static long bytes(SnapshotManifest manifest) {
    return manifest.getFiles().stream().mapToLong(SnapshotFile::getSizeBytes).sum();
  }

  /** Such as {@code 1.4 MiB}. */
  static String size(long bytes) {
    if (bytes < 1024) {
      return bytes + " B";
    }
    double amount = bytes / 1024.0;
    for (String unit : new String[] {"KiB", "MiB", "GiB"}) {
      if (amount < 1024) {
        return String.format(Locale.ROOT, "%.1f %s", amount, unit);
      }
      amount /= 1024;
    }
    return String.format(Locale.ROOT, "%.1f TiB", amount);
  }

  /** In the largest unit that fits, such as {@code 3h}. */
  static String age(Duration age) {
    if (age.toDays() > 0) {
      return age.toDays() + "d";
    }
    if (age.toHours() > 0) {
      return age.toHours() + "h";
    }
    return age.toMinutes() > 0 ? age.toMinutes() + "m" : Math.max(0, age.toSeconds()) + "s";
  }

  static String format(SnapshotManifest manifest) {
    String offered =
        manifest.getFormats().isEmpty() ? "safetensors" : String.join(",", manifest.getFormats());
    return manifest.getQuantisation() + " " + offered;
  }

  /** Of the quality figures; a dash where it was not measured. */
  static String figure(SnapshotManifest manifest, String name) {
    Double value = manifest.getQuality().get(name);
    return value == null ? "-" : String.format(Locale.ROOT, "%.4f", value);
  }

  /**
   * Who signed.
   *
   * @param name of the key if it is trusted, else the beginning of its fingerprint; empty if
   *     unsigned
   * @param problem why it is not believed; empty if it is, or nobody asks
   */
  record Signer(String name, boolean checked, Optional<String> problem) {
    static Signer of(SnapshotManifest manifest, SnapshotAccess access) {
      String id = manifest.getKeyId();
      String start = id.length() > SHOWN_DIGITS ? id.substring(0, SHOWN_DIGITS) : id;
      try {
        Optional<Trusted> trusted = access.verify(manifest);
        return new Signer(
            trusted.map(Trusted::name).orElse(start), trusted.isPresent(), Optional.empty());
      } catch (SnapshotException e) {
        return new Signer(start, true, Optional.of(e.getMessage()));
      }
    }

    /** In a word or two, for a table. */
    String brief() {
      if (problem().isPresent()) {
        return name().isEmpty() ? "UNSIGNED" : "REFUSED " + name();
      }
      return name().isEmpty() ? "unsigned" : checked() ? name() : name() + " (not checked)";
    }
  }
}
