package io.reflux.inspect;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.schemas.avro.FleetOutcome;
import io.reflux.schemas.avro.FleetReport;
import io.reflux.snapshots.FleetReports.Heard;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** What fleets report, in lines for people and as JSON. */
public final class FleetLines {
  /** Living instances repeat their reports each minute. */
  private static final Duration SILENT = Duration.ofMinutes(3);

  private final List<Heard> reports;
  private final Instant now;

  public FleetLines(List<Heard> reports, Instant now) {
    this.reports = List.copyOf(reports);
    this.now = now;
  }

  /** How many of each fleet serve which version; then a line each that refused one. */
  List<String> all() {
    Map<String, Integer> serving = new TreeMap<>();
    List<String> lines = new ArrayList<>();
    for (Heard heard : reports) {
      FleetReport report = heard.report();
      if (report.getServingVersion() != null) {
        serving.merge(
            "fleet "
                + report.getFleet()
                + " on "
                + report.getChannel()
                + ": version "
                + report.getServingVersion()
                + " served by ",
            1,
            Integer::sum);
      }
      if (report.getOutcome() != FleetOutcome.SERVING) {
        lines.add(
            "fleet "
                + name(report)
                + ": "
                + refused(report, version(report.getVersion()))
                + silent(heard));
      }
    }
    List<String> all = new ArrayList<>();
    serving.forEach((line, count) -> all.add(line + count));
    all.addAll(lines);
    return all;
  }

  /** A line for each instance that serves a version or was to serve it. */
  List<String> of(long version) {
    List<String> lines = new ArrayList<>();
    for (Heard heard : reports) {
      FleetReport report = heard.report();
      boolean about = report.getVersion() != null && report.getVersion() == version;
      boolean serves = report.getServingVersion() != null && report.getServingVersion() == version;
      if (about && report.getOutcome() != FleetOutcome.SERVING) {
        lines.add(name(report) + ": " + refused(report, "it") + silent(heard));
      } else if (serves) {
        String since =
            about
                ? " since %s, %d ms after it saw the pointer"
                    .formatted(report.getAt(), report.getMillisSinceSeen())
                : "";
        lines.add(name(report) + ": serves it" + since + silent(heard));
      }
    }
    return lines;
  }

  /** Puts all of them, or those of one version. */
  void json(ArrayNode array, Long version) {
    for (Heard heard : reports) {
      FleetReport report = heard.report();
      if (version == null
          || version.equals(report.getVersion())
          || version.equals(report.getServingVersion())) {
        ObjectNode node = array.addObject();
        node.put("fleet", report.getFleet());
        node.put("service", report.getService());
        node.put("instance", report.getInstance());
        node.put("channel", report.getChannel());
        node.put("version", report.getVersion());
        node.put("outcome", word(report.getOutcome()));
        node.put("stage", word(report.getStage()));
        node.put("reason", report.getReason().isEmpty() ? null : report.getReason());
        node.put("at", report.getAt().toString());
        node.put("millis_since_seen", report.getMillisSinceSeen());
        node.put("serving_version", report.getServingVersion());
        node.put("heard_at", heard.at().toString());
      }
    }
  }

  private static String refused(FleetReport report, String what) {
    String verb = report.getOutcome() == FleetOutcome.FAILED ? "failed to take " : "refused ";
    return verb
        + what
        + " at "
        + word(report.getStage())
        + ", serves "
        + (report.getServingVersion() == null ? "nothing" : version(report.getServingVersion()))
        + ": "
        + report.getReason();
  }

  private static String name(FleetReport report) {
    return report.getFleet() + "/" + report.getInstance() + " on " + report.getChannel();
  }

  private static String version(Long version) {
    return version == null ? "what the channel says" : "version " + version;
  }

  private String silent(Heard heard) {
    Duration since = Duration.between(heard.at(), now);
    return since.compareTo(SILENT) < 0 ? "" : " (silent for " + SnapshotFacts.age(since) + ")";
  }

  private static String word(Enum<?> symbol) {
    return symbol.name().toLowerCase(Locale.ROOT);
  }
}
