package io.reflux.model.golden;

import io.reflux.model.ModelException;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.GenerationHandle;
import java.time.Duration;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Waits for what an engine generates. */
public final class Answers {
  private Answers() {}

  /**
   * What was generated.
   *
   * @throws ModelException if the engine failed, or did not answer in time; what it still does then
   *     is broken off
   */
  public static Generation await(GenerationHandle handle, Duration patience) {
    try {
      return handle.result().get(patience.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      handle.cancel();
      Thread.currentThread().interrupt();
      throw new ModelException("interrupted while the model answered", e);
    } catch (ExecutionException e) {
      throw new ModelException(String.valueOf(e.getCause().getMessage()), e.getCause());
    } catch (TimeoutException e) {
      handle.cancel();
      throw new ModelException(
          "no answer in " + patience.toMillis() + " ms (expected: one sooner)", e);
    }
  }
}
