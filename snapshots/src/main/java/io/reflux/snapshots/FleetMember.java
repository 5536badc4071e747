package io.reflux.snapshots;

import io.reflux.schemas.service.HostName;
import io.reflux.schemas.service.RefluxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;

/**
 * Who reports what it serves.
 *
 * @param fleet all that serve the same, by one name
 * @param service what serves: server, sidecar, or the name that an application gives itself
 * @param instance which one of the fleet
 */
public record FleetMember(String fleet, String service, String instance) {
  private static final int SHOWN_DIGITS = 8;

  public FleetMember {
    requireName("fleet", fleet);
    requireName("service", service);
    requireName("instance", instance);
  }

  /**
   * An instance that is known by this machine and the directory that it works in, and so by the
   * same name after a restart.
   */
  public static FleetMember of(String fleet, String service, Path directory) {
    MessageDigest digest = Digests.sha256();
    String path = directory.toAbsolutePath().normalize().toString();
    digest.update(path.getBytes(StandardCharsets.UTF_8));
    String instance = HostName.get() + "-" + Digests.hex(digest).substring(0, SHOWN_DIGITS);
    return new FleetMember(fleet, service, instance);
  }

  /** The key of its reports. */
  String key(String channel) {
    return fleet + "/" + instance + "/" + channel;
  }

  private static void requireName(String what, String name) {
    if (!name.matches("[^/\\p{Cntrl}\\s]{1,200}")) {
      throw new RefluxException(
          what + ": '" + name + "' (expected: a name without spaces and slashes)");
    }
  }
}
