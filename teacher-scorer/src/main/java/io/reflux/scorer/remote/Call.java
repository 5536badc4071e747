package io.reflux.scorer.remote;

import java.util.concurrent.CompletableFuture;

/**
 * A call under way.
 *
 * @param cancel closes its connection; the result then fails
 */
public record Call<T>(CompletableFuture<T> result, Runnable cancel) {}
