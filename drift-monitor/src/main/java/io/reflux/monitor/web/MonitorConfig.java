package io.reflux.monitor.web;

import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.nio.file.Path;
import java.time.Duration;

/** The drift monitor: what it compares, when it alerts, and where its page is. */
@ConfigMapping(prefix = "reflux.monitor")
public interface MonitorConfig {
  /** Address that the page listens on. */
  @WithDefault("127.0.0.1")
  String host();

  /** Port that the page listens on; 0 takes any free one. */
  @WithDefault("7072")
  int port();

  /** Channel whose served student is measured, such as {@code stable}. */
  @WithDefault("stable")
  String channel();

  /** Where fetched snapshots and window state lie; rebuilt from Kafka when lost. */
  @WithDefault(".reflux/monitor")
  Path dataDir();

  /** Segments that are told apart; those that turn up later share {@code (other)}. */
  @WithDefault("200")
  int maxSegments();

  /** Windows of event time. */
  Window window();

  /** When an alert is raised and cleared. */
  Alert alert();

  /** The comparison of student and teacher. */
  Probe probe();

  /** Windows of event time; they do not overlap. */
  interface Window {
    /** Length of a window. */
    @WithDefault("10s")
    Duration size();

    /** How long after its end a window still takes late requests. */
    @WithDefault("2s")
    Duration grace();
  }

  /** When an alert is raised and cleared, by the mean KL a position in nats. */
  interface Alert {
    /** A window above it is bad. */
    @WithDefault("0.3")
    double raiseThreshold();

    /** A window below it is good. */
    @WithDefault("0.2")
    double clearThreshold();

    /** Bad windows in a row that raise. */
    @WithDefault("2")
    int raiseWindows();

    /** Good windows in a row that clear. */
    @WithDefault("2")
    int clearWindows();

    /** Good windows in a row before a segment may raise at all. */
    @WithDefault("3")
    int armWindows();

    /** Windows with fewer requests are reported but decide nothing. */
    @WithDefault("3")
    int minRequests();
  }

  /** The comparison of student and teacher. */
  interface Probe {
    /** Intra-op threads of the student's scoring. */
    @WithDefault("1")
    int threads();

    /** {@code cpu}, {@code cuda[:N]} or {@code tensorrt[:N]}. */
    @WithDefault("cpu")
    String device();

    /** Requests beyond this rate are counted and passed over; 0 sets no bound. */
    @WithDefault("50")
    double maxRequestsPerSecond();

    /** Share of labelled requests that are compared, chosen by their id. */
    @WithDefault("1.0")
    double sampling();

    /** Tokens scored in one batch, padding included. */
    @WithDefault("4096")
    int batchTokens();

    /** Passes over labels that the served student may have been trained on already. */
    @WithDefault("true")
    boolean prequential();
  }
}
