package io.reflux.monitor.web;

import io.reflux.monitor.view.LoopFold;
import io.reflux.monitor.view.LoopState.Lag;
import io.reflux.monitor.view.LoopState.TopicState;
import io.reflux.schemas.avro.AlertState;
import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.DriftReport;
import io.reflux.schemas.avro.ServiceStatus;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.avro.TrainingProgress;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** A run of the loop that never was, for looking at the page and for its tests. */
final class FakeLoop {
  private static final List<String> SEGMENTS =
      List.of("billing", "delivery", "returns", "account", "warranty", "loyalty");
  private static final int SHIFT_SECOND = 190;

  private final LoopFold fold = new LoopFold("stable");
  private final Random random = new Random(7);
  private final Instant start;
  private int second;
  private long version;

  FakeLoop(Instant start) {
    this.start = start;
  }

  LoopFold fold() {
    return fold;
  }

  /** Lives through some seconds. */
  FakeLoop live(int seconds) {
    for (int i = 0; i < seconds; i++) {
      tick();
    }
    return this;
  }

  Instant now() {
    return start.plusSeconds(second);
  }

  private void tick() {
    second++;
    double learned = 1 - Math.exp(-second / 45.0);
    double shift =
        second < SHIFT_SECOND ? 0 : Math.exp(-Math.max(0, second - SHIFT_SECOND - 20) / 22.0);
    double kl = 4.2 * (1 - learned) + 0.055 + 0.9 * shift + noise(0.012);
    double agreement = 0.02 + 0.955 * Math.pow(learned, 1.5) - 0.22 * shift + noise(0.006);
    training(kl, agreement);
    if (second % 20 == 1) {
      snapshot(agreement, kl);
    }
    if (second % 5 == 0) {
      drift(kl, agreement, shift);
    }
    alerts(kl);
    services();
    brokers();
  }

  private double noise(double scale) {
    return random.nextGaussian() * scale;
  }

  private void training(double kl, double agreement) {
    if (second < 4) {
      return;
    }
    fold.progress(
        TrainingProgress.newBuilder()
            .setStudentName("student")
            .setAt(now())
            .setStep(second * 6L)
            .setTokens(second * 5200L)
            .setStage(second < 90 ? Stage.ON_DATA : Stage.ON_POLICY)
            .setLoss(Math.max(0.04, kl * 1.15 + noise(0.03)))
            .setLearningRate(1e-3)
            .setGradientNorm(0.8)
            .setTokensPerSecond(5200 + noise(350))
            .setLambda(second < 90 ? 0 : 0.5)
            .setMetrics(
                second % 10 == 0
                    ? Map.of("validation_agreement", Math.min(0.99, agreement + 0.01))
                    : Map.of())
            .build());
  }

  private void snapshot(double agreement, double kl) {
    version++;
    fold.manifest(
        SnapshotManifest.newBuilder()
            .setVersion(version)
            .setParent(version == 1 ? null : version - 1)
            .setStudentName("student")
            .setCreatedAt(now())
            .setFiles(
                List.of(
                    file("model.safetensors", 372_000, "0"), file("tokenizer.json", 61_200, "1")))
            .setQuantisation("int8")
            .setStudentFingerprint(String.format("%08x", version * 2654435761L).repeat(8))
            .setTeacherFingerprint("7".repeat(64))
            .setTokenizerFingerprint("8".repeat(64))
            .setChatTemplateFingerprint("")
            .setTrainingStep(second * 6L)
            .setTokensTrained(second * 5200L)
            .setParameters(318_432)
            .setInputOffsets(Map.of())
            .setQuality(Map.of("agreement", agreement, "kl", kl, "positions", 1400.0))
            .setSeed(1)
            .setCodeVersion("0.1.0")
            .build());
    fold.pointer(
        SnapshotPointer.newBuilder()
            .setChannel("stable")
            .setVersion(version)
            .setManifestSha256("2".repeat(64))
            .setMovedAt(now())
            .setReason("gate passed")
            .build());
  }

  private static SnapshotFile file(String path, long size, String digit) {
    return SnapshotFile.newBuilder()
        .setPath(path)
        .setSizeBytes(size)
        .setSha256(digit.repeat(64))
        .setChunks(1)
        .build();
  }

  private void drift(double kl, double agreement, double shift) {
    report("*", 250, kl, agreement);
    for (int i = 0; i < SEGMENTS.size(); i++) {
      boolean fresh = i >= 4;
      int requests = fresh ? (second < SHIFT_SECOND ? 3 : 90) : (second < SHIFT_SECOND ? 60 : 18);
      double segmentKl = kl * (0.8 + 0.12 * i) + (fresh ? 1.6 * shift : -0.7 * shift);
      report(
          SEGMENTS.get(i),
          requests,
          Math.max(0.012, segmentKl + noise(0.02)),
          Math.min(0.995, agreement + 0.01 * (2 - i) - (fresh ? 0.25 * shift : -0.18 * shift)));
    }
  }

  private void report(String segment, int requests, double kl, double agreement) {
    fold.report(
        DriftReport.newBuilder()
            .setSegment(segment)
            .setWindowStart(now().minusSeconds(5))
            .setWindowEnd(now())
            .setStudentVersion(version)
            .setRequests(requests)
            .setPositions(requests * 14L)
            .setKlMean(Math.max(0.01, kl))
            .setKlStandardError(requests < 2 ? Double.NaN : kl / Math.sqrt(requests))
            .setKlMax(kl * 7)
            .setAgreement(Math.max(0, agreement))
            .setAcceptance(Math.max(0, agreement - 0.03))
            .setTeacherEntropy(0.42)
            .build());
  }

  private void alerts(double kl) {
    if (second == SHIFT_SECOND + 10) {
      alert("warranty", "warranty@1", AlertState.RAISED, 1.74, 0.3);
      alert("*", "*@1", AlertState.RAISED, kl, 0.3);
    } else if (second == SHIFT_SECOND + 60) {
      alert("*", "*@1", AlertState.CLEARED, 0.16, 0.2);
    } else if (second == SHIFT_SECOND + 95) {
      alert("warranty", "warranty@1", AlertState.CLEARED, 0.17, 0.2);
    }
  }

  private void alert(String segment, String id, AlertState state, double value, double limit) {
    String where = segment.equals("*") ? "all traffic" : "segment " + segment;
    fold.alert(
        DriftAlert.newBuilder()
            .setAlertId(id)
            .setSegment(segment)
            .setState(state)
            .setMetric("kl_mean")
            .setValue(value)
            .setThreshold(limit)
            .setAt(now())
            .setStudentVersion(version)
            .setMessage(
                String.format(
                    "%s: kl_mean %.3f above %.3f nats for 2 windows, student version %d",
                    where, value, limit, version))
            .build());
  }

  private void services() {
    Map<String, String> details = new LinkedHashMap<>();
    details.put("mirror", "http://127.0.0.1:7070/v1");
    details.put("scorer", "3.5 M parameters, top 32");
    details.put("trainer", second < 90 ? "on data" : "on policy");
    details.put("server", "http://127.0.0.1:7071/v1");
    details.put("monitor", "page at http://127.0.0.1:7072/");
    details.forEach(
        (service, detail) ->
            fold.status(
                new ServiceStatus(
                    service,
                    "laptop-4711-" + service,
                    now(),
                    start,
                    "running",
                    detail,
                    Map.of("total", 50.0 * second))));
  }

  private void brokers() {
    fold.brokers(
        List.of(
            new TopicState("requests", 49.6, 50L * second, 9_400L * second, 9_400),
            new TopicState("soft-labels", 48.1, 49L * second, 61_000L * second, 61_000),
            new TopicState("rollouts", second < 90 ? 0 : 7.9, 8L * second, 3_000L * second, 3_000),
            new TopicState(
                "rollout-labels", second < 90 ? 0 : 7.8, 8L * second, 9_000L * second, 9_000),
            new TopicState("snapshots", 0.1, version, 6_100, 0),
            new TopicState("snapshot-chunks", 0.1, 2 * version, 440_000 * version, 21_000),
            new TopicState("divergences", 46.2, 46L * second, 7_100L * second, 7_100),
            new TopicState("dead-letters", 0, 0, 0, 0)),
        List.of(
            new Lag("scorer", "requests", 12),
            new Lag("trainer", "soft-labels", 0),
            new Lag("monitor-probe", "soft-labels", 31)));
  }
}
