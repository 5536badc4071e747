package io.reflux.inspect;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.inspect.SnapshotFacts.Signer;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.snapshots.FleetReports;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotCatalog;
import io.reflux.snapshots.SnapshotCatalog.Channel;
import java.io.PrintWriter;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** What is published, as a table or JSON. */
public final class SnapshotList {
  private static final List<String> HEAD =
      List.of(
          "VERSION",
          "PARENT",
          "AGE",
          "STEP",
          "SIZE",
          "FORMAT",
          "KL",
          "AGREEMENT",
          "SIGNED BY",
          "CHANNELS");

  private final SnapshotAccess access;
  private final Clock clock;
  private final int last;

  /**
   * @param last newest versions to show, beside those that a channel points to
   */
  public SnapshotList(SnapshotAccess access, Clock clock, int last) {
    this.access = access;
    this.clock = clock;
    this.last = last;
  }

  /**
   * Prints it, newest last.
   *
   * @return whether every channel's pointer can be read and believed
   */
  public boolean print(PrintWriter out, boolean json) {
    SnapshotCatalog catalog = new SnapshotCatalog(access);
    List<SnapshotManifest> all = catalog.list();
    List<Channel> channels = catalog.channels();
    List<SnapshotManifest> shown = new ArrayList<>();
    for (int i = 0; i < all.size(); i++) {
      if (i >= all.size() - last || !at(channels, all.get(i).getVersion()).isEmpty()) {
        shown.add(all.get(i));
      }
    }
    FleetLines fleets = new FleetLines(FleetReports.read(access.clients()), clock.instant());
    if (json) {
      out.println(json(shown, channels, fleets));
    } else {
      table(out, shown, channels);
      fleets.all().forEach(out::println);
      if (shown.size() < all.size()) {
        out.println((all.size() - shown.size()) + " older ones: --last " + all.size());
      }
    }
    out.flush();
    return channels.stream().noneMatch(channel -> channel.problem().isPresent());
  }

  private void table(PrintWriter out, List<SnapshotManifest> shown, List<Channel> channels) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(HEAD);
    for (SnapshotManifest manifest : shown) {
      rows.add(
          List.of(
              Long.toString(manifest.getVersion()),
              manifest.getParent() == null ? "-" : manifest.getParent().toString(),
              SnapshotFacts.age(Duration.between(manifest.getCreatedAt(), clock.instant())),
              Long.toString(manifest.getTrainingStep()),
              SnapshotFacts.size(SnapshotFacts.bytes(manifest)),
              SnapshotFacts.format(manifest),
              SnapshotFacts.figure(manifest, "kl"),
              SnapshotFacts.figure(manifest, "agreement"),
              Signer.of(manifest, access).brief(),
              at(channels, manifest.getVersion()).stream()
                  .map(SnapshotList::words)
                  .collect(Collectors.joining(", "))));
    }
    Columns.print(out, rows);
    for (Channel channel : channels) {
      channel
          .problem()
          .ifPresent(
              problem -> out.println("channel " + channel.name() + ": " + problem.getMessage()));
    }
  }

  private static String words(Channel channel) {
    return channel.name() + (channel.pointer().orElseThrow().getPinned() ? " (pinned)" : "");
  }

  private static List<Channel> at(List<Channel> channels, long version) {
    return channels.stream()
        .filter(channel -> channel.pointer().filter(p -> p.getVersion() == version).isPresent())
        .toList();
  }

  private ObjectNode json(List<SnapshotManifest> shown, List<Channel> channels, FleetLines fleets) {
    ObjectNode object = SnapshotJson.object();
    ArrayNode snapshots = object.putArray("snapshots");
    shown.forEach(manifest -> snapshots.add(SnapshotJson.of(manifest, access)));
    ArrayNode pointers = object.putArray("channels");
    channels.forEach(channel -> pointers.add(SnapshotJson.of(channel)));
    fleets.json(object.putArray("fleets"), null);
    return object;
  }
}
