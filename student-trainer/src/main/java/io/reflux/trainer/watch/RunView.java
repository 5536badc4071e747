package io.reflux.trainer.watch;

import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A run as it stands.
 *
 * @param student name of its line of snapshots
 * @param run name of its directory; empty if its files cannot be written
 * @param startedAt when this process began with it
 * @param settings in force, by key
 * @param latest figures as last known, older ones where the newest report did not know; empty
 *     before the first report
 * @param points reports over the whole run, thinned where they are old, without slices
 * @param happenings the newest, oldest first
 * @param gate the gate's newest words, oldest first
 */
public record RunView(
    String student,
    String run,
    Instant startedAt,
    Map<String, String> settings,
    Optional<Report> latest,
    List<Report> points,
    List<Happening> happenings,
    List<Happening> gate) {}
