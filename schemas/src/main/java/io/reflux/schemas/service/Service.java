package io.reflux.schemas.service;

import java.util.concurrent.CompletionStage;

/**
 * One of the loop's services, startable on its own or beside the others in one JVM.
 *
 * <p>{@link #close} drains: what was taken in is finished and committed, or left for the next start
 * to take up again. It is safe to call twice, and before {@link #start}.
 */
public interface Service extends AutoCloseable {
  /** Such as {@code scorer}; the name in {@code ServiceStatus}. */
  String name();

  /** Returns once the service works, or throws {@link RefluxException} with one clear line. */
  void start();

  /** Completes exceptionally when the service has failed for good, normally once it is closed. */
  CompletionStage<Void> termination();

  @Override
  void close();
}
