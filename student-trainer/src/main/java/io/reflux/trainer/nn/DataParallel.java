package io.reflux.trainer.nn;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * The same model on several devices of one process. Batches are dealt out, each replica runs its
 * own on its own thread; before a step the replicas' gradients are added to the first one's in
 * their order, the first takes the step, and its weights go back to the others. Only the first has
 * an optimizer.
 *
 * <p>Which replica gets which batch depends on the batches' sizes alone, so that the same list of
 * devices gives the same bits.
 */
final class DataParallel implements Trainable {
  private final List<TrainableModel> replicas = new ArrayList<>();
  private final List<ExecutorService> threads = new ArrayList<>();
  private final long[] dealt;
  private boolean gathered = true;

  /**
   * Copies weights to every device.
   *
   * @param devices at least one; a device may be given several times
   * @throws ModelException if the machine lacks one of them
   */
  DataParallel(
      ModelConfig config,
      Weights weights,
      Optimizer optimizer,
      ModelOptions options,
      List<String> devices) {
    dealt = new long[devices.size()];
    try {
      for (String device : devices) {
        ModelOptions own = options.withDevice(device);
        replicas.add(
            replicas.isEmpty()
                ? new TrainableModel(config, weights, optimizer, own)
                : TrainableModel.replica(config, weights, optimizer, own));
      }
    } catch (ModelException e) {
      replicas.forEach(TrainableModel::close);
      throw e;
    }
    for (int i = 1; i < devices.size(); i++) {
      String name = "replica-" + i + "-" + devices.get(i);
      threads.add(
          Executors.newSingleThreadExecutor(
              work -> {
                Thread thread = new Thread(work, name);
                thread.setDaemon(true);
                return thread;
              }));
    }
  }

  @Override
  public ModelConfig config() {
    return first().config();
  }

  @Override
  public long parameterCount() {
    return first().parameterCount();
  }

  @Override
  public long trainedParameterCount() {
    return first().trainedParameterCount();
  }

  @Override
  public long updates() {
    return first().updates();
  }

  @Override
  public float[] logits(int[] tokenIds) {
    return first().logits(tokenIds);
  }

  @Override
  public Losses accumulate(Batch batch) {
    return accumulate(List.of(batch)).get(0);
  }

  @Override
  public List<Losses> accumulate(List<Batch> batches) {
    int[] replicaOf = new int[batches.size()];
    for (int i = 0; i < replicaOf.length; i++) {
      replicaOf[i] = deal(batches.get(i));
    }
    gathered = false;
    Losses[] losses = new Losses[replicaOf.length];
    List<Future<?>> others = new ArrayList<>();
    for (int r = 1; r < replicas.size(); r++) {
      int replica = r;
      others.add(threads.get(r - 1).submit(() -> accumulate(replica, replicaOf, batches, losses)));
    }
    try {
      accumulate(0, replicaOf, batches, losses);
    } finally {
      await(others);
    }
    return Arrays.asList(losses);
  }

  /** The replica with the fewest tokens since the last step, the first of equals. */
  private int deal(Batch batch) {
    int least = 0;
    for (int r = 1; r < dealt.length; r++) {
      least = dealt[r] < dealt[least] ? r : least;
    }
    dealt[least] += batch.tokens();
    return least;
  }

  private void accumulate(int replica, int[] replicaOf, List<Batch> batches, Losses[] losses) {
    for (int i = 0; i < replicaOf.length; i++) {
      if (replicaOf[i] == replica) {
        losses[i] = replicas.get(replica).accumulate(batches.get(i));
      }
    }
  }

  /** Until all are done, whatever happens to some: their tensors are in use until then. */
  private static void await(List<Future<?>> work) {
    RuntimeException failure = null;
    boolean interrupted = false;
    for (Future<?> part : work) {
      boolean done = false;
      while (!done) {
        try {
          part.get();
          done = true;
        } catch (InterruptedException e) {
          interrupted = true;
        } catch (ExecutionException e) {
          done = true;
          failure =
              e.getCause() instanceof RuntimeException cause
                  ? cause
                  : new IllegalStateException(e.getCause());
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    if (failure != null) {
      throw failure;
    }
  }

  @Override
  public Losses measure(Batch batch) {
    return first().measure(batch);
  }

  @Override
  public double gradientNorm() {
    gather();
    return first().gradientNorm();
  }

  @Override
  public double update(double learningRate) {
    gather();
    double norm = first().update(learningRate);
    Arrays.fill(dealt, 0);
    if (Double.isFinite(norm)) {
      spread();
    }
    return norm;
  }

  @Override
  public void discard() {
    replicas.forEach(TrainableModel::discard);
    gathered = true;
    Arrays.fill(dealt, 0);
  }

  @Override
  public MemoryWeights export() {
    return first().export();
  }

  @Override
  public ModelState state() {
    return first().state();
  }

  @Override
  public void restore(ModelState state) {
    first().restore(state);
    spread();
    rest().forEach(replica -> replica.takeFrozen(first()));
    discard();
  }

  @Override
  public void close() {
    threads.forEach(ExecutorService::shutdown);
    replicas.forEach(TrainableModel::close);
  }

  /** The gathered, unapplied gradients under the tensors' names. */
  MemoryWeights gradients() {
    gather();
    return first().gradients();
  }

  private TrainableModel first() {
    return replicas.get(0);
  }

  private void gather() {
    if (!gathered) {
      rest().forEach(first()::takeGradients);
      gathered = true;
    }
  }

  private void spread() {
    rest().forEach(replica -> replica.takeParameters(first()));
  }

  private List<TrainableModel> rest() {
    return replicas.subList(1, replicas.size());
  }
}
