package io.reflux.monitor.drift;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.schemas.avro.Divergence;
import io.reflux.schemas.avro.DriftReport;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Sums divergences into windows of event time, and forwards a report a segment when a window
 * closes, followed by the alert that it changes, if any.
 *
 * <p>All traffic passes one instance of this, so there is one clock: the newest event time seen. A
 * window of a quiet segment therefore closes as soon as any traffic moves past it, and "late" means
 * the same for every segment. When nothing at all comes for longer than the grace, wall-clock time
 * carries the clock on, so that the last windows before a pause are reported as well.
 *
 * <p>The clock that closes windows stands at least {@value #TICK_MILLIS} ms of processing time
 * behind: when a backlog is worked off, partitions take turns, and one that runs ahead in event
 * time must not close the windows of the others.
 *
 * <p>A window is reported once. A request that comes after its window closed is counted and left
 * out.
 */
final class DriftWindows implements Processor<String, Divergence, String, SpecificRecord> {
  /** The segment of all traffic. */
  static final String ALL = "*";

  /** The segment of those beyond the bound. */
  static final String OTHER = "(other)";

  static final String WINDOWS = "windows";
  static final String STANDINGS = "standings";
  static final String CLOCK = "clock";

  private static final String CLOSED_THROUGH = "closed-through";
  private static final long TICK_MILLIS = 500;

  /** Clocks of machines differ; what claims to come from further ahead would close every window. */
  private static final long FUTURE_MILLIS = 60_000;

  private final DriftOptions options;
  private final AlertRule rule;
  private final Counter late;
  private final Counter future;
  private final Counter closed;

  private ProcessorContext<String, SpecificRecord> context;
  private KeyValueStore<String, WindowSums> windows;
  private KeyValueStore<String, Standing> standings;
  private KeyValueStore<String, Long> clock;

  private long eventTime = Long.MIN_VALUE;
  private long eventTimeAtLastTick = Long.MIN_VALUE;
  private long closedThrough = Long.MIN_VALUE;
  private long nextEnd = Long.MAX_VALUE;
  private long lastRecordAt;
  private int segments;

  DriftWindows(DriftOptions options, MeterRegistry meters) {
    this.options = options;
    this.rule = new AlertRule(options.alert());
    this.late = meters.counter("drift_late_requests_total");
    this.future = meters.counter("drift_future_requests_total");
    this.closed = meters.counter("drift_windows_closed_total");
  }

  @Override
  public void init(ProcessorContext<String, SpecificRecord> newContext) {
    context = newContext;
    windows = context.getStateStore(WINDOWS);
    standings = context.getStateStore(STANDINGS);
    clock = context.getStateStore(CLOCK);
    Long through = clock.get(CLOSED_THROUGH);
    if (through != null) {
      closedThrough = through;
    }
    try (KeyValueIterator<String, WindowSums> open = windows.all()) {
      while (open.hasNext()) {
        long start = startOf(open.next().key);
        eventTime = Math.max(eventTime, start);
        nextEnd = Math.min(nextEnd, start + options.window().toMillis());
      }
    }
    try (KeyValueIterator<String, Standing> known = standings.all()) {
      while (known.hasNext()) {
        String name = known.next().key;
        segments += name.equals(ALL) || name.equals(OTHER) ? 0 : 1;
      }
    }
    lastRecordAt = context.currentSystemTimeMs();
    context.schedule(Duration.ofMillis(TICK_MILLIS), PunctuationType.WALL_CLOCK_TIME, this::tick);
  }

  @Override
  public void process(Record<String, Divergence> record) {
    Divergence divergence = record.value();
    lastRecordAt = context.currentSystemTimeMs();
    long at = divergence.getRequestedAt().toEpochMilli();
    if (at > lastRecordAt + FUTURE_MILLIS) {
      future.increment();
      at = lastRecordAt;
    }
    long size = options.window().toMillis();
    long start = Math.floorDiv(at, size) * size;
    if (start + size <= closedThrough) {
      late.increment();
    } else if (divergence.getPositions() > 0) {
      add(key(start, segment(divergence.getSegment())), divergence);
      add(key(start, ALL), divergence);
      nextEnd = Math.min(nextEnd, start + size);
    }
    eventTime = Math.max(eventTime, at);
  }

  private void tick(long now) {
    long idle = now - lastRecordAt;
    if (eventTime != Long.MIN_VALUE && idle > options.grace().toMillis() + TICK_MILLIS) {
      close(eventTime + idle);
    } else {
      close(eventTimeAtLastTick);
    }
    eventTimeAtLastTick = eventTime;
  }

  private void add(String key, Divergence divergence) {
    WindowSums sums = windows.get(key);
    windows.put(key, (sums == null ? WindowSums.EMPTY : sums).plus(divergence));
  }

  private String segment(String name) {
    if (standings.get(name) != null) {
      return name;
    }
    if (name.equals(ALL) || segments >= options.maxSegments()) {
      return OTHER;
    }
    standings.put(name, Standing.FIRST);
    segments++;
    return name;
  }

  private boolean armedAll() {
    Standing all = standings.get(ALL);
    return all != null && all.armed();
  }

  private void close(long time) {
    long grace = options.grace().toMillis();
    if (nextEnd == Long.MAX_VALUE || nextEnd + grace > time) {
      return;
    }
    List<KeyValue<String, WindowSums>> due = new ArrayList<>();
    nextEnd = Long.MAX_VALUE;
    try (KeyValueIterator<String, WindowSums> open = windows.all()) {
      while (open.hasNext()) {
        KeyValue<String, WindowSums> window = open.next();
        long end = startOf(window.key) + options.window().toMillis();
        if (end + grace <= time) {
          due.add(window);
        } else {
          nextEnd = Math.min(nextEnd, end);
        }
      }
    }
    // Each window's own segments before all traffic, so that a new segment's first window is judged
    // by whether all traffic was armed before it
    due.sort(
        Comparator.comparingLong((KeyValue<String, WindowSums> w) -> startOf(w.key))
            .thenComparing(w -> segmentOf(w.key).equals(ALL))
            .thenComparing(w -> segmentOf(w.key)));
    for (KeyValue<String, WindowSums> window : due) {
      report(segmentOf(window.key), startOf(window.key), window.value);
      windows.delete(window.key);
    }
    clock.put(CLOSED_THROUGH, closedThrough);
  }

  private void report(String segment, long start, WindowSums sums) {
    long end = start + options.window().toMillis();
    DriftReport report = sums.report(segment, start, end);
    context.forward(new Record<>(segment, report, end));
    closed.increment();
    Standing before = standings.get(segment);
    AlertRule.Outcome outcome =
        rule.next(before == null ? Standing.FIRST : before, report, armedAll());
    standings.put(segment, outcome.standing());
    outcome.alert().ifPresent(alert -> context.forward(new Record<>(segment, alert, end)));
    closedThrough = Math.max(closedThrough, end);
  }

  /** Sorts by start: times are positive and have the same number of digits. */
  private static String key(long start, String segment) {
    return String.format(Locale.ROOT, "%016x|%s", start, segment);
  }

  private static long startOf(String key) {
    return Long.parseUnsignedLong(key, 0, 16, 16);
  }

  private static String segmentOf(String key) {
    return key.substring(17);
  }
}
