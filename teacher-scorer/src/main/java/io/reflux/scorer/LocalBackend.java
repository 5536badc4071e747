package io.reflux.scorer;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.runtime.Device;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.Generation.FinishReason;
import io.reflux.model.runtime.Precision;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.model.runtime.ScorerOptions;
import io.reflux.schemas.labels.LabelBlock;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.ToLongFunction;
import java.util.stream.IntStream;

/** The teacher in this process, whole on each of its devices. */
final class LocalBackend implements TeacherBackend {
  /** One that runs, and one that waits for it to end. */
  private static final int BATCHES_A_LANE = 2;

  private final String fingerprint;
  private final List<Lane> lanes;
  private final int slots;
  private final Executor codec;

  /**
   * @param lanes at least one; closed with this
   * @param slots answers that a lane writes at the same time
   * @param codec makes labels of what the lanes say
   */
  LocalBackend(String fingerprint, List<Lane> lanes, int slots, Executor codec) {
    this.fingerprint = fingerprint;
    this.lanes = List.copyOf(lanes);
    this.slots = slots;
    this.codec = codec;
  }

  /**
   * Opens the model on each device.
   *
   * @param draws ids drawn a position; 0 for none
   * @param maxSequence longest sequence, prompt and answer
   * @throws ModelException if a device cannot run it
   */
  static LocalBackend open(
      LanguageModel model, ScorerConfig settings, int draws, int maxSequence, Executor codec) {
    Precision precision = Precision.parse(settings.precision());
    List<Lane> lanes = new ArrayList<>();
    try {
      for (Device device : Device.parseList(settings.device())) {
        lanes.add(
            Lane.open(
                device.toString(),
                model,
                new ScorerOptions(settings.topK(), draws),
                new EngineOptions(settings.slots(), maxSequence),
                new RuntimeOptions(settings.threads(), device, precision)));
      }
      return new LocalBackend(model.fingerprint(), lanes, settings.slots(), codec);
    } catch (RuntimeException e) {
      lanes.forEach(Lane::close);
      throw e;
    }
  }

  @Override
  public String fingerprint() {
    return fingerprint;
  }

  @Override
  public int lanes() {
    return BATCHES_A_LANE * lanes.size();
  }

  @Override
  public int openAnswers() {
    // As many again wait inside, so that no slot does.
    return 2 * slots * lanes.size();
  }

  @Override
  public CompletableFuture<List<LabelBlock>> label(List<LabelTask> batch) {
    return least(Lane::waitingTokens)
        .score(batch)
        .thenApplyAsync(
            scores ->
                IntStream.range(0, batch.size())
                    .mapToObj(i -> LabelBlocks.of(batch.get(i), scores.get(i)))
                    .toList(),
            codec);
  }

  @Override
  public PendingAnswer answer(Question question, SamplingOptions sampling, Set<Integer> stopIds) {
    var handle = least(Lane::openAnswers).answer(question, sampling, stopIds);
    return new PendingAnswer(handle.result().thenApply(LocalBackend::idsOf), handle::cancel);
  }

  private static int[] idsOf(Generation generation) {
    if (generation.finishReason() == FinishReason.CANCELLED) {
      throw new ModelException("the teacher's answer was cancelled");
    }
    return generation.tokenIds();
  }

  private Lane least(ToLongFunction<Lane> load) {
    return lanes.stream().min(Comparator.comparingLong(load)).orElseThrow();
  }

  @Override
  public long tokensGenerated() {
    return lanes.stream().mapToLong(Lane::tokensGenerated).sum();
  }

  @Override
  public Map<String, Long> busyNanos() {
    return byLane(Lane::busyNanos);
  }

  @Override
  public Map<String, Long> tokensScored() {
    return byLane(Lane::tokensScored);
  }

  private Map<String, Long> byLane(ToLongFunction<Lane> figure) {
    Map<String, Long> figures = new LinkedHashMap<>();
    lanes.forEach(lane -> figures.merge(lane.name(), figure.applyAsLong(lane), Long::sum));
    return figures;
  }

  @Override
  public void close() {
    lanes.forEach(Lane::close);
  }
}
